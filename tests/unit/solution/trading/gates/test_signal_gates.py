"""Gates over the signal, each on both sides of its boundary; and that every reason has a use."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import solution
from solution.book.assets import Asset
from solution.book.positions import Account
from solution.book.prices import Quote
from solution.domain.market import Market
from solution.domain.orders import Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Action, Signal
from solution.trading.gates import SIGNAL_GATES, first_denial, signal_gates
from solution.trading.gates.view import Gate, GateRules, View

NVDA = Asset("id", "NVDA", "us_equity", True, True, True)
SIGNAL = Signal(stream="nvda", entry_id="1-0", ticker="NVDA", digest="d", side=Side.BUY)
SHORT = SIGNAL._replace(side=Side.SELL, action=Action.SHORT_SELL)
ACCOUNT = Account("a-1", Decimal(1), Decimal(1), Decimal(1))
QUOTE = Quote("NVDA", Decimal(99), Decimal(100), None, None, None, 0.0)
VIEW = View(
    signal=SIGNAL,
    asset=NVDA,
    rules=GateRules(),
    market=Market(is_open=True, at=datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
    age=0.0,
    starved=0.0,
    waited=0.0,
    quote=QUOTE,
    price_age=0.0,
    quote_age=0.0,
)


def verdict(gate: Gate, **changed: Any) -> str | None:
    """The reason, or None where it passes; a denial always explains itself."""
    denial = gate(replace(VIEW, **changed))
    assert denial is None or len(denial.message) > 10
    return None if denial is None else denial.reason


def test_the_order_of_the_gates_is_fixed() -> None:
    """The kill switch before all else; reasons are part of the contract."""
    assert [gate.__name__ for gate in SIGNAL_GATES] == [
        "kill_switch",
        "trading_state",
        "live_guard",
        "account_blocked",
        "ticker_halted",
        "signal_age",
        "queue_wait",
        "duplicate",
        "asset_class",
        "symbol_lists",
        "key_symbols",
        "tradable",
        "short_allowed",
        "extended_hours",
        "price_age",
        "quote_age",
    ]


def test_a_sound_signal_passes_all() -> None:
    """No gate says no without a cause."""
    assert first_denial(SIGNAL_GATES, VIEW) is None


def test_the_kill_switch_says_why() -> None:
    """Its own words are the message."""
    denial = signal_gates.kill_switch(replace(VIEW, killed="the file exists"))
    assert denial is not None
    assert (denial.reason, denial.message) == (Reason.KILL_SWITCH, "the file exists")
    assert verdict(signal_gates.kill_switch) is None


@pytest.mark.parametrize(("blocked", "reason"), [(False, None), (True, Reason.ACCOUNT_BLOCKED)])
def test_a_blocked_account_trades_nothing(blocked: bool, reason: Reason | None) -> None:
    """As the last snapshot says."""
    account = replace(ACCOUNT, blocked=blocked)
    assert verdict(signal_gates.account_blocked, account=account) == reason


@pytest.mark.parametrize(
    ("age", "max_age", "starved", "reason"),
    [
        (60.0, None, 0.0, None),
        (60.001, None, 0.0, Reason.STALE_SIGNAL),
        (5.0, "5", 0.0, None),
        (5.001, "5", 0.0, Reason.STALE_SIGNAL),
        (60.001, "600", 0.0, Reason.STALE_SIGNAL),
        (500.0, "5", 496.0, None),
        (500.0, "5", 494.0, Reason.STALE_SIGNAL),
        (-3.0, None, 0.0, None),
    ],
)
def test_an_old_signal_must_not_trade(
    age: float, max_age: str | None, starved: float, reason: Reason | None
) -> None:
    """max_age only shortens; waiting for budget does not count, and has its own end."""
    signal = SIGNAL._replace(max_age=None if max_age is None else Decimal(max_age))
    found = verdict(signal_gates.signal_age, age=age, signal=signal, starved=starved)
    assert found == reason


@pytest.mark.parametrize(("later_ms", "reason"), [(0, None), (1, Reason.STALE_SIGNAL)])
def test_what_an_earlier_run_published_is_not_sent(later_ms: int, reason: Reason | None) -> None:
    """However young it is: who started this run does not expect it."""
    rules = replace(VIEW.rules, not_before_ms=SIGNAL.oldest_ms() + later_ms)
    assert verdict(signal_gates.signal_age, age=0.0, rules=rules) == reason


@pytest.mark.parametrize(
    ("waited", "reason"), [(600.0, None), (600.001, Reason.QUEUE_WAIT_EXCEEDED)]
)
def test_waiting_for_budget_has_an_end(waited: float, reason: Reason | None) -> None:
    """MAX_QUEUE_WAIT."""
    assert verdict(signal_gates.queue_wait, waited=waited) == reason


@pytest.mark.parametrize(
    ("asset_class", "reason"),
    [
        ("us_equity", None),
        ("crypto", Reason.UNSUPPORTED_ASSET),
        ("us_option", Reason.UNSUPPORTED_ASSET),
        ("", Reason.UNSUPPORTED_ASSET),
    ],
)
def test_only_equities_are_traded(asset_class: str, reason: Reason | None) -> None:
    """What the broker calls nothing we know is refused too."""
    asset = replace(NVDA, asset_class=asset_class)
    assert verdict(signal_gates.asset_class, asset=asset) == reason


@pytest.mark.parametrize(
    ("allowed", "denied", "reason"),
    [
        ((), (), None),
        (("NVDA",), (), None),
        (("AAPL",), (), Reason.NOT_ALLOWED),
        ((), ("AAPL",), None),
        ((), ("NVDA",), Reason.NOT_ALLOWED),
        (("NVDA",), ("NVDA",), Reason.NOT_ALLOWED),
    ],
)
def test_symbol_lists(
    allowed: tuple[str, ...], denied: tuple[str, ...], reason: Reason | None
) -> None:
    """Empty allows all; being denied wins."""
    rules = GateRules(allowed_symbols=frozenset(allowed), denied_symbols=frozenset(denied))
    assert verdict(signal_gates.symbol_lists, rules=rules) == reason


def test_lists_compare_the_broker_s_symbol() -> None:
    """A ticker in another spelling cannot slip past them."""
    rules = GateRules(denied_symbols=frozenset({"BTC/USD"}))
    asset, signal = replace(NVDA, symbol="BTC/USD"), SIGNAL._replace(ticker="BTCUSD")
    found = verdict(signal_gates.symbol_lists, rules=rules, asset=asset, signal=signal)
    assert found == Reason.NOT_ALLOWED


def test_the_asset_must_be_tradable() -> None:
    """As the broker lists it."""
    asset = replace(NVDA, tradable=False)
    assert verdict(signal_gates.tradable, asset=asset) == Reason.NOT_TRADABLE
    assert verdict(signal_gates.tradable) is None


@pytest.mark.parametrize(
    ("signal", "allow", "shortable", "reason"),
    [
        (SHORT, True, True, None),
        (SHORT, False, True, Reason.SHORT_NOT_ALLOWED),
        (SHORT, True, False, Reason.NOT_SHORTABLE),
        (SIGNAL, False, False, None),
        (SHORT._replace(action=None), False, False, None),
    ],
)
def test_short_sales_are_explicit(
    signal: Signal, allow: bool, shortable: bool, reason: Reason | None
) -> None:
    """Only action=short_sell opens one; a bare sell is judged by what is held."""
    found = verdict(
        signal_gates.short_allowed,
        signal=signal,
        rules=GateRules(allow_short=allow),
        asset=replace(NVDA, shortable=shortable),
    )
    assert found == reason


@pytest.mark.parametrize(
    ("signal", "may", "reason"),
    [(SHORT, True, None), (SHORT, False, Reason.SHORT_NOT_ALLOWED), (SIGNAL, False, None)],
)
def test_the_account_must_be_one_that_may_sell_short(
    signal: Signal, may: bool, reason: Reason | None
) -> None:
    """Otherwise it costs a POST to hear the broker's no."""
    account = replace(ACCOUNT, shorting_enabled=may)
    assert verdict(signal_gates.short_allowed, signal=signal, account=account) == reason


