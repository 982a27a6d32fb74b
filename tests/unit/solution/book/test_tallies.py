"""Counts of orders that open: of the day, of the minute, of the minute in a ticker."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.tallies import Sent, Tallies, Tally, day_began_ms
from tests.helpers.clocks import ManualClock

NEW_YORK = ZoneInfo("America/New_York")


def tallies() -> tuple[Tallies, ManualClock]:
    """None counted yet."""
    clock = ManualClock()
    return Tallies(clock), clock


def test_an_order_counts_once_in_each() -> None:
    """The same order again (its body is sent once more) is the same one."""
    counts, _ = tallies()
    counts.add("a", "NVDA")
    counts.add("a", "NVDA")
    counts.add("b", "AAPL")
    assert counts.of("NVDA") == Tally(2, 2, 1)
    assert counts.of("MSFT") == Tally(2, 2, 0)


def test_a_minute_is_any_sixty_seconds() -> None:
    """Not those of the clock's minutes, at whose turn twice as many could be sent."""
    counts, clock = tallies()
    counts.add("a", "NVDA")
    clock.advance(59.999)
    assert counts.of("NVDA") == Tally(1, 1, 1)
    clock.advance(0.001)
    assert counts.of("NVDA") == Tally(1, 0, 0)


def test_what_never_left_gives_its_place_back() -> None:
    """In every count, and only its own."""
    counts, clock = tallies()
    counts.add("a", "NVDA")
    clock.advance(1)
    counts.add("b", "NVDA")
    counts.drop("b", "NVDA")
    counts.drop("never", "NVDA")
    assert counts.of("NVDA") == Tally(1, 1, 1)
    clock.advance(59)
    assert counts.of("NVDA") == Tally(1, 0, 0)


def test_what_left_the_minute_can_still_be_taken_back_from_the_day() -> None:
    """An order may wait longer than a minute before it turns out never to have left."""
    counts, clock = tallies()
    counts.add("a", "NVDA")
    clock.advance(61)
    assert counts.of("NVDA") == Tally(1, 0, 0)
    counts.drop("a", "NVDA")
    assert counts.of("NVDA") == Tally(0, 0, 0)


def test_an_order_judged_again_is_not_counted_against_itself() -> None:
    """The last one of the day must not be refused for being the last one."""
    counts, clock = tallies()
    counts.add("a", "NVDA")
    counts.add("b", "NVDA")
    assert counts.of("NVDA", beside="b") == Tally(1, 1, 1)
    clock.advance(61)
    assert counts.of("NVDA", beside="b") == Tally(1, 0, 0)
    assert counts.of("NVDA", beside="never") == Tally(2, 0, 0)


@pytest.mark.parametrize(
    "midnight",
    [
        datetime(2026, 3, 5, tzinfo=NEW_YORK),
        datetime(2026, 3, 9, tzinfo=NEW_YORK),  # the day after the clocks went forward
        datetime(2026, 11, 2, tzinfo=NEW_YORK),  # the day after they went back
        datetime(2028, 2, 29, tzinfo=NEW_YORK),
        datetime(2027, 1, 1, tzinfo=NEW_YORK),
    ],
)
def test_the_day_turns_at_midnight_in_new_york(midnight: datetime) -> None:
    """A millisecond before it is still yesterday; the minute's count goes on."""
    clock = ManualClock(datetime.fromtimestamp(midnight.timestamp() - 1, UTC))
    counts = Tallies(clock)
    counts.add("a", "NVDA")
    clock.advance(0.999)
    assert counts.of("NVDA") == Tally(1, 1, 1)
    clock.advance(0.001)
    assert counts.of("NVDA") == Tally(0, 1, 1)
    assert day_began_ms(clock.epoch_ms()) == int(midnight.timestamp() * 1000)


def test_a_restart_counts_what_was_sent_before() -> None:
    """Today's orders, the last minute's among them; yesterday's do not count."""
    counts, clock = tallies()
    now = clock.epoch_ms()
    yesterday = day_began_ms(now) - 1
    counts.restore(
        [
            Sent("old", "NVDA", yesterday),
            Sent("a", "NVDA", now - 61_000),
            Sent("b", "NVDA", now - 59_000),
            Sent("c", "AAPL", now + 500),  # by a clock that was ahead of ours
        ]
    )
    assert counts.of("NVDA") == Tally(3, 2, 1)
    clock.advance(1)
    assert counts.of("NVDA") == Tally(3, 1, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "drop", "wait"]),
        st.integers(0, 5),
        st.sampled_from(["A", "B"]),
    ),
    max_size=40,
)


@given(STEPS)
def test_counts_equal_a_plain_list(steps: list[tuple[str, int, str]]) -> None:
    """Whatever happens in whatever order: a list of (time, order, ticker) says the same."""
    counts, clock = tallies()
    sent: dict[str, tuple[float, str]] = {}
    for what, number, symbol in steps:
        coid = f"{symbol}{number}"
        if what == "wait":
            clock.advance(number * 10)
        elif what == "add":
            counts.add(coid, symbol)
            sent.setdefault(coid, (clock.monotonic(), symbol))
        else:
            counts.drop(coid, symbol)
            sent.pop(coid, None)
    since = clock.monotonic() - 60
    lately = [of for at, of in sent.values() if at > since]
    assert counts.of("A") == Tally(len(sent), len(lately), lately.count("A"))
