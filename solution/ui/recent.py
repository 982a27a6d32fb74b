"""The last things told of signals, kept for the status page."""

from collections import deque
from collections.abc import Mapping, Sequence

from solution.domain.records import EntryRef
from solution.ledger.writer import Publish

KEPT = 200
"""More than a terminal has lines; all of them go to Redis each second."""
_FIELDS = ("event", "status", "side", "qty", "price", "reason", "at")


class LastTold:
    """Stands between the writer and the publisher of events: what passes is remembered.

    Behind the commit, so no worker waits for it, and nothing is shown that may yet be lost.

    Args:
        publish: gets everything on, unchanged.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._events: deque[tuple[int, Mapping[str, str]]] = deque(maxlen=KEPT)

    def publish(
        self, events: Sequence[tuple[int, Mapping[str, str]]], acks: Sequence[EntryRef]
    ) -> None:
        """As :meth:`OutboxPublisher.publish`."""
        self._publish(events, acks)
        self._events.extend(events)

    def rows(self) -> list[dict[str, str | int | bool]]:
        """For the snapshot, oldest first; from any thread."""
        return [_row(number, fields) for number, fields in self._events.copy()]


def _row(number: int, fields: Mapping[str, str]) -> dict[str, str | int | bool]:
    row: dict[str, str | int | bool] = {"id": number, "symbol": fields.get("ticker", "")}
    row |= {name: text for name in _FIELDS if (text := fields.get(name))}
    return row | {"final": fields.get("final") == "1"}
