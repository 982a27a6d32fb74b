"""What snapshots correct: positions and cash that our own arithmetic predicted wrongly."""

from decimal import Decimal

import pytest

from solution.book.audit import Finding, SnapshotAudit
from solution.book.positions import Account, Portfolio, Position
from solution.book.reservations import Reservation
from solution.domain.orders import Side
from tests.helpers.clocks import ManualClock

TEN = Decimal(10)


class Book:
    """A portfolio with a snapshot of 1000 in cash and nothing held."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.portfolio = Portfolio(self.clock)
        self.snapshot("1000")

    def snapshot(self, cash: str, *, asked: float | None = None, **held: str) -> dict[str, object]:
        """The broker's picture; asked for now unless said otherwise."""
        self.clock.advance(1)
        account = Account("a", Decimal(1000), Decimal(cash), Decimal(2000))
        positions = {s: Position(s, Decimal(q), Decimal(q), TEN) for s, q in held.items()}
        at = self.clock.monotonic() if asked is None else asked
        return dict(self.portfolio.apply_snapshot(account, positions, at))

    def order(self, name: str = "c", side: Side = Side.BUY) -> None:
        """Reserve ten shares at ten, and have the broker take the order."""
        self.clock.advance(1)
        reservation = Reservation(name, "NVDA", side, TEN, TEN, opens=side is Side.BUY)
        self.portfolio.reserve("NVDA", lambda _: (reservation, None))
        self.portfolio.accepted(name)

    def fill(self, qty: str, held: str, name: str = "c") -> None:
        """An execution at ten, with the broker's standing after it."""
        self.clock.advance(1)
        self.portfolio.filled(name, "NVDA", Decimal(qty), TEN, Decimal(held))

    def found(self) -> list[Finding]:
        return self.portfolio.drain_findings()[0]


@pytest.fixture
def book() -> Book:
    """A fresh one."""
    return Book()


def test_a_position_that_nobody_moved_is_corrected(book: Book) -> None:
    """The broker's number stands, both are told."""
    assert book.snapshot("1000", NVDA="3") == {"NVDA": (Decimal(0), Decimal(3))}
    assert book.found() == [Finding("NVDA", Decimal(0), Decimal(3))]
    assert book.portfolio.view("NVDA").qty == 3
    assert book.found() == []


def test_the_same_difference_is_told_once() -> None:
    """Something moves it back each time: one line, not one a minute; another value is news."""
    audit, none, three = SnapshotAudit(), Decimal(0), Decimal(3)
    told = [audit.position("NVDA", none, three, busy=False) for _ in range(3)]
    assert told == [True, False, False]
    assert audit.position("NVDA", none, Decimal(4), busy=False)
    assert audit.position("AMD", none, three, busy=False)
    assert [f.broker for f in audit.drain()[0]] == [three, Decimal(4), three]


def test_a_symbol_with_an_open_order_is_no_difference_but_a_suspect(book: Book) -> None:
    """A fill may be in the broker's number and not with us yet: its order is asked for."""
    book.order()
    assert book.snapshot("960", NVDA="4") == {}
    assert book.portfolio.drain_findings() == ([], {"NVDA"})
    assert book.portfolio.view("NVDA").qty == 4


def test_an_order_that_ended_while_the_snapshot_was_made_is_not_judged(book: Book) -> None:
    """It was open when the question was asked."""
    book.order()
    asked = book.clock.monotonic()
    book.clock.advance(1)
    book.portfolio.ended("c")
    assert book.snapshot("960", asked=asked, NVDA="4") == {}
    assert book.found() == []


def test_cash_that_fills_explain_is_as_predicted(book: Book) -> None:
    """Bought ten at ten and sold them, with snapshots in between: no finding."""
    book.order()
    book.fill("10", "10")
    book.snapshot("900", NVDA="10")  # still open as far as we know: not judged
    book.portfolio.ended("c")
    book.snapshot("900", NVDA="10")
    book.order("d", Side.SELL)
    book.fill("-10", "0", "d")
    book.portfolio.ended("d")
    book.snapshot("1000")
    assert book.found() == []


def test_cash_that_nothing_explains_is_corrected(book: Book) -> None:
    """Both numbers are told; the next snapshot is compared with the broker's."""
    book.order()
    book.fill("10", "10")
    book.portfolio.ended("c")
    book.snapshot("850", NVDA="10")
    assert book.found() == [Finding("", Decimal(900), Decimal(850))]
    book.snapshot("850", NVDA="10")
    assert book.found() == []


def test_rounding_is_no_difference(book: Book) -> None:
    """Cash is in cents: one for each execution, and one more."""
    book.order()
    book.fill("10", "10")
    book.portfolio.ended("c")
    book.snapshot("900.02", NVDA="10")
    assert book.found() == []
    book.snapshot("900.04", NVDA="10")
    assert len(book.found()) == 1


@pytest.mark.parametrize("how", ["without a price", "another's", "busted"])
def test_money_that_nobody_counted_is_not_judged(book: Book, how: str) -> None:
    """The next quiet snapshot begins anew."""
    if how == "without a price":
        book.order()
        book.portfolio.filled("c", "NVDA", TEN, Decimal(0), TEN)
        book.portfolio.ended("c")
    elif how == "another's":
        book.portfolio.moved_elsewhere("NVDA", TEN)
    else:
        book.portfolio.taken_back("NVDA", TEN, TEN)
    book.snapshot("500", NVDA="10")
    assert book.found() == []
    book.snapshot("400", NVDA="10")
    assert len(book.found()) == 1


@pytest.mark.parametrize("position_qty", [None, Decimal(4)])
def test_shares_taken_back_are_in_doubt(book: Book, position_qty: Decimal | None) -> None:
    """Gone at once, and sure with the next snapshot."""
    book.snapshot("900", NVDA="10")
    book.found()
    book.portfolio.taken_back("NVDA", Decimal(-6), position_qty)
    view = book.portfolio.view("NVDA")
    assert (view.qty, view.available_qty, view.uncertain) == (Decimal(4), Decimal(4), True)
    book.snapshot("960", NVDA="4")
    assert not book.portfolio.is_uncertain("NVDA")
    assert book.found() == []
