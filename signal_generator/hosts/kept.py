"""What is remembered of one strategy between restarts, and where: the seam to Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from signal_generator.publisher import PublishError

Fields = Mapping[str, str]


class TakenOver(PublishError):
    """Another host runs this strategy now; this one must not publish any more."""


class Interrupted(PublishError):
    """Asked to end before Redis had answered; what was to be kept is not, and will be done anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One strategy's memory.

    Args:
        version: grows with each transaction; by it an unclear answer is settled.
        state: the strategy's own ``state`` as JSON text.
        bars: of each ``SYMBOL|TIMEFRAME``, the start of the last bar that was run through.
        execution: id of the last entry of ``executions`` that was looked at.
        seen: the last executions that were handed on, for entries that come twice.
        counter: grows with each signal of callbacks other than ``on_bar``; a part of their ids.
            In Redis it begins at the time of the first start, in milliseconds.
    """

    version: int = 0
    state: str = "{}"
    bars: Mapping[str, str] = field(default_factory=dict)
    execution: str = ""
    seen: Sequence[str] = ()
    counter: int = 0


class Store(Protocol):
    """Keeps what strategies remember, in one transaction with what they publish."""

    def open(self, name: str) -> Kept:
        """What is kept of the strategy, which belongs to this host from now on.

        Raises:
            PublishError: it runs elsewhere, or Redis does not let us.
        """

    def commit(self, name: str, kept: Kept, signals: Sequence[Fields]) -> Kept:
        """Keep and publish, both or neither; returns what is kept now.

        Raises:
            TakenOver: another host has written meanwhile; neither was done.
            Refused: Redis refuses, and would again; neither was done.
            Interrupted: the stop flag was set while Redis did not answer.
        """

    def close(self, name: str) -> None:
        """Let another host have the strategy."""


class MemoryStore:
    """Keeps nothing beyond this process, for a look at what a strategy would do."""

    def __init__(self, publish: "Publish" = lambda _id, _fields: None) -> None:
        self._publish = publish

    def open(self, name: str) -> Kept:
        """Nothing yet."""
        del name
        return Kept()

    def commit(self, name: str, kept: Kept, signals: Sequence[Fields]) -> Kept:
        """Show the signals."""
        del name
        for fields in signals:
            self._publish("", fields)
        return kept

    def close(self, name: str) -> None:
        """Nothing to let go."""


class Publish(Protocol):
    """Told of each published signal: its entry id (empty where unknown) and its fields."""

    def __call__(self, entry_id: str, fields: Fields, /) -> None: ...