@pytest.mark.parametrize(
    ("asked", "allowed", "reason"),
    [
        (False, False, None),
        (True, True, None),
        (True, False, Reason.EXTENDED_HOURS_NOT_ALLOWED),
    ],
)
def test_extended_hours_are_allowed_by_the_operator(
    asked: bool, allowed: bool, reason: Reason | None
) -> None:
    """The producer alone cannot trade at night."""
    signal, rules = SIGNAL._replace(extended_hours=asked), GateRules(allow_extended_hours=allowed)
    assert verdict(signal_gates.extended_hours, signal=signal, rules=rules) == reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"price_age": 5.0}, None),
        ({"price_age": 5.001}, Reason.STALE_PRICE),
        ({"price_age": None}, Reason.STALE_PRICE),
        ({"quote": None, "price_age": 0.0}, Reason.STALE_PRICE),
    ],
)
def test_no_size_without_a_recent_price(changed: dict[str, Any], reason: Reason | None) -> None:
    """MAX_PRICE_AGE, counted from when we received it."""
    assert verdict(signal_gates.price_age, **changed) == reason


@pytest.mark.parametrize(
    ("age", "limit", "reason"),
    [
        (60.0, 60.0, None),
        (60.001, 60.0, Reason.STALE_QUOTE),
        (None, 60.0, Reason.STALE_QUOTE),
        (9_999.0, 0.0, None),
        (None, 0.0, None),
        (-1.0, 60.0, None),
    ],
)
def test_the_exchange_must_have_spoken(
    age: float | None, limit: float, reason: Reason | None
) -> None:
    """MAX_QUOTE_AGE, 0 = off; a feed without times fails closed."""
    rules = GateRules(max_quote_age=limit)
    assert verdict(signal_gates.quote_age, quote_age=age, rules=rules) == reason


