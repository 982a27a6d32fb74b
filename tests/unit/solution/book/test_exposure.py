"""All positions together, a strategy's part of them, and the counts, as decisions see them."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from solution.book.positions import Account, Holdings, Portfolio, Position
from solution.book.reservations import Reservation
from solution.book.tallies import Sent, Tally
from solution.domain.orders import Side
from tests.helpers.clocks import ManualClock

ACCOUNT = Account("a", Decimal(100_000), Decimal(100_000), Decimal(200_000))


def portfolio(*positions: Position) -> tuple[Portfolio, ManualClock]:
    """One account just read."""
    clock = ManualClock()
    book = Portfolio(clock, ["sma"])
    book.apply_snapshot(ACCOUNT, {p.symbol: p for p in positions}, clock.monotonic())
    clock.advance(1)
    return book, clock


def promise(book: Portfolio, coid: str, side: Side, qty: int, *, opens: bool = True) -> Holdings:
    """An order of ten dollars a share, of the strategy; what its decision saw."""
    order = Reservation(coid, "NVDA", side, Decimal(qty), Decimal(10), opens, "sma")
    return book.reserve("NVDA", lambda held: (order, held), strategy="sma")


def test_longs_and_shorts_add_up_at_what_the_broker_says_they_are_worth() -> None:
    """Their market value; the entry price where it says none."""
    book, _ = portfolio(
        Position("A", Decimal(10), Decimal(10), Decimal(1), Decimal(500)),
        Position("B", Decimal(-4), Decimal(-4), Decimal(1), Decimal(-800)),
        Position("C", Decimal(3), Decimal(3), Decimal(100)),
    )
    assert book.view("D").gross == 500 + 800 + 300


def test_what_pending_orders_may_add_counts_and_what_they_may_sell_does_not() -> None:
    """A reservation stands for what it may still do; filled, the position does."""
    book, clock = portfolio()
    promise(book, "a", Side.BUY, 10)
    assert book.view("NVDA").gross == 100
    book.accepted("a")
    book.filled("a", "NVDA", Decimal(4), Decimal(11), Decimal(4))
    assert book.view("NVDA").gross == 60 + 44
    clock.advance(1)
    book.ended("a")
    promise(book, "s", Side.SELL, 4, opens=False)
    assert book.view("NVDA").gross == 44


def test_a_strategy_counts_its_own_orders() -> None:
    """Pending and filled; another's orders are not its."""
    book, _ = portfolio(Position("NVDA", Decimal(5), Decimal(5), Decimal(10), Decimal(50)))
    assert promise(book, "a", Side.BUY, 10).strategy_value == 0
    assert promise(book, "b", Side.BUY, 1).strategy_value == 100
    book.filled("a", "NVDA", Decimal(10), Decimal(10), Decimal(15))
    book.released("b", sent=False)
    assert promise(book, "c", Side.BUY, 1).strategy_value == 100
    assert book.view("NVDA").strategy_value == 0  # of no strategy


def test_counts_go_with_reservations() -> None:
    """One that never left gives its place back, one that the broker refused does not."""
    book, _ = portfolio()
    assert promise(book, "a", Side.BUY, 1).tally == Tally(0, 0, 0)
    assert promise(book, "s", Side.SELL, 1, opens=False).tally == Tally(1, 1, 1)
    assert promise(book, "b", Side.BUY, 1).tally == Tally(1, 1, 1)
    book.released("a", sent=False)
    book.released("b")
    assert promise(book, "c", Side.BUY, 1).tally == Tally(1, 1, 1)
    assert book.view_beside("NVDA", "c").tally == Tally(1, 1, 1)


def test_a_restart_has_used_up_what_was_used_up() -> None:
    """Orders of today, and what strategies have traded."""
    book, clock = portfolio(Position("NVDA", Decimal(5), Decimal(5), Decimal(10), Decimal(50)))
    book.restore_counts([Sent("x", "NVDA", clock.epoch_ms() - 1000)], [("sma", "NVDA", Decimal(3))])
    seen = promise(book, "a", Side.BUY, 1)
    assert (seen.tally, seen.strategy_value) == (Tally(1, 1, 1), 30)


FILLS = st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(1, 50)), max_size=12)


@given(FILLS)
def test_the_running_sum_equals_the_sum(fills: list[tuple[bool, int, int]]) -> None:
    """After any row of executions: the shares held at the last price that was told."""
    book, clock = portfolio(Position("B", Decimal(-2), Decimal(-2), Decimal(7), Decimal(-14)))
    held, mark = 0, 0
    for number, (buys, qty, price) in enumerate(fills):
        coid, signed = f"o{number}", qty if buys else -qty
        side = Side.BUY if buys else Side.SELL
        promise(book, coid, side, qty, opens=(held + signed) * signed > 0)
        held, mark = held + signed, price
        book.filled(coid, "NVDA", Decimal(signed), Decimal(price), Decimal(held))
        clock.advance(1)
        book.ended(coid)
    assert book.view("NVDA").gross == abs(held) * mark + 14
