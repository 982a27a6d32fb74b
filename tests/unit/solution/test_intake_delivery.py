"""Intake: from the listener's hands into a lane, or back to Redis."""

from typing import Any

import pytest

from solution.domain.records import EntryRef
from solution.domain.signal import parse
from solution.feeds.signal_listener import Arrival
from solution.intake import Intake
from solution.runtime.lanes import Lanes
from solution.trading.work import Work
from tests.helpers.clocks import ManualClock
from tests.helpers.trading import ASSETS, STREAM, entry_fields


class Rig:
    """An intake before lanes with so much room."""

    def __init__(self, room: int) -> None:
        self.clock = ManualClock()
        self.lanes: Lanes[Work] = Lanes(room, clock=self.clock)
        outcomes: Any = None  # nothing is put or asked there
        self.intake = Intake(self.lanes, outcomes, self.clock, ledger=outcomes, tracker=outcomes)

    def arrive(self, entry_id: str, *, redelivered: bool = False) -> bool:
        fields = entry_fields("b", {})
        signal = parse(STREAM, entry_id, fields)
        arrival = Arrival(
            signal=signal,
            asset=ASSETS[signal.ticker],
            ref=EntryRef(STREAM, entry_id),
            received_at=1.0,
            received_ms=2,
            redelivered=redelivered,
            fields=fields,
        )
        return self.intake.deliver(arrival)


def test_a_signal_that_finds_the_lanes_full_stays_pending() -> None:
    """Work came back from a worker between the question for room and the answer."""
    rig = Rig(1)
    assert [rig.arrive("1-0"), rig.arrive("2-0")] == [True, False]


def test_a_signal_that_finds_the_lanes_closed_stays_pending() -> None:
    """The service stops: whoever starts next reads it."""
    rig = Rig(9)
    rig.lanes.close()
    assert rig.arrive("1-0") is False


@pytest.mark.parametrize("redelivered", [False, True])
def test_what_is_delivered_is_what_arrived(redelivered: bool) -> None:
    """Entry, times and content go with the work; what was delivered before is not fresh."""
    rig = Rig(9)
    assert rig.arrive("1-0", redelivered=redelivered)
    taken = rig.lanes.take(lambda _: object(), lambda _: 0.0, 0.0)
    assert taken is not None
    work = taken[0].item
    assert (work.ref, work.received_at, work.received_ms) == (EntryRef(STREAM, "1-0"), 1.0, 2)
    assert (work.redelivered, work.fresh) == (redelivered, not redelivered)