NEW_YORK_7_PM = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
SATURDAY = datetime(2026, 3, 7, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize("extended", [True, False])
@pytest.mark.parametrize(
    ("is_open", "moment", "tif", "trades"),
    [
        (True, VIEW.market.at, TimeInForce.IOC, {True, False}),
        (True, VIEW.market.at, TimeInForce.DAY, {True, False}),
        (True, VIEW.market.at, TimeInForce.CLS, set()),
        (False, NEW_YORK_7_PM, TimeInForce.OPG, set()),
        (False, NEW_YORK_7_PM, TimeInForce.DAY, {True}),
        (False, NEW_YORK_7_PM, TimeInForce.IOC, {True}),
        (False, SATURDAY, TimeInForce.DAY, set()),
        (None, SATURDAY, TimeInForce.DAY, set()),
    ],
)
def test_the_quote_ages_where_the_order_could_trade_now(
    is_open: bool | None, moment: datetime, tif: TimeInForce, trades: set[bool], extended: bool
) -> None:
    """In session and in the extended hours it asks for; not while it waits for either."""
    found = verdict(
        signal_gates.quote_age,
        quote_age=61.0,
        market=Market(is_open=is_open, at=moment),
        time_in_force=tif,
        signal=SIGNAL._replace(extended_hours=extended),
    )
    assert found == (Reason.STALE_QUOTE if extended in trades else None)


# --- the reasons themselves -----------------------------------------------------------------------


def test_every_reason_is_used() -> None:
    """A reason nobody can meet is noise in the reference, and a misspelt one is no reason."""
    root = Path(solution.__file__).parent
    sources = [p for p in root.rglob("*.py") if p.name != "reasons.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r"Reason\.([A-Z][A-Z_0-9]+)", code))
    assert used == {reason.name for reason in Reason}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_explains_itself(reason: Reason) -> None:
    """Its code is its name, with a sentence for people and one of advice."""
    assert reason.value == reason.name == str(reason)
    assert reason.summary.endswith(".")
    assert reason.advice.endswith(".")


# --- crypto ---------------------------------------------------------------------------------------

BTC = Asset("btc", "BTC/USD", "crypto", True, False, True)


@pytest.mark.parametrize(
    ("symbol", "kind", "expected"),
    [
        ("BTC/USD", "crypto", None),
        ("ETH/BTC", "crypto", "UNSUPPORTED_ASSET"),
        ("BTC/USDT", "crypto", "UNSUPPORTED_ASSET"),
        ("AAPL240119C00100000", "us_option", "UNSUPPORTED_ASSET"),
        ("BTC-PERP", "crypto_perp", "UNSUPPORTED_ASSET"),
        ("X", "", "UNSUPPORTED_ASSET"),
    ],
)
def test_shares_and_coins_priced_in_dollars(symbol: str, kind: str, expected: str | None) -> None:
    """A cap in dollars means nothing for a price in bitcoin."""
    asset = Asset("id", symbol, kind, True, False, True)
    assert verdict(signal_gates.asset_class, asset=asset) == expected


def test_coins_are_never_sold_short() -> None:
    """Whatever the settings and the list of assets say."""
    odd = replace(BTC, shortable=True)
    assert verdict(signal_gates.short_allowed, asset=odd, signal=SHORT) == "NOT_SHORTABLE"


@pytest.mark.parametrize("is_open", [True, False, None])
def test_the_age_of_a_coin_s_quote_counts_at_all_hours(is_open: bool | None) -> None:
    """Its market is never closed, so silence is never in order."""
    market = Market(is_open=is_open, at=VIEW.market.at)
    old = {"asset": BTC, "market": market, "quote_age": 61.0}
    assert verdict(signal_gates.quote_age, **old) == "STALE_QUOTE"
    assert verdict(signal_gates.quote_age, **{**old, "quote_age": 60.0}) is None
    assert verdict(signal_gates.price_age, **old, price_age=5.1) == "STALE_PRICE"
