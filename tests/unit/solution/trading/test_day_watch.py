"""The day's figures and what trips on them."""

import logging
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.positions import Account
from solution.domain.day import Day
from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.ledger.sqlite import SqliteLedger
from solution.session import NEW_YORK
from solution.trading.day_watch import KEY, DayRules, DayWatch
from tests.helpers.clocks import ManualClock
from tests.helpers.restrictions import FakeStates

FIVE = Decimal("0.05")


class World:
    """An account that begins the day with 100,000; NEW_YORK says when."""

    def __init__(self, at: str = "2026-03-04 10:00", **limits: Any) -> None:
        self.rules = DayRules(**limits or {"max_loss": FIVE, "max_drawdown": FIVE})
        self.clock = ManualClock(datetime.fromisoformat(at).replace(tzinfo=NEW_YORK))
        self.ledger = SqliteLedger("sqlite://", clock=self.clock)
        self.states = FakeStates(self.clock)
        self.last_equity: Decimal | None = Decimal(100_000)
        self.equity: Decimal | None = None
        self.snapshot_at = float("-inf")
        self.watch = self.restart()

    def restart(self) -> DayWatch:
        """The next process."""
        self.watch = DayWatch(self.rules, self, self.ledger, self.states, self.clock)
        return self.watch

    def account(self) -> Account | None:
        if self.equity is None:
            return None
        return Account("acc", self.equity, Decimal(0), Decimal(0), last_equity=self.last_equity)

    def see(self, *equities: float) -> Day | None:
        """Snapshots, a minute apart, each judged."""
        for equity in equities:
            self.clock.advance(60.0)
            self.equity, self.snapshot_at = Decimal(str(equity)), self.clock.monotonic()
            self.watch.step()
        return self.watch.day

    def go_to(self, at: str) -> None:
        target = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
        self.clock.advance((target - self.clock.now()).total_seconds())


def day(opening: float, peak: float) -> Day:
    return Day(Decimal(str(opening)), Decimal(str(peak)))


# --- figures ----------------------------------------------------------------------------------


def test_the_day_opens_with_the_brokers_last_equity() -> None:
    """The peak follows what is seen, and never falls."""
    world = World()
    assert world.watch.day is None
    assert world.see(99_000) == day(100_000, 100_000)
    assert world.see(101_000, 100_500) == day(100_000, 101_000)


def test_without_a_last_equity_the_first_one_seen_opens_it() -> None:
    """What came before it is not known."""
    world = World()
    world.last_equity = None
    assert world.see(99_000, 98_000) == day(99_000, 99_000)


def test_a_restart_in_the_middle_of_the_day_keeps_opening_and_peak() -> None:
    """Whatever the account is worth now, and whatever the broker says by then."""
    world = World()
    world.see(103_000, 101_000)
    world.restart()
    assert world.watch.day == day(100_000, 103_000)
    world.last_equity = Decimal(90_000)
    assert world.see(101_500) == day(100_000, 103_000)


def test_a_new_day_begins_at_midnight_in_new_york() -> None:
    """Not before, and not with the session; also without a new snapshot."""
    world = World("2026-03-04 20:00")
    world.see(101_000)
    world.go_to("2026-03-04 23:59")
    assert world.watch.day == day(100_000, 101_000)
    world.go_to("2026-03-05 00:00")
    assert world.watch.day is None
    world.watch.step()
    assert world.watch.day == day(100_000, 101_000)


def test_a_last_equity_that_changes_before_the_session_opens_the_day_anew() -> None:
    """When in the night the broker turns it over is written nowhere."""
    world = World("2026-03-05 00:01")
    world.see(101_000)
    world.go_to("2026-03-05 04:00")
    world.last_equity = Decimal(101_000)
    assert world.see(100_900) == day(101_000, 101_000)


@pytest.mark.parametrize(
    ("at", "taken_over"),
    [
        ("2026-03-04 09:28", True),
        ("2026-03-04 09:29", False),
        ("2026-03-09 09:28", True),  # the Monday after clocks went forward
        ("2026-11-02 09:29", False),  # the Monday after they went back
        ("2026-11-27 12:59", False),  # a half day
        ("2026-11-26 15:00", True),  # a holiday
        ("2026-03-07 15:00", True),  # a Saturday
    ],
)
def test_once_the_session_is_open_the_opening_stands(at: str, *, taken_over: bool) -> None:
    """The snapshot of a minute later is judged."""
    world = World(at)
    world.watch.step()
    world.equity = Decimal(100_000)
    world.watch.step()
    world.last_equity = Decimal(90_000)
    found = world.see(95_000)
    assert found == (day(90_000, 95_000) if taken_over else day(100_000, 100_000))


# --- tripping -----------------------------------------------------------------------------------


