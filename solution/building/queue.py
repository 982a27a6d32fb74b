"""Where signals wait for a worker, and who lets whom go first."""

from dataclasses import dataclass

from solution.clock import Clock
from solution.config import Settings
from solution.runtime.lanes import Lanes
from solution.runtime.rush import TURN, Rush
from solution.trading.duplicates import Duplicates
from solution.trading.turnstile import Turnstile
from solution.trading.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Shared by the listener, who fills it, and the workers."""

    lanes: Lanes[Work]
    rush: Rush
    turnstile: Turnstile
    duplicates: Duplicates


def build_queue(settings: Settings, clock: Clock) -> Queue:
    """Empty."""
    lanes: Lanes[Work] = Lanes(
        settings.queue_size, ordered=settings.orders.ordering == "asset", turn=TURN, clock=clock
    )
    return Queue(
        lanes=lanes,
        rush=Rush(lanes),
        turnstile=Turnstile(),
        duplicates=Duplicates(settings.gates.duplicate_window),
    )
