"""Tests of signal_generator.signals, against the consumer's schema and its own parser."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from signal_generator.signals import Signal, WrongSignal, number_text
from solution.domain.signal import parse
from tests.helpers.signal_cases import CONFLICTING, VALID

SCHEMA = json.loads(files("solution.domain").joinpath("signal.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
NAMES = frozenset(Signal.__dataclass_fields__)
NUMBERS = (
    *("qty", "notional", "weight", "target_qty", "target_weight", "limit_price", "stop_price"),
    *("trail_price", "trail_percent", "take_profit", "stop_loss", "stop_loss_limit"),
    *("cancel_after", "max_age"),
)
MOMENT = datetime(2026, 3, 6, 15, tzinfo=UTC)
odd = st.one_of(st.floats(), st.decimals(), st.integers(), st.text(max_size=6))
usual = st.sampled_from([1, 0.5, 10, "1.5", Decimal("0.25"), 0, 0.1 + 0.2])
words = {
    "side": ["", "buy", "s", "SELL"],
    "action": ["", "", "buy_long", "BUY_TO_COVER", "short_sell", "sell_long", "liquidate", "x"],
    "order_type": ["", "market", "limit", "Stop", "stop_limit", "trailing_stop"],
    "time_in_force": ["", "", "day", "gtc", "IOC", "opg"],
}


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    """Any signal: usual and odd values, fields that agree and that do not."""
    chosen: dict[str, Any] = {name: draw(st.sampled_from(texts)) for name, texts in words.items()}
    for name in draw(st.sets(st.sampled_from(NUMBERS), max_size=4)):
        chosen[name] = draw(st.one_of(usual, usual, usual, odd))
    return Signal(
        symbol=draw(st.sampled_from(["NVDA", "brk.b", "BTC/USD", "ETHUSDT", "F F", "Ä"])),
        signal_id=draw(st.sampled_from(["", "id-1", "a\nb", "x" * 129])),
        strategy=draw(st.sampled_from(["", "sma", "y" * 65])),
        extended_hours=draw(st.sampled_from([None, None, True, False])),
        ts=draw(st.sampled_from([None, MOMENT, MOMENT.replace(tzinfo=None)])),
        metadata=draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=1)),
        **chosen,
    )


@given(signals())
def test_what_is_published_is_what_a_consumer_takes(signal: Signal) -> None:
    """The fields of any signal pass the schema and the service, or the mistake is named here."""
    try:
        fields = signal.fields()
    except WrongSignal as error:
        named = str(error).partition(":")[0].partition("=")[0]
        assert named in NAMES | {"direction", "ticker"}
        return
    assert [error.message for error in VALIDATOR.iter_errors(fields)] == []
    parse("nvda", "1795203598442-0", [(n.encode(), v.encode()) for n, v in fields.items()])


def signal_of(case: str) -> Signal:
    """`name=value` pairs as a signal."""
    given = dict(pair.split("=") for pair in case.split())
    own = {name[2:]: given.pop(name) for name in list(given) if name.startswith("x_")}
    for name in ("sig", "kid", "ts"):
        given.pop(name, None)
    if "extended_hours" in given:
        given["extended_hours"] = given["extended_hours"] == "true"  # type: ignore[assignment]
    given["symbol"] = given.pop("ticker")
    given["side"] = given.pop("direction", "")
    return Signal(**given, metadata=own)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", VALID)
def test_what_the_consumer_takes_is_not_refused_here(case: str) -> None:
    """Nobody is kept from a signal that would trade."""
    assert signal_of(case).fields()["ticker"]


@pytest.mark.parametrize("case", [case[0] for case in CONFLICTING])
def test_fields_that_disagree_are_told_before_they_are_published(case: str) -> None:
    """Each pair that the consumer refuses is a wrong signal here."""
    with pytest.raises(WrongSignal, match=":"):
        signal_of(case).fields()


def test_the_smallest_signal() -> None:
    """Symbol and side, in the consumer's words."""
    assert Signal(symbol=" nvda ", side="BUY").fields() == {"ticker": "NVDA", "direction": "b"}


def test_everything_has_its_place() -> None:
    """Moments in UTC, yes and no as words, the strategy's own with their prefix."""
    moment = datetime(2026, 3, 6, 10, 0, tzinfo=timezone(timedelta(hours=-5)))
    signal = Signal(
        symbol="F",
        side="s",
        order_type="LIMIT",
        limit_price=12.5,
        time_in_force="day",
        extended_hours=True,
        ts=moment,
        metadata={"sma": 1.5},
    )
    assert signal.fields() == {
        "ticker": "F",
        "direction": "s",
        "order_type": "limit",
        "time_in_force": "day",
        "limit_price": "12.5",
        "extended_hours": "true",
        "ts": "2026-03-06T15:00:00.000Z",
        "x_sma": "1.5",
    }


@given(st.decimals(min_value=0, max_value=10**20, places=9))
def test_decimals_keep_every_digit(number: Decimal) -> None:
    """What is read back is the number that was given."""
    assert Decimal(number_text("qty", number)) == number


@given(st.floats(min_value=0, max_value=1e20))
def test_floats_are_their_shortest_text_to_nine_decimals(number: float) -> None:
    """No exponent, no sign, no binary noise."""
    text = number_text("qty", number)
    assert Decimal(text) == Decimal(repr(round(number, 9)))
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize("value", [True, "one", "", float("nan"), float("inf"), "1e30", None, [1]])
def test_no_number(value: Any) -> None:
    """The text names the field and shows the value."""
    with pytest.raises(WrongSignal) as refused:
        number_text("qty", value)
    assert str(refused.value).startswith("qty: ")
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": ""}, "symbol: '' is not a symbol such as NVDA"),
        ({"side": "hold"}, "side: 'hold' is neither buy nor sell"),
        ({"action": 5}, "action: 5 is not text"),
        ({"qty": -1}, "qty: '-1' is not a number above 0 with at most 9 decimals"),
        ({"qty": "0.0000000001"}, "qty: '0.0000000001' is not a number above 0 with at most 9"),
        ({"side": ""}, "side: missing; only a target or action=liquidate goes without"),
        ({"qty": 1, "weight": 0.5}, "qty=1 and weight=0.5: at most one size"),
        ({"limit_price": 5}, "order_type: missing with limit_price=5"),
        ({"order_type": "limit"}, "limit_price: missing with order_type=limit"),
        ({"metadata": {"a b": 1}}, "metadata: 'a b' is no name"),
        ({"metadata": {"a": "b" * 5000}}, "metadata: a is longer than 4096 bytes"),
        ({"metadata": {str(n): "b" * 4000 for n in range(17)}}, "metadata: the whole signal is"),
        ({"ts": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}, "ts: .* out of range"),
        ({"strategy": "\ud800"}, "strategy: .* cannot be written as UTF-8"),
    ],
)
def test_the_mistake_is_named(changes: dict[str, Any], said: str) -> None:
    """One clear sentence with the field and the value."""
    with pytest.raises(WrongSignal, match=said):
        Signal(**{"symbol": "NVDA", "side": "b", **changes}).fields()