def test_a_loss_restricts_until_the_next_session(caplog: pytest.LogCaptureFixture) -> None:
    """With an error in the log; a cent less does not."""
    world = World(max_loss=FIVE)
    world.see(95_000.01)
    assert world.states.said == {}
    with caplog.at_level(logging.ERROR):
        world.see(95_000)
    said = world.states.said["daily_loss"]
    assert (said.state, said.reason) == (TradingState.REDUCING, Reason.DAILY_LOSS)
    assert "5000.00 below the day's opening" in said.message
    assert [r.message for r in caplog.records] == ["limit_tripped"]
    opens = datetime(2026, 3, 5, 9, 30, tzinfo=NEW_YORK)
    assert world.states.until["daily_loss"] == opens.timestamp() * 1000


def test_a_drawdown_restricts_by_its_own_source() -> None:
    """Nothing was lost since the opening."""
    world = World()
    world.see(106_000, 101_000)
    assert set(world.states.said) == {"drawdown"}
    assert world.states.said["drawdown"].reason is Reason.DRAWDOWN


def test_equity_that_recovers_lifts_nothing_and_trips_once() -> None:
    """Neither does a restart."""
    world = World()
    world.see(94_000, 100_000)
    written = world.states.writes
    world.restart()
    world.see(94_000, 99_000)
    assert set(world.states.said) == {"daily_loss", "drawdown"}
    assert world.states.writes == written


def test_halt_on_trip() -> None:
    """Exits stop as well."""
    world = World(max_loss=FIVE, trips_to=TradingState.HALTED)
    world.see(90_000)
    assert world.states.said["daily_loss"].state is TradingState.HALTED


def test_without_limits_the_figures_are_kept_and_nothing_trips() -> None:
    """The status page shows them."""
    world = World(max_loss=None)
    world.see(1)
    assert (world.states.said, world.watch.limited) == ({}, False)
    assert world.watch.day == day(100_000, 100_000)


@pytest.mark.parametrize("restarted", [False, True])
def test_whoever_resumes_accepts_the_loss_so_far(*, restarted: bool) -> None:
    """The day begins again from there; another five percent trip it again."""
    world = World()
    world.see(94_000)
    world.states.resume()
    world.watch = world.restart() if restarted else world.watch
    assert world.see(94_000) == day(94_000, 94_000)
    world.see(89_301)
    assert world.states.said == {}
    world.see(89_300)
    assert "daily_loss" in world.states.said


@pytest.mark.parametrize("source", ["daily_loss", "drawdown"])
def test_a_trip_before_the_open_lasts_through_the_session(source: str) -> None:
    """Equity that recovers at the open lifts nothing, nor does a restart."""
    world = World("2026-03-04 08:00")
    world.see(94_000)
    opens = datetime(2026, 3, 5, 9, 30, tzinfo=NEW_YORK)
    assert world.states.until[source] == opens.timestamp() * 1000
    world.go_to("2026-03-04 09:31")
    assert world.see(98_000) == day(100_000, 100_000)
    world.restart()
    world.see(88_000, 98_000)
    world.go_to("2026-03-05 09:29")
    assert source in world.states.lasting()


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-06 09:00", "2026-03-09 09:30"),  # Friday; the clocks go forward in between
        ("2026-03-06 17:00", "2026-03-09 09:30"),
        ("2026-03-07 12:00", "2026-03-09 09:30"),  # Saturday: the day has no session
        ("2026-11-26 12:00", "2026-11-27 09:30"),  # Thanksgiving
        ("2026-11-27 09:00", "2026-11-30 09:30"),  # a half day
    ],
)
def test_which_open_ends_a_trip(at: str, until: str) -> None:
    """The first one after the day's session, or after a day without one."""
    world = World(at)
    world.see(94_000)
    expected = datetime.fromisoformat(until).replace(tzinfo=NEW_YORK).timestamp() * 1000
    assert world.states.until["daily_loss"] == expected


def test_beyond_the_calendar_a_person_ends_a_trip() -> None:
    """Nobody knows when the next session is."""
    world = World("2099-03-04 10:00")
    world.see(94_000)
    assert world.states.until["daily_loss"] == 0
    world.clock.advance(3600.0)
    assert world.see(94_000) == day(100_000, 100_000)
    assert "daily_loss" in world.states.lasting()


