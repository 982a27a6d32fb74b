"""What the demo shows."""

from io import StringIO

import pytest
from rich import console as rich_console
from rich import get_console

from solution.demo.show import LINE_EVERY, display

SNAPSHOT = {"instance": "a", "at": "2026-11-20T15:00:01", "signals": {"read": 3, "waiting": 0}}


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each fact once, the state every few draws, nothing before the first snapshot."""
    with display(live=False) as draw:
        draw(["a fact", "0 of 3"], {})
        for number in range(1, LINE_EVERY + 1):
            draw(["a fact", f"{number} of 3"], SNAPSHOT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a fact"
    assert lines[1].startswith(f"{LINE_EVERY} of 3 | 15:00:01 · 3 signals")
    assert len(lines) == 2


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless a live screen is asked for."""
    with display() as draw:
        draw(["fact", "now"], {})
    assert capsys.readouterr().out == "fact\n"


def test_a_live_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes above the panel."""
    out = StringIO()
    console = rich_console.Console(file=out, width=100, force_terminal=True, color_system=None)
    monkeypatch.setattr("rich.live.get_console", lambda: console)
    with display(live=True) as draw:
        draw(["a fact", "1 of 3"], {})
        draw(["a fact", "2 of 3"], SNAPSHOT)
    assert "2 of 3" in out.getvalue()
    assert "3 read" in out.getvalue()
    assert get_console() is not console
