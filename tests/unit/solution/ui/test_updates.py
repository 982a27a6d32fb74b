"""What became of orders lately."""

from typing import Any

import pytest

from solution.ui import updates
from tests.helpers.snapshots import of_earlier_version, snapshot


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        ({"event": "fill", "final": True}, "✓"),
        ({"event": "corrected", "status": "filled", "final": True}, "✓"),
        ({"event": "submitted", "status": "pending_new"}, "◌"),
        ({"event": "new"}, "◌"),
        ({"event": "partial_fill"}, "◌"),
        ({"event": "unknown"}, "◌"),
        ({"event": "canceled"}, "✗"),
        ({"event": "refused", "final": True}, "✗"),
        ({"event": "done_for_day", "final": True}, "✗"),
        ({"state": "FILLED"}, "✓"),
        ({"state": "OPEN"}, "◌"),
        ({"state": "UNKNOWN"}, "◌"),
        ({"state": "CANCELED"}, "✗"),
    ],
)
def test_marks(row: dict[str, Any], mark: str) -> None:
    """Filled, on its way, or ended otherwise; a leg's cancel too, which ends no signal."""
    assert updates.mark_of(row) == mark


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ({"event": "submitted", "status": "pending_new"}, "pending_new"),
        ({"event": "submitted", "status": "new"}, "submitted"),
        ({"event": "new", "status": "new"}, "new"),
        ({"state": "REFUSED"}, "REFUSED"),
        ({}, ""),
    ],
)
def test_states(row: dict[str, Any], state: str) -> None:
    """No two rows say ``new``, though the answer to the POST may."""
    assert updates.state_of(row) == state


def test_the_newest_comes_first() -> None:
    """At most as many as asked for."""
    rows = updates.updates_of(snapshot(), 2)
    assert [row["event"] for row in rows] == ["refused", "fill"]
    assert updates.updates_of(snapshot(), 0) == []
    assert len(updates.updates_of(snapshot(), 99)) == 5


def test_of_an_earlier_version_orders_on_their_way_come_first() -> None:
    """Then its ends; it tells no more."""
    rows = updates.updates_of(of_earlier_version(), 9)
    assert [row["symbol"] for row in rows] == ["AAPL", "AMD", "NVDA"]
    assert [row["symbol"] for row in updates.told_by(of_earlier_version())] == ["NVDA", "AMD"]


def test_an_instance_that_has_told_nothing_yet() -> None:
    """Its orders on their way are no updates of its own."""
    assert updates.updates_of(snapshot(updates=[]), 9) == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"event": "refused", "reason": "NOPE"}, "NOPE"),
        ({"event": "refused"}, "refused"),
        ({"state": "REFUSED", "reason": "NOPE"}, "NOPE"),
        ({"event": "rejected", "reason": "REFUSED_BY_BROKER"}, "rejected · REFUSED_BY_BROKER"),
        ({"event": "fill"}, "fill"),
    ],
)
def test_our_refusal_is_told_by_its_reason(row: dict[str, Any], told: str) -> None:
    """Where there is little room; what the broker did keeps its word."""
    assert updates.briefly(row) == told


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            {
                "at": "2026-11-20T15:00:03.5Z",
                "event": "fill",
                "side": "buy",
                "qty": "6",
                "price": "1135.2",
                "symbol": "NVDA",
            },
            "15:00:03 ✓ buy 6 NVDA at 1,135.20 fill",
        ),
        (
            {"symbol": "AMD", "side": "sell", "qty": "", "state": "REFUSED", "reason": "NOPE"},
            "✗ sell AMD REFUSED · NOPE",
        ),
        ({"event": "fill", "symbol": "X", "price": "0.00000812"}, "✓ X at 0.00000812 fill"),
    ],
)
def test_an_update_is_one_line(row: dict[str, Any], line: str) -> None:
    """Empty parts leave no gap; a price of less than one keeps its digits."""
    assert updates.update_line(row) == line
