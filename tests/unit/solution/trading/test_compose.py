"""From a decision to the exact request: type, limit, time in force, and what is reserved."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from solution.book.assets import Asset
from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.domain.market import Market
from solution.domain.orders import OrderType, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef, Intent
from solution.domain.signal import parse
from solution.errors import Refused, SignalError
from solution.trading.compose import Composer, PipelineRules
from solution.trading.gates.view import GateRules, View
from solution.trading.plan import SizingRules
from solution.trading.work import Work
from tests.helpers.trading import entry_fields

ZERO = Decimal(0)
NVDA = Asset("id", "NVDA", "us_equity", True, True, True)
QUOTE = Quote("NVDA", Decimal(100), Decimal(101), Decimal(100), None, None, 0.0)
TEN_PERCENT = SizingRules(weights={}, max_order_notional_pct=ZERO)
"""A bare buy wants 10,000 in NVDA, and no position may be larger."""


def decide(
    direction: str = "b", *, held: str = "0", bps: str = "100", **rules: Any
) -> tuple[dict[str, Any], Intent, View]:
    """What is sent, what is reserved and what the gates saw; also taken: ``fields``, ``quote``."""
    composer, work, view, holdings = situation(direction, held=held, bps=bps, **rules)
    _, intent = composer.decide(work, view, holdings)
    return orjson.loads(intent.body), intent, view


def situation(
    direction: str, *, held: str = "0", bps: str = "100", **rules: Any
) -> tuple[Composer, Work, View, Holdings]:
    """What one decision has to go by."""
    fields, quote = rules.pop("fields", {}), rules.pop("quote", QUOTE)
    asset = rules.pop("asset", NVDA)
    settings = PipelineRules(
        deployment="abcdefgh",
        gates=GateRules(),
        limit_collar_bps=Decimal(bps),
        **{"sizing": TEN_PERCENT, **rules},
    )
    signal = parse("nvda", "1-0", entry_fields(direction, fields))
    view = View(
        signal=signal,
        asset=asset,
        rules=settings.gates,
        market=Market(is_open=True, at=datetime(2026, 3, 4, 17, tzinfo=UTC)),
        age=0.0,
        starved=0.0,
        waited=0.0,
        quote=quote,
    )
    qty = Decimal(held)
    holdings = Holdings(
        equity=Decimal(100_000),
        cash=Decimal(100_000),
        buying_power=Decimal(200_000),
        qty=qty,
        available_qty=max(ZERO, qty),
        pending_qty=ZERO,
        pending_buy_qty=ZERO,
        avg_entry=Decimal(90),
    )
    work = Work(signal, asset, EntryRef("nvda", "1-0"), 0.0, 0)
    return Composer(settings), work, view, holdings


def terms(body: dict[str, Any]) -> tuple[str, str, str | None]:
    return body["type"], body["time_in_force"], body.get("limit_price")


# --- the collar -----------------------------------------------------------------------------------

MARKET = {"order_type": "market"}


@pytest.mark.parametrize("fields", [{}, MARKET], ids=["no type", "market"])
@pytest.mark.parametrize("configured", [TimeInForce.IOC, TimeInForce.DAY, TimeInForce.GTC])
@pytest.mark.parametrize(
    ("direction", "held", "limit"),
    [("b", "0", "102.01"), ("s", "5", "99.00"), ("b", "-5", "102.01")],
)
def test_a_collar_makes_every_market_order_a_limit_that_cannot_rest(
    direction: str, held: str, limit: str, configured: TimeInForce, fields: dict[str, str]
) -> None:
    """One percent beyond the far side, ioc, whatever TIME_IN_FORCE is for other orders."""
    body, _, _ = decide(direction, held=held, fields=fields, time_in_force=configured)
    assert terms(body) == ("limit", "ioc", limit)


@pytest.mark.parametrize("own", ["day", "gtc", "fok", "cls"])
def test_the_signal_s_own_time_in_force_stands(own: str) -> None:
    """Its producer wants it so."""
    body, _, _ = decide(fields={**MARKET, "time_in_force": own})
    assert terms(body) == ("limit", own, "102.01")


def test_a_bracket_is_collared_and_for_the_day() -> None:
    """The broker takes no other; its price stays bounded."""
    body, _, _ = decide(fields={"stop_loss": "90"}, time_in_force=TimeInForce.GTC)
    assert terms(body) == ("limit", "day", "102.01")


@pytest.mark.parametrize("order_type", [OrderType.MARKET, OrderType.LIMIT])
@pytest.mark.parametrize("fields", [{}, MARKET], ids=["no type", "market"])
def test_a_fraction_stays_a_market_order(order_type: OrderType, fields: dict[str, str]) -> None:
    """It must be a day order, where a limit would rest; and a limit without a price is refused."""
    body, _, _ = decide("s", held="10.5", fields=fields, order_type=order_type)
    assert terms(body) == ("market", "day", None)
    assert body["qty"] == "10.5"


@pytest.mark.parametrize(("direction", "held"), [("b", "0"), ("s", "5")])
def test_an_amount_of_money_stays_a_market_order(direction: str, held: str) -> None:
    """It is a day order too, also where it sells whole shares: all five, here."""
    body, _, _ = decide(direction, held=held, fields={"notional": "600"})
    assert terms(body) == ("market", "day", None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"order_type": "limit", "limit_price": "150"}, ("limit", "day", "150.00")),
        ({"order_type": "stop", "stop_price": "150"}, ("stop", "day", None)),
    ],
)
def test_other_orders_are_left_alone(
    fields: dict[str, str], expected: tuple[str, str, str | None]
) -> None:
    """They have a price of their own, and TIME_IN_FORCE is for them."""
    body, _, _ = decide(fields=fields, time_in_force=TimeInForce.DAY)
    assert terms(body) == expected


def test_without_a_collar_a_market_order_is_one() -> None:
    """The default."""
    body, _, _ = decide(bps="0", fields=MARKET, time_in_force=TimeInForce.DAY)
    assert terms(body) == ("market", "day", None)


@pytest.mark.parametrize("fields", [{}, MARKET], ids=["no type", "market"])
def test_a_collared_buy_counts_at_its_limit(fields: dict[str, str]) -> None:
    """10,000 buy 98 at 102.01, not 99 at 101; that is capped, and reserved."""
    body, intent, view = decide(fields=fields)
    assert body["qty"] == "98"
    assert view.plan is not None
    assert view.plan.price == Decimal("102.01")
    assert intent.reserved_cash == 98 * Decimal("102.01")
    with pytest.raises(Refused) as caught:
        decide(fields={**fields, "qty": "99"})
    assert caught.value.reason == Reason.POSITION_CAP


@pytest.mark.parametrize("bps", ["0", "100", "5000"])
def test_a_collar_does_not_make_a_short_sale_larger(bps: str) -> None:
    """It fills at the bid of 100 however far below it the limit lies: 100 shares are the cap."""
    body, intent, _ = decide("s", bps=bps, fields={"action": "short_sell"})
    assert body["qty"] == "100"
    assert intent.reserved_cash == 100 * Decimal("1.03") * 101


def test_a_collar_does_not_make_a_sale_larger() -> None:
    """5 % of equity at the bid of 100 are 50 shares."""
    body, _, _ = decide("s", held="200", bps="5000", fields={"weight": "0.05"})
    assert (body["qty"], body["limit_price"]) == ("50", "50.00")


# --- the grid -------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["b", "s"])
def test_a_trailing_distance_is_never_widened(direction: str) -> None:
    """A sale whose stop follows at a greater distance brings less."""
    fields = {"order_type": "trailing_stop", "trail_price": "1.009"}
    body, _, _ = decide(direction, held="0" if direction == "b" else "5", fields=fields)
    assert body["trail_price"] == "1.00"


def test_without_a_price_nothing_is_sized() -> None:
    """The price gate says so before; a size computed on nothing must not depend on that."""
    with pytest.raises(Refused) as caught:
        decide(quote=None)
    assert caught.value.reason is Reason.STALE_PRICE


# --- what a target lacks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "bps", "found"),
    [
        ({"target_qty": "12"}, "0", ("2", None)),
        ({"target_qty": "12"}, "100", ("2", "102.01")),
        ({"target_qty": "7"}, "100", ("-3", "99")),
        ({"target_qty": "7.5"}, "100", ("-2.5", None)),
        ({"target_qty": "12", "order_type": "limit", "limit_price": "90.009"}, "100", ("2", "90")),
        ({"target_qty": "10"}, "100", ("0", None)),
    ],
)
def test_what_a_target_lacks_and_the_limit_of_an_order_for_it(
    fields: dict[str, str], bps: str, found: tuple[str, str | None]
) -> None:
    """As it would be sent: with a collar a market order has a limit, a part of a share has none."""
    composer, work, view, holdings = situation("", held="10", bps=bps, fields=fields)
    lack, limit = found
    expected = Decimal(lack), limit and Decimal(limit)
    assert composer.toward_target(work, view, holdings) == expected


def limit(price: str) -> dict[str, str]:
    return {"order_type": "limit", "limit_price": price, "qty": "1"}


@pytest.mark.parametrize(
    ("direction", "fields", "note"),
    [
        ("b", limit("0.12345"), "limit_price=0.12345 is sent as 0.1234: the exchange's grid"),
        ("s", limit("99.991"), "limit_price=99.991 is sent as 100.00: the exchange's grid"),
        ("s", limit("100"), ""),
        (
            "b",
            {"take_profit": "120.001", "stop_loss": "90.00", "stop_loss_limit": "89"},
            "take_profit=120.001 is sent as 120.01: the exchange's grid",
        ),
        ("b", {}, ""),
    ],
)
def test_a_price_that_is_moved_is_told(direction: str, fields: dict[str, str], note: str) -> None:
    """The producer asked for another one: it stands in the row, in `why` and in the event."""
    held = "5" if direction == "s" else "0"
    _, intent, _ = decide(direction, held=held, bps="0", fields=fields)
    assert intent.message == note


# --- crypto ---------------------------------------------------------------------------------------

BTC = Asset(
    "btc",
    "BTC/USD",
    "crypto",
    True,
    False,
    True,
    Decimal("0.001"),
    Decimal("0.001"),
    Decimal("0.5"),
)
COIN = Quote("BTC/USD", Decimal(50_000), Decimal(50_010), Decimal(50_000), None, None, 0.0)


def coins(direction: str = "b", *, held: str = "0", bps: str = "0", **fields: str) -> Any:
    """What is sent for a signal about a pair; bare, it wants a tenth of equity."""
    given = {"ticker": "BTC/USD", **fields}
    tif = TimeInForce(given.pop("configured", "ioc"))
    return decide(
        direction, held=held, bps=bps, fields=given, quote=COIN, asset=BTC, time_in_force=tif
    )[0]


def test_a_bare_buy_of_a_pair() -> None:
    """Parts of a coin at market, ioc, which no part of a share could be."""
    body = coins()
    assert terms(body) == ("market", "ioc", None)
    assert (body["symbol"], body["qty"]) == ("BTC/USD", "0.199")


@pytest.mark.parametrize(
    ("configured", "fields", "tif"),
    [
        ("day", {}, "gtc"),
        ("gtc", {}, "gtc"),
        ("fok", {}, "gtc"),
        ("ioc", {"notional": "100"}, "ioc"),
        ("day", {"time_in_force": "ioc"}, "ioc"),
        ("ioc", {"order_type": "limit", "limit_price": "1"}, "ioc"),
        (
            "ioc",
            {"order_type": "stop_limit", "limit_price": "60000", "stop_price": "59000"},
            "gtc",
        ),
    ],
)
def test_the_time_in_force_of_a_pair(configured: str, fields: dict[str, str], tif: str) -> None:
    """gtc or ioc, whatever is configured for shares."""
    sized = {} if "notional" in fields else {"qty": "0.1"}
    sized |= {"qty": "20"} if fields.get("limit_price") == "1" else {}
    assert coins(configured=configured, **sized, **fields)["time_in_force"] == tif


def test_the_prices_of_a_pair_are_on_its_own_step() -> None:
    """A buy's limit goes down, a sale's up."""
    limit = {"order_type": "limit", "limit_price": "50000.3", "qty": "0.01"}
    assert coins(**limit)["limit_price"] == "50000.0"
    assert coins("s", held="1", **limit)["limit_price"] == "50000.5"


@pytest.mark.parametrize(("direction", "limit"), [("b", "50510.0"), ("s", "49500.0")])
def test_a_collar_holds_for_parts_of_a_coin(direction: str, limit: str) -> None:
    """A part of a share would stay a market order, for it is a day order."""
    body = coins(direction, held="0.5" if direction == "s" else "0", bps="100", qty="0.1")
    assert terms(body)[:2] == ("limit", "ioc")
    assert Decimal(body["limit_price"]) == Decimal(limit)


@pytest.mark.parametrize(
    "fields",
    [
        {"stop_loss": "40000", "qty": "1"},
        {"order_type": "stop", "stop_price": "60000", "qty": "1"},
        {"time_in_force": "day", "qty": "1"},
        {"order_type": "limit", "limit_price": "60000", "extended_hours": "true", "qty": "1"},
    ],
)
def test_a_pair_that_its_spelling_did_not_show(fields: dict[str, str]) -> None:
    """Five letters may be a share's; once the asset is known, the rules for pairs hold."""
    with pytest.raises(SignalError) as caught:
        coins(ticker="OPUSD", **fields)
    assert caught.value.reason is Reason.CONFLICTING_FIELDS
