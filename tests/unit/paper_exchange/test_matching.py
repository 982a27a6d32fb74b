"""The matching engine, on a clock moved by hand."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.unit.paper_exchange.conftest import Make, World

FRIDAY_EVENING = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
FRIDAY_AFTER_EIGHT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def test_market_order_takes_the_far_side(world: World) -> None:
    """Purchases pay the ask, sales get the bid."""
    bought, sold = world.send(), world.send(side="sell")
    assert (bought.filled_avg_price, sold.filled_avg_price) == (
        Decimal("100.01"),
        Decimal("99.99"),
    )
    assert world.account.cash == Decimal("99999.80")
    assert world.qty() == 0


def test_events_of_a_fill(world: World) -> None:
    """First new, then fill, each with an order as it was at that moment."""
    world.send()
    new, fill = world.told
    assert (new["event"], new["order"]["status"], new["order"]["filled_qty"]) == ("new", "new", "0")
    assert (fill["event"], fill["order"]["status"]) == ("fill", "filled")
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("100.01", "10", "10")
    assert fill["event_id"] > new["event_id"]


def test_equal_seeds_give_equal_histories(make: Make) -> None:
    """Everything told is the same for the same seed, and not for another."""

    def history(seed: int) -> list[object]:
        one = make(seed=seed, partial_fill_rate=0.5)
        one.market.set_price("KO", None, one.clock.now_ns())
        one.send(time_in_force="day", qty="50")
        one.later(1)
        return [*one.told]

    assert history(3) == history(3) != history(4)


@pytest.mark.parametrize(
    ("limit", "price"), [("100.01", "100.01"), ("105", "100.01"), ("100", None)]
)
def test_limit_ioc(world: World, limit: str, price: str | None) -> None:
    """A marketable limit is filled at the ask, another is canceled at once."""
    order = world.rest(limit, time_in_force="ioc")
    assert order.filled_avg_price == (Decimal(price) if price else None)
    assert order.status == ("filled" if price else "canceled")
    assert world.engine.tick() is None


def test_resting_order_fills_at_the_quote_that_reaches_it(world: World) -> None:
    """The price may be better than the limit, never worse."""
    order = world.rest("95")
    assert world.later(1) == 250_000_000
    world.price("94")
    world.later(0.1)
    assert (order.status, order.filled_avg_price) == ("filled", Decimal("94.01"))
    assert world.engine.tick() is None


def test_fok_is_never_split(make: Make) -> None:
    """Fill-or-kill fills whole even where others are split."""
    world = make(partial_fill_rate=1.0)
    assert world.send(time_in_force="fok").status == "filled"
    assert world.events == ["new", "fill"]


def test_partial_fill_of_an_ioc_cancels_the_rest(make: Make) -> None:
    """What an IOC got stays, the remainder is canceled."""
    world = make(partial_fill_rate=1.0)
    order = world.send()
    assert world.events == ["new", "partial_fill", "canceled"]
    assert 0 < order.filled_qty < 10
    assert world.qty() == order.filled_qty


def test_partial_fill_of_a_day_order_goes_on(make: Make) -> None:
    """A resting remainder is filled later, and the executions add up."""
    world = make(partial_fill_rate=0.8, seed=5)
    order = world.send(time_in_force="day", qty="1000")
    for _ in range(60):
        world.later(0.3)
    assert order.status == "filled"
    fills = world.account.fills
    assert len(fills) > 1
    assert sum(fill.qty for fill in fills) == order.filled_qty == 1000
    assert [fill.leaves_qty for fill in fills][-1] == 0
    assert world.account.reserved == 0


def test_fill_delay(make: Make) -> None:
    """With a delay the order is new until the delay has passed, and can be canceled."""
    world = make(fill_delay_ms=200)
    order, other = world.send(), world.send()
    assert world.engine.has_news()
    assert world.later(0.1) == 100_000_000
    assert order.status == "new"
    world.engine.cancel(world.account, other)
    assert world.later(0.1) is None
    assert (order.status, other.status) == ("filled", "canceled")


def test_cancel_twice_is_no_error(world: World) -> None:
    """Only the first cancel is told; a filled order refuses."""
    resting, filled = world.rest("90"), world.send()
    world.engine.cancel(world.account, resting)
    world.engine.cancel(world.account, resting)
    assert world.events.count("canceled") == 1
    refusal = world.refusal(lambda: world.engine.cancel(world.account, filled))
    assert refusal == {"code": 42210000, "message": 'order is already in "filled" state'}


def test_client_order_id_is_unique_per_account_for_ever(world: World) -> None:
    """Neither an end nor a replacement frees an id; another account may use it."""
    world.engine.cancel(world.account, world.rest("90", client_order_id="a"))
    for again in (
        lambda: world.send(client_order_id="a"),
        lambda: world.rest("90", client_order_id="a"),
    ):
        assert world.refusal(again)["code"] == 40010001
    resting = world.rest("90")
    assert world.refusal(lambda: world.replace(resting, qty="5", client_order_id="a"))["code"] == (
        40010001
    )
    world.account = world.open_account("other")
    assert world.send(client_order_id="a").status == "filled"


# -- replacements ------------------------------------------------------------------------------


def test_replacement_chain(world: World) -> None:
    """Old and new order name each other, and both changes are told."""
    old = world.rest("90")
    new = world.replace(old, limit_price="91", qty=None)
    assert (old.status, old.replaced_by, new.replaces) == ("replaced", new.id, old.id)
    assert (new.qty, new.limit_price, new.status) == (Decimal(10), Decimal(91), "new")
    assert world.events == ["new", "replaced", "new"]
    assert world.account.reserved == 910


def test_replacement_may_fill_at_once(world: World) -> None:
    """A new limit at the ask is marketable."""
    assert world.replace(world.rest("90"), limit_price="101").status == "filled"


def test_replacement_of_a_partly_filled_order(make: Make) -> None:
    """The quantity is the chain's total; executions stay with the order that had them."""
    world = make(partial_fill_rate=1.0)
    old = world.rest("101", qty="10")
    done = old.filled_qty
    assert old.status == "partially_filled"
    assert world.refusal(lambda: world.replace(old, qty=str(done)))["message"] == (
        "qty must be > filled_qty"
    )
    new = world.replace(old, qty="20", limit_price="90")
    assert (new.qty, new.filled_qty) == (20 - done, Decimal(0))


