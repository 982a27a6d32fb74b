"""One signal's way through one worker, and what is left of it when its POST is on its way."""

from dataclasses import dataclass

from solution.trading.submit import Flight
from solution.trading.work import Lane, Work


@dataclass(slots=True)
class Departure:
    """A POST that one worker sent and lands itself, after it has sent others."""

    work: Work
    lane: Lane
    flight: Flight


@dataclass(slots=True)
class Course:
    """A signal in the hands of a worker.

    Args:
        hurried: its answer may be awaited apart.
        burdened: its worker has sent others and not booked their answers, so it waits for nothing.
        departed: set once its answer is awaited apart; then the worker has to land it.
        sent_back: it could not be decided now, and goes back to its lane.
    """

    work: Work
    lane: Lane
    hurried: bool = False
    burdened: bool = False
    departed: Departure | None = None
    sent_back: bool = False
