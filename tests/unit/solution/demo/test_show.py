"""What the demo shows."""

import io
import os
import pty
import sys
from collections.abc import Iterator

import pytest

from solution.demo.show import LINE_EVERY, display, say
from tests.helpers.terminal import frame, resize

SNAPSHOT = {"instance": "a", "at": "2026-11-20T15:00:01", "signals": {"read": 3, "waiting": 0}}


class Terminal(io.StringIO):
    """80×30, and what was written to it."""

    encoding = "utf-8"

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Standard output, once a test puts it there."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("LC_ALL", raising=False)
    master, slave = pty.openpty()
    resize(slave, 80, 30)
    yield Terminal(slave)
    os.close(master)
    os.close(slave)


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each fact once, the state every few draws, nothing before the first snapshot."""
    with display(plain=True) as draw:
        draw(["a fact", "0 of 3"], {})
        for number in range(1, LINE_EVERY + 1):
            draw(["a fact", f"{number} of 3"], SNAPSHOT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a fact"
    assert lines[1].startswith(f"{LINE_EVERY} of 3 | 15:00:01 · 3 signals")
    assert len(lines) == 2


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without being asked for."""
    with display() as draw:
        draw(["fact", "now"], {})
    assert capsys.readouterr().out == "fact\n"


def test_a_live_screen(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes above the frame; when it is gone, they stand above the summary."""
    monkeypatch.setattr(sys, "stdout", terminal)
    with display() as draw:
        draw(["a fact", "1 of 3"], {})
        draw(["a fact", "2 of 3"], SNAPSHOT)
        shown = frame(terminal.getvalue().rpartition("\x1b[2J")[2], 80, 30)
    assert shown[:2] == ["a fact", "2 of 3"]
    assert "─ a · – · 15:00:01 ─" in shown[2]
    assert "3 read" in shown[4]
    assert terminal.getvalue().endswith("\x1b[?1049la fact\n2 of 3\n")


def test_a_short_terminal_shows_how_far_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions and updates need the lines more than what the demo is made of."""
    monkeypatch.setattr(sys, "stdout", terminal)
    resize(terminal.fileno(), 80, 24)
    with display() as draw:
        draw(["a fact", "2 of 3"], SNAPSHOT)
        shown = frame(terminal.getvalue().rpartition("\x1b[2J")[2], 80, 24)
    assert shown[0] == "2 of 3"
    assert "─ a · – · 15:00:01 ─" in shown[1]


def test_lines_on_a_terminal_that_asks_for_them(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--plain`: no other screen, no cursor that moves."""
    monkeypatch.setattr(sys, "stdout", terminal)
    with display(plain=True) as draw:
        draw(["fact", "now"], SNAPSHOT)
    assert "\x1b" not in terminal.getvalue()


def test_marks_of_a_terminal_that_has_none(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary's too."""
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("LC_ALL", "C")
    say("✓ all")
    assert terminal.getvalue() == "+ all\n"