def test_refused_replacement_changes_nothing(world: World) -> None:
    """The old order goes on when the new one cannot be paid."""
    old = world.rest("90")
    refusal = world.refusal(lambda: world.replace(old, qty="9000"))
    assert refusal["message"] == "insufficient buying power"
    assert (old.status, world.account.reserved) == ("new", Decimal(900))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "order parameters are not changed"),
        ({"limit_price": "90.00", "qty": "10"}, "order parameters are not changed"),
        ({"limit_price": "90.001"}, "invalid limit_price 90.001. sub-penny increment does not"),
        ({"trail": "1"}, "trail is only accepted for trailing stop orders"),
        ({"stop_price": "1"}, "limit orders require no stop price"),
        ({"notional": "100"}, "notional orders cannot be replaced"),
        ({"qty": "1.5"}, "qty must be a positive whole number"),
        ({"time_in_force": "iok"}, "invalid time_in_force"),
    ],
)
def test_bad_replacements(world: World, changes: dict[str, str], message: str) -> None:
    """Each has its message."""
    order = world.rest("90")
    body = world.refusal(lambda: world.replace(order, **changes))
    assert str(body["message"]).startswith(message)
    assert order.status == "new"


def test_replacing_what_has_ended(make: Make) -> None:
    """Ended, replaced and queued orders refuse, each in its words."""
    world = make(session="nyse", start=FRIDAY_AFTER_EIGHT)
    queued = world.rest("90")
    assert world.refusal(lambda: world.replace(queued, qty="5"))["message"] == (
        "cannot replace order in accepted status"
    )
    world.engine.cancel(world.account, queued)
    assert world.refusal(lambda: world.replace(queued, qty="5"))["message"] == (
        "cannot replace order in canceled status"
    )


def test_fractional_and_notional_orders_keep_their_size(world: World) -> None:
    """A fractional quantity cannot change, a notional order cannot be replaced."""
    part = world.rest("90", qty="1.5", time_in_force="day")
    assert world.refusal(lambda: world.replace(part, qty="2"))["message"] == (
        "qty of a fractional order cannot be changed"
    )
    assert world.replace(part, limit_price="91").limit_price == 91


# -- stops -------------------------------------------------------------------------------------


