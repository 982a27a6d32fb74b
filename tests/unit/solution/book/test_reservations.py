"""What is promised to orders, and what of it is charged against a snapshot."""

from decimal import Decimal
from typing import Any

import pytest

from solution.book.reservations import Reservation, Reservations
from solution.domain.orders import Side

BEFORE, SNAPSHOT, AFTER = 9.0, 10.0, 11.0


def order(
    coid: str = "a", *, side: Side = Side.BUY, opens: bool = True, **more: Any
) -> Reservation:
    """Ten NVDA, reserved at $100."""
    return Reservation(coid, "NVDA", side, Decimal(10), Decimal(100), opens, **more)


def sale(coid: str = "s", **more: Any) -> Reservation:
    """Ten held NVDA."""
    return order(coid, side=Side.SELL, opens=False, **more)


def charged(book: Reservations) -> tuple[object, ...]:
    """Buying power and cash."""
    return book.buying_power, book.cash


def pending(book: Reservations, symbol: str = "NVDA") -> tuple[object, ...]:
    """Signed shares, its buying half, and shares promised to sales."""
    return book.pending_qty(symbol), book.pending_buy_qty(symbol), book.open_sell_qty(symbol)


def held(*reservations: Reservation) -> Reservations:
    book = Reservations()
    for reservation in reservations:
        book.add(reservation)
    return book


# --- one reservation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reservation", "power", "cash"),
    [
        (order(), 1000, 1000),
        (order(side=Side.SELL), 1000, 0),
        (order(opens=False), 0, 1000),
        (sale(), 0, 0),
    ],
    ids=["buy", "short", "cover", "sale"],
)
def test_what_each_kind_of_order_holds(reservation: Reservation, power: int, cash: int) -> None:
    """Openings hold buying power, every buy the cash it will cost, a sale nothing but shares."""
    assert charged(held(reservation)) == (power, cash)


def test_a_snapshot_asked_for_after_acceptance_contains_the_order() -> None:
    """Its buying power is gone from the broker's number already; its cash not before the fill."""
    book = held(bought := order())
    book.accept(bought, BEFORE)
    book.snapshot_applied(SNAPSHOT)
    assert charged(book) == (0, 1000)


def test_a_snapshot_on_its_way_when_the_order_was_accepted_may_lack_it() -> None:
    """Charged in full until the next one: too careful for a moment, never too bold."""
    book = held(bought := order())
    book.accept(bought, SNAPSHOT)
    book.snapshot_applied(SNAPSHOT)
    assert charged(book) == (1000, 1000)
    book.snapshot_applied(AFTER)
    assert charged(book) == (0, 1000)


def test_the_first_acceptance_counts() -> None:
    """A repeated answer does not make an order look younger than the snapshot."""
    book = held(bought := order())
    book.accept(bought, BEFORE)
    book.accept(bought, AFTER)
    assert bought.accepted_at == BEFORE


def test_a_fill_costs_what_it_cost() -> None:
    """Four at 90 instead of 100: forty dollars are free again."""
    book = held(bought := order())
    book.fill(bought, Decimal(4), Decimal(90), BEFORE)
    assert charged(book) == (960, 960)
    assert book.pending_qty("NVDA") == 6


def test_cash_of_fills_that_the_snapshot_contains_is_not_charged_twice() -> None:
    """What was learned before it was asked for is in it, what came meanwhile may not be."""
    book = held(bought := order())
    book.accept(bought, BEFORE)
    book.fill(bought, Decimal(4), Decimal(100), BEFORE)
    book.fill(bought, Decimal(1), Decimal(100), SNAPSHOT)
    book.snapshot_applied(SNAPSHOT)
    assert book.cash == 600
    book.snapshot_applied(AFTER)
    assert book.cash == 500


def test_an_order_at_its_end_is_charged_for_its_fills_until_a_later_snapshot() -> None:
    """The remainder is free at once, the cost when the broker's number has it."""
    book = held(bought := order())
    book.fill(bought, Decimal(4), Decimal(100), BEFORE)
    book.end(bought, SNAPSHOT)
    assert charged(book) == (400, 400)
    book.snapshot_applied(SNAPSHOT)
    assert len(book) == 1
    book.snapshot_applied(AFTER)
    assert (len(book), *charged(book)) == (0, 0, 0)


def test_an_end_is_told_once() -> None:
    """A second end does not keep the reservation for longer."""
    book = held(bought := order())
    book.end(bought, BEFORE)
    book.end(bought, AFTER)
    book.snapshot_applied(SNAPSHOT)
    assert len(book) == 0


def test_the_proceeds_of_a_fresh_sale_can_be_spent_at_once() -> None:
    """No snapshot since it was reserved, so none can contain them."""
    book = held(sold := sale())
    book.fill(sold, Decimal(4), Decimal(100), BEFORE)
    assert charged(book) == (-400, -400)


def test_proceeds_that_a_snapshot_may_contain_are_not_spent_twice() -> None:
    """The POST was on its way when the broker was asked; its answer came after."""
    book = held(sold := sale())
    book.snapshot_applied(SNAPSHOT)
    book.accept(sold, AFTER)
    book.fill(sold, Decimal(10), Decimal(100), AFTER)
    assert charged(book) == (0, 0)


def test_a_released_order_gives_everything_back() -> None:
    """It provably never existed; a second release is nothing."""
    book = held(order(), sale())
    book.drop("a")
    book.drop("a")
    book.drop("s")
    assert (len(book), *charged(book)) == (0, 0, 0)
    assert pending(book) == (0, 0, 0)


def test_an_enlarged_order_never_promises_less_than_nothing() -> None:
    """Replaced by hand with a larger quantity, it fills beyond what we reserved."""
    book = held(sold := sale())
    book.fill(sold, Decimal(15), Decimal(100), BEFORE)
    assert pending(book) == (0, 0, 0)
    bought = order()
    book = held(bought)
    book.fill(bought, Decimal(15), Decimal(100), BEFORE)
    assert charged(book) == (1500, 1500)


# --- sums by symbol -------------------------------------------------------------------------------


def test_pending_shares_are_signed() -> None:
    """Buys add, sales and short sales take away, ended orders do neither."""
    book = held(order("a"), order("b"), sale("s"), order("t", side=Side.SELL), order("e"))
    ended = book.get("e")
    assert ended is not None
    book.end(ended, BEFORE)
    assert pending(book) == (0, 20, 10)


def test_symbols_do_not_mix() -> None:
    """Another symbol has nothing pending."""
    book = held(order())
    assert pending(book, "AAPL") == (0, 0, 0)


@pytest.mark.parametrize(
    ("accepted", "ended", "surely", "maybe"),
    [
        (BEFORE, None, 10, 0),
        (SNAPSHOT, None, 0, 10),
        (None, None, 0, 10),
        (BEFORE, SNAPSHOT, 0, 10),
        (BEFORE, AFTER, 0, 10),
        (BEFORE, BEFORE, 0, 0),
    ],
)
def test_which_sales_held_shares_when_the_broker_answered(
    accepted: float | None, ended: float | None, surely: int, maybe: int
) -> None:
    """Accepted before it was asked and still open: surely. On its way, or ended since: maybe."""
    book = held(sale(accepted_at=accepted, ended_at=ended), order(accepted_at=BEFORE))
    found = book.sells_at(SNAPSHOT).get("NVDA", (Decimal(0), Decimal(0)))
    assert found == (Decimal(surely), Decimal(maybe))
