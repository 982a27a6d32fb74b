"""What the legs of brackets hold, and when the portfolio is told."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain import legs
from solution.domain.order_state import News, Progress
from solution.domain.records import Intent, State
from solution.trading.brackets import Bracket, Brackets
from solution.trading.tracked import Tracked
from solution.trading.work import FreeLane
from tests.helpers.trading import Rig

SHARES = st.integers(0, 50).map(Decimal)


def order(coid: str, state: State, filled: Decimal, *, side: str = "buy") -> Tracked:
    """An order of NVDA as the tracker has it."""
    identity = legs.identity_of("entry", coid) if coid != "entry" else "signal"
    intent = Intent(
        identity=identity,
        digest="",
        stream="nvda",
        entry_id="1-0",
        client_order_id=coid,
        state=state,
        symbol="NVDA",
        side=side,
    )
    return Tracked(intent, Progress(state, filled_qty=filled), FreeLane())


def bracket(filled: Decimal, *exits: Tracked, side: str = "buy", known: bool = True) -> Bracket:
    """A filled entry order with these legs."""
    entry = order("entry", State.FILLED, filled, side=side)
    entry.legs_known = known
    return Bracket(entry, {leg.intent.client_order_id: leg for leg in exits})


@given(bought=SHARES, take=SHARES, stop=SHARES, is_open=st.booleans(), known=st.booleans())
def test_no_bracket_holds_more_than_is_left_of_it(
    *, bought: Decimal, take: Decimal, stop: Decimal, is_open: bool, known: bool
) -> None:
    """Both exits hold the same shares, and a short bracket the mirror of a long one."""
    state = State.OPEN if is_open else State.CANCELED
    exits = order("take", state, take), order("stop", state, stop)
    long = bracket(bought, *exits, known=known).holds(bought)
    held = max(Decimal(0), bought - take - stop)
    assert long == (held if is_open or not known else 0)
    assert bracket(bought, *exits, side="sell", known=known).holds(bought) == -long


class Book(Brackets):
    """Brackets over a portfolio with ten NVDA."""

    def __init__(self) -> None:
        rig = Rig()
        rig.snapshot(NVDA="10")
        super().__init__(rig.portfolio)

    @property
    def told(self) -> Decimal:
        return self._portfolio.view("NVDA").leg_qty


@pytest.fixture
def book() -> Book:
    """Nothing begun yet."""
    return Book()


def test_an_execution_is_foreseen_before_it_is_booked(book: Book) -> None:
    """Of the entry order; nobody sees its shares free in between."""
    entry = order("entry", State.OPEN, Decimal(0))
    book.begin(entry)
    assert book.told == 0
    book.foresee("entry", News("filled", filled_qty=Decimal(4)))
    book.foresee("other", News("filled", filled_qty=Decimal(9)))
    assert book.told == 4


def test_a_bracket_is_forgotten_when_its_legs_have_ended(book: Book) -> None:
    """Every name of it."""
    entry = order("entry", State.FILLED, Decimal(4))
    book.begin(entry)
    leg = order("take", State.OPEN, Decimal(0), side="sell")
    book.add(leg)
    entry.legs_known = True
    book.settle("take")
    assert (book.told, len(book.holding("NVDA"))) == (4, 1)
    leg.progress = leg.progress._replace(state=State.CANCELED)
    book.settle("take")
    assert (book.told, book.holding("NVDA")) == (0, [])
    assert book.find("entry") is book.find("take") is None


def test_an_entry_that_ends_unfilled_is_forgotten(book: Book) -> None:
    """Its legs never began, and nobody will name them."""
    book.begin(order("entry", State.CANCELED, Decimal(0)))
    book.settle("entry")
    assert book.find("entry") is None


def test_a_row_read_anew_takes_the_place_of_the_one_before(book: Book) -> None:
    """What was known of its legs stays known; the shares are those of the new one."""
    first, second = (order("entry", State.FILLED, Decimal(n)) for n in (4, 5))
    first.legs_known = True
    book.begin(first)
    book.add(order("take", State.OPEN, Decimal(0), side="sell"))
    book.begin(second)
    book.settle("entry")
    assert (second.legs_known, book.told) == (True, 5)


def test_the_leg_of_nobody_holds_nothing(book: Book) -> None:
    """Its entry order has no row."""
    book.add(order("take", State.OPEN, Decimal(0), side="sell"))
    book.settle("take")
    assert book.told == 0