def test_sell_stop_becomes_a_market_order(world: World) -> None:
    """Reached by the last trade, it sells at the bid."""
    world.send()
    stop = world.send(side="sell", type="stop", stop_price="95", time_in_force="gtc")
    world.price("95.01")
    world.later(0.3)
    assert stop.status == "new"
    world.price("94")
    world.later(0.3)
    assert (stop.status, stop.filled_avg_price) == ("filled", Decimal("93.99"))


def test_buy_stop_has_a_collar(world: World) -> None:
    """Beyond 2.5 % above its stop it waits, as the stop-limit it has become."""
    stop = world.send(type="stop", stop_price="104", time_in_force="gtc")
    world.price("120")
    world.later(0.3)
    assert (stop.triggered, stop.status) == (True, "new")
    world.price("106")
    world.later(0.3)
    assert (stop.status, stop.filled_avg_price) == ("filled", Decimal("106.01"))


def test_collar_is_wider_for_cheap_stocks(world: World) -> None:
    """Under $50 it is 4 %."""
    world.price("10", "F")
    stop = world.send(symbol="F", type="stop", stop_price="11", time_in_force="day")
    world.price("11.43", "F")
    world.later(0.3)
    assert stop.filled_avg_price == Decimal("11.44")


def test_stop_limit(world: World) -> None:
    """Triggered by the stop, filled within the limit only."""
    order = world.rest("104", type="stop_limit", stop_price="103")
    world.price("105")
    world.later(0.3)
    assert (order.triggered, order.status) == (True, "new")
    world.price("103.50")
    world.later(0.3)
    assert order.status == "filled"


@pytest.mark.parametrize("trail", [{"trail_price": "5"}, {"trail_percent": "5"}])
def test_trailing_stop(world: World, trail: dict[str, str]) -> None:
    """The stop follows the high-water mark up and never down."""
    world.send()
    order = world.send(side="sell", type="trailing_stop", time_in_force="gtc", **trail)
    assert (order.hwm, order.stop_price) == (Decimal(100), Decimal(95))
    for price, high in (("120", 120), ("116", 120)):
        world.price(price)
        world.later(0.3)
        assert order.hwm == high
    world.price("113")
    world.later(0.3)
    assert order.status == "filled"


def test_trailing_stop_to_cover(world: World) -> None:
    """For a purchase the mark is the low; a replacement changes the trail."""
    world.send(side="sell")
    order = world.send(type="trailing_stop", time_in_force="gtc", trail_price="5")
    world.price("90")
    world.later(0.3)
    assert order.stop_price == 95
    closer = world.replace(order, trail="2")
    assert closer.stop_price == 92
    percent = world.send(
        type="trailing_stop", time_in_force="gtc", trail_percent="10", client_order_id="p", qty="1",
        symbol="NVDA",
    )  # fmt: skip
    assert world.replace(percent, trail="20").stop_price == 120


# -- hours -------------------------------------------------------------------------------------


def test_orders_wait_for_the_bell(make: Make) -> None:
    """A DAY order sent at night is accepted, then filled at the open on Monday."""
    world = make(session="nyse", start=FRIDAY_AFTER_EIGHT)
    order = world.send(time_in_force="day")
    assert (order.status, world.events) == ("accepted", ["accepted"])
    pause = world.engine.tick()
    assert pause == 60.5 * 3600 * 10**9
    world.later(pause / 10**9)
    assert (order.status, world.events) == ("filled", ["accepted", "new", "fill"])


def test_a_queued_order_can_be_canceled(make: Make) -> None:
    """Nothing happens at the bell then."""
    world = make(session="nyse", start=FRIDAY_AFTER_EIGHT)
    order = world.send(time_in_force="day")
    world.engine.cancel(world.account, order)
    world.later(4 * 86_400)
    assert (order.status, world.events) == ("canceled", ["accepted", "canceled"])


def test_ioc_while_closed(make: Make) -> None:
    """By default it is accepted, then canceled; by setting it is refused."""
    world = make(session="nyse", start=FRIDAY_EVENING)
    assert world.send().status == "canceled"
    assert world.events == ["accepted", "canceled"]
    strict = make(session="nyse", start=FRIDAY_EVENING, closed_ioc="refuse")
    assert strict.refusal(strict.send)["code"] == 42210000


