"""What a person should look at."""

from typing import Any

import pytest

from solution.ui.text import short_line, text_lines
from solution.ui.troubles import troubles
from tests.helpers.snapshots import snapshot


def test_a_healthy_instance_has_none() -> None:
    """Nothing to look at, nor in an empty snapshot."""
    assert troubles(snapshot()) == []
    assert troubles({}) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kill_switch": "the file exists"}, "KILL SWITCH: the file exists"),
        ({"threads": {"workers": False, "listener": True}}, "threads not running: workers"),
        ({"redis": {"connected": False}}, "Redis: not connected"),
        ({"redis": {"connected": True, "trouble": "OOM"}}, "Redis: OOM"),
        (
            {"redis": {"connected": True, "alerts": {"REDIS_UNREAD_LOST": 2}}},
            "Redis: REDIS_UNREAD_LOST since the start, 2 in all: see the log",
        ),
        ({"stream": {"connected": False, "state": "refused: keys"}}, "order stream: refused: keys"),
        ({"breaker": {"state": "open", "why": "HTTP 500"}}, "circuit breaker open: HTTP 500"),
        ({"breaker": {"state": "half-open"}}, "circuit breaker half-open: –"),
        ({"halted": {"NVDA": "an orphan"}}, "NVDA is halted: an orphan"),
        ({"flattening": {"one": "NVDA 10: why"}}, "flatten one is under way: NVDA 10: why"),
        ({"flattening": {"two": ""}}, "flatten two is under way"),
        (
            {"restrictions": {"daily_loss": {"state": "REDUCING", "message": "5% lost"}}},
            "REDUCING by daily_loss: 5% lost",
        ),
        ({"reducing": {"NVDA": "by hand"}}, "NVDA only reduces: by hand"),
        (
            {"kills": {"0123456789": {"stage": "cancelling", "asked": 3, "left": 1}}},
            "kill 01234567: cancelling: 3 cancels asked for, 1 to go",
        ),
        ({"control": {"trouble": "REDIS_NOPERM"}}, "control stream: REDIS_NOPERM"),
    ],
)
def test_every_trouble_is_named(changed: dict[str, Any], said: str) -> None:
    """In words a person can act on, in the text and in the one line."""
    one = snapshot(**changed)
    assert troubles(one) == [said]
    assert f"  ! {said}" in text_lines(one)
    assert said in short_line(one)


def test_a_kill_at_its_end_is_none() -> None:
    """Done is done."""
    assert troubles({"kills": {"done": {"stage": "done"}}}) == []
