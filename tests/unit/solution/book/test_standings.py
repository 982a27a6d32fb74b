"""How executions and snapshots move positions; :mod:`test_positions` has them joined."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from solution.book.holdings import Position
from solution.book.standings import Standings
from solution.clock import SystemClock

SHARES = st.decimals(-50, 50, places=1)
PRICES = st.decimals(1, 500, places=2)
NEWS = st.tuples(
    st.sampled_from(["executed", "stands", "snapshot"]),
    st.sampled_from(["NVDA", "AAPL"]),
    SHARES,
    PRICES,
)


@given(news=st.lists(NEWS, max_size=20))
def test_gross_is_the_sum_of_the_most_that_each_may_be_worth(
    news: list[tuple[str, str, Decimal, Decimal]],
) -> None:
    """It is kept up with each piece of news, not added up anew."""
    standings = Standings(SystemClock())
    for now, (kind, symbol, qty, price) in enumerate(news, 1):
        mine = standings.of(symbol)
        if kind == "executed":
            standings.move(mine, qty, price, now)
        elif kind == "stands":
            standings.stand_at(mine, qty, Decimal(1), price, now)
        else:
            mine.settle()
            taken = Position(symbol, qty, qty, price, qty * price) if qty else None
            standings.take_over(mine, taken, (Decimal(0), Decimal(0)))
    most = Decimal(0)
    for symbol in standings:
        mine = standings.of(symbol)
        low, high = mine.qty - mine.sold_in_doubt, mine.qty + mine.bought_in_doubt
        most += max(abs(low), abs(high)) * mine.mark
    assert standings.gross == most


def test_a_standing_that_we_do_not_expect_is_doubted() -> None:
    """The truth lies between what we counted and what was said."""
    standings = Standings(SystemClock())
    mine = standings.of("NVDA")
    standings.move(mine, Decimal(10), Decimal(100), 1.0)
    standings.stand_at(mine, Decimal(15), Decimal(2), Decimal(100), 2.0)
    assert (mine.qty, mine.sold_in_doubt, mine.bought_in_doubt) == (15, 5, 0)
    assert mine.doubted_at == 2.0


def test_a_position_that_turns_has_the_entry_of_its_new_side() -> None:
    """Added to, it is averaged; reduced, it stays; closed, there is none."""
    standings = Standings(SystemClock())
    mine = standings.of("NVDA")
    entries = []
    for qty, price in ((10, 100), (10, 110), (-5, 200), (-25, 120), (10, 90)):
        standings.move(mine, Decimal(qty), Decimal(price), 1.0)
        entries.append(mine.avg_entry)
    assert entries == [100, 105, 105, 120, 0]


def test_a_question_makes_no_position() -> None:
    """Symbols that are looked at only are not kept."""
    standings = Standings(SystemClock())
    assert standings.find("NVDA") is None
    assert standings.value("NVDA") == (0, 0)
    assert list(standings) == standings.held() == []