def test_extended_hours(make: Make) -> None:
    """In the evening only a limit order that asks for it trades, and it lives until eight."""
    world = make(session="nyse", start=FRIDAY_EVENING)
    plain, extended = (
        world.rest("101", time_in_force="day", extended_hours=asked) for asked in (False, True)
    )
    assert (plain.status, extended.status) == ("accepted", "filled")
    waiting = world.rest("90", time_in_force="day", extended_hours=True)
    world.later(2 * 3600 + 1)
    assert waiting.status == "expired"


def test_extended_order_sent_at_night_enters_at_four(make: Make) -> None:
    """It does not wait for the bell, and it lives through the evening."""
    world = make(session="nyse", start=FRIDAY_AFTER_EIGHT)
    order = world.rest("90", time_in_force="day", extended_hours=True)
    world.later((48 + 7) * 3600)
    assert order.status == "new"
    world.later(15 * 3600)
    assert order.status == "new"
    world.later(3600 + 1)
    assert order.status == "expired"


def test_day_order_expires_at_the_close(make: Make) -> None:
    """At four in the afternoon it is over, and its hold is released."""
    world = make(session="nyse")
    order = world.rest("90", time_in_force="day")
    assert order.render()["expires_at"] == "2026-11-20T21:00:00.000000000Z"
    world.later(4 * 3600)
    assert (order.status, world.account.reserved) == ("expired", Decimal(0))
    assert world.events == ["new", "expired"]


def test_resting_gtc_order_waits_through_the_night(make: Make) -> None:
    """It is not filled while closed, however good the price."""
    world = make(session="nyse")
    order = world.rest("90")
    world.later(5 * 3600)
    world.price("80")
    world.later(1)
    assert order.status == "new"
    world.later(3 * 86_400 - 3 * 3600)
    assert order.status == "filled"


def test_the_open_can_reject_a_queued_order(make: Make) -> None:
    """A market order that the opening price makes too dear is rejected, not filled."""
    world = make(session="nyse", start=FRIDAY_AFTER_EIGHT)
    order = world.send(time_in_force="day", qty="3000")
    fine = world.send(time_in_force="day", qty="100")
    world.price("150")
    world.later(60.5 * 3600)
    assert (order.status, fine.status) == ("rejected", "filled")
    assert world.told[-3]["event"] == "rejected"
    assert order.render()["failed_at"] is not None


def test_crypto_trades_while_stocks_sleep(make: Make) -> None:
    """Crypto has no closing bell."""
    world = make(session="nyse", start=FRIDAY_AFTER_EIGHT)
    assert world.send(symbol="BTC/USD", qty="1").status == "filled"
    assert world.qty("BTCUSD") == Decimal("0.9975")


def test_gtc_ends_after_ninety_days(world: World) -> None:
    """Then it is canceled, at 16:15 in New York."""
    order = world.rest("90")
    assert order.render()["expires_at"] == "2027-02-18T21:15:00.000000000Z"
    world.later(90 * 86_400)
    assert order.status == "new"
    world.later(4.5 * 3600)
    assert order.status == "canceled"


def test_unknown_order(world: World) -> None:
    """An account sees its own orders only."""
    order = world.rest("90")
    other = world.open_account("other")
    refusal = world.refusal(lambda: world.engine.find(other, order.id))
    assert refusal == {"code": 40410000, "message": f"order not found for {order.id}"}


def test_dollars_of_a_sale_never_sell_more_than_is_held(make: Make) -> None:
    """When the price halves before the sale, what was claimed is sold, and nothing is short."""
    world = make(fill_delay_ms=250)
    world.send(qty="1", time_in_force="day")
    world.later(1)
    order = world.send(qty=None, notional="99.50", side="sell", time_in_force="day")
    world.price("50")
    world.later(1)
    assert (order.status, str(order.filled_qty)) == ("filled", "0.995099509")
    assert str(world.qty()) == "0.004900491"


def test_dollars_of_a_sale_claim_what_they_were_worth(world: World) -> None:
    """The claim on a position follows from today's price, not from what was once paid."""
    world.send(qty="2", time_in_force="day")
    world.price("50")
    queued = world.send(qty="1", side="sell", type="limit", limit_price="99", time_in_force="gtc")
    assert world.account.held_qty(queued.asset) == 1
    refusal = world.refusal(
        lambda: world.send(qty=None, notional="60", side="sell", time_in_force="day")
    )
    assert str(refusal["message"]).endswith("available: 1)")
