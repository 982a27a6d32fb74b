"""The last things told of signals."""

from collections.abc import Mapping, Sequence
from typing import Any

from solution.domain.records import EntryRef
from solution.ui.recent import KEPT, LastTold

FILL = {
    "signal_id": "s-1",
    "event": "fill",
    "status": "filled",
    "final": "1",
    "ticker": "NVDA",
    "side": "buy",
    "qty": "10",
    "price": "135.2",
    "at": "2026-11-20T15:00:01.000Z",
}


def test_everything_passes_and_is_remembered() -> None:
    """The publisher gets what the writer handed on; the picture what a screen needs of it."""
    passed: list[tuple[Any, Any]] = []

    def publish(events: Sequence[tuple[int, Mapping[str, str]]], acks: Sequence[EntryRef]) -> None:
        passed.append((events, acks))

    told, acks = LastTold(publish), [EntryRef("nvda", "1-0")]
    told.publish([(7, FILL), (8, {"event": "dead_letter", "final": "0", "reason": "X"})], acks)
    assert passed == [
        ([(7, FILL), (8, {"event": "dead_letter", "final": "0", "reason": "X"})], acks)
    ]
    assert told.rows() == [
        {
            "id": 7,
            "symbol": "NVDA",
            "event": "fill",
            "status": "filled",
            "side": "buy",
            "qty": "10",
            "price": "135.2",
            "at": "2026-11-20T15:00:01.000Z",
            "final": True,
        },
        {"id": 8, "symbol": "", "event": "dead_letter", "reason": "X", "final": False},
    ]


def test_only_the_last_are_kept() -> None:
    """Bounded: a service runs for months."""
    told = LastTold(lambda _events, _acks: None)
    told.publish([(number, FILL) for number in range(KEPT + 5)], ())
    assert [row["id"] for row in told.rows()] == list(range(5, KEPT + 5))