def test_a_trip_whose_time_is_over_shadows_nothing() -> None:
    """A row of an earlier version ends at today's open: the same snapshot trips at once."""
    world = World("2026-03-04 08:00", max_loss=FIVE)
    world.see(94_000)
    opens = datetime(2026, 3, 4, 9, 30, tzinfo=NEW_YORK)
    ends = round(opens.timestamp() * 1000)
    row = orjson.loads(world.ledger.get_state(KEY) or "")
    world.ledger.set_state(KEY, orjson.dumps({**row, "trips": {"daily_loss": ends}}).decode())
    world.states.until["daily_loss"] = ends
    world.restart()
    world.watch.step()
    world.go_to("2026-03-04 09:30")
    assert world.states.lasting() == {}
    world.watch.step()
    assert "daily_loss" in world.states.lasting()
    assert world.see(98_000) == day(100_000, 100_000)


def test_yesterdays_trip_shadows_none_of_today() -> None:
    """The broker turns `last_equity` over at 4:00: what tripped by the old one ends at the open."""
    world = World("2026-03-04 11:00", max_loss=FIVE)
    world.see(94_000)
    world.go_to("2026-03-05 00:01")
    world.see(94_000)
    world.go_to("2026-03-05 04:00")
    world.last_equity = Decimal(94_000)
    assert world.see(94_000) == day(94_000, 94_000)
    world.go_to("2026-03-05 09:29")
    assert "daily_loss" in world.states.lasting()
    world.see(94_000)
    assert world.states.lasting() == {}
    world.see(89_300, 93_000)
    assert "daily_loss" in world.states.lasting()
    opens = datetime(2026, 3, 6, 9, 30, tzinfo=NEW_YORK)
    assert world.states.until["daily_loss"] == opens.timestamp() * 1000


def test_a_loss_beyond_the_new_opening_as_well_stays_tripped() -> None:
    """Lost again in the night: that is today's, and lasts through today's session."""
    world = World("2026-03-05 00:01", max_loss=FIVE)
    world.see(89_000)
    world.go_to("2026-03-05 04:00")
    world.last_equity = Decimal(94_000)
    world.see(89_000)
    world.go_to("2026-03-05 09:31")
    world.see(94_000)
    assert "daily_loss" in world.states.lasting()


def test_a_new_day_forgets_the_trip_and_the_state_keeps_it_to_the_open() -> None:
    """At 15:00 on Wednesday: until Thursday 9:30, although the loss is Wednesday's."""
    world = World("2026-03-04 15:00")
    world.see(94_000)
    world.go_to("2026-03-05 08:00")
    world.last_equity = Decimal(94_000)
    assert world.see(94_100) == day(94_000, 94_100)
    assert "daily_loss" in world.states.lasting()
    world.go_to("2026-03-05 09:30")
    assert world.states.lasting() == {}
    world.see(89_300)
    assert "daily_loss" in world.states.lasting()


def test_a_ledger_that_fails_is_tried_again() -> None:
    """Nothing is raised into the keeper's other duties."""
    world = World()
    world.states.broken = True
    world.see(94_000)
    assert orjson.loads(world.ledger.get_state(KEY) or "{}").get("trips", {}) == {}
    world.states.broken = False
    world.watch.step()
    assert orjson.loads(world.ledger.get_state(KEY) or "")["trips"].keys() >= {"daily_loss"}


@pytest.mark.parametrize("row", ["", "{", "[]", "{}", '{"opening": "NaN", "peak": "1"}'])
def test_a_row_that_cannot_be_read_is_as_none(row: str) -> None:
    """The broker's own figure opens the day then."""
    world = World()
    world.ledger.set_state(KEY, row)
    world.restart()
    assert world.see(99_000) == day(100_000, 100_000)


def test_what_did_not_change_is_not_written() -> None:
    """A step a second."""
    world = World()
    world.see(99_000)
    world.ledger.delete_state(KEY)
    world.see(99_000, 98_000)
    assert world.ledger.get_state(KEY) is None


@given(st.lists(st.integers(90_000, 110_000), min_size=1, max_size=20))
def test_it_trips_exactly_when_some_snapshot_was_low_enough(equities: list[int]) -> None:
    """Against the definition, whatever came before and after."""
    world = World()
    world.see(*equities)
    peaks = [max([100_000, *equities[: n + 1]]) for n in range(len(equities))]
    lost = any(100_000 - equity >= 5_000 for equity in equities)
    fell = any(peak - equity >= 5_000 for peak, equity in zip(peaks, equities, strict=True))
    assert ("daily_loss" in world.states.said) == lost
    assert ("drawdown" in world.states.said) == fell
    assert world.watch.day == day(100_000, peaks[-1])


def test_what_the_status_shows() -> None:
    """Text, and nothing before the first snapshot."""
    world = World()
    assert world.watch.status() is None
    world.see(103_000, 99_000)
    assert world.watch.status() == {
        "opening": "100000.00",
        "peak": "103000.00",
        "change": "-1000.00",
        "change_pct": "-1.00",
        "below_peak_pct": "4.00",
        "limits": {"daily_loss": "5.00", "drawdown": "5.00"},
    }
