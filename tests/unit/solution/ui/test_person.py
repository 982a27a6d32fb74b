"""What a person at a terminal does."""

import os
import pty
import signal
import sys
import termios
import threading
from collections.abc import Iterator

import pytest

from solution.ui.person import ENDS, person

SOON = 20.0
"""Far more than anything here takes."""


@pytest.fixture(autouse=True)
def from_a_terminal() -> Iterator[None]:
    """As if nothing was ignored by whoever started the tests: nohup ignores SIGHUP."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal; yields the side at which a person types."""
    typed, program = pty.openpty()
    with os.fdopen(program, "r") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield typed
    os.close(typed)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a pipe at its end."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield


def test_q_ends_a_pause(keyboard: int) -> None:
    """Other keys do not; typed together with others it does."""
    with person() as pause:
        assert not pause(0.0)
        os.write(keyboard, b"x")
        assert not pause(SOON)
        os.write(keyboard, b"xq")
        assert pause(SOON)


def test_keys_are_read_as_before_afterwards(keyboard: int) -> None:
    """By the line and with an echo; in between neither."""
    before = termios.tcgetattr(keyboard)
    with person():
        flags = termios.tcgetattr(keyboard)[3]
        assert not flags & (termios.ICANON | termios.ECHO)
    assert termios.tcgetattr(keyboard) == before


def test_a_terminal_that_hangs_up_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to put in order any more, and that is no error."""
    typed, program = pty.openpty()
    with os.fdopen(program, "r") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with person() as pause:
            os.close(typed)
            assert pause(SOON)


def test_without_a_terminal_the_pause_only_waits(nobody: None) -> None:
    """The end of a pipe is no key."""
    with person() as pause:
        assert not pause(0.0)


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_ends_a_pause_that_has_begun(nobody: None, number: signal.Signals) -> None:
    """At once, and without an exception in the middle of something."""
    with person() as pause:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
        timer.start()
        assert pause(SOON)
        timer.join()


def test_a_signal_before_the_pause_is_not_lost(nobody: None) -> None:
    """It came while the screen was drawn."""
    with person() as pause:
        os.kill(os.getpid(), signal.SIGTERM)
        assert pause(SOON)


def test_a_resized_window_is_drawn_again(nobody: None) -> None:
    """The pause is over early, and the display goes on."""
    with person() as pause:
        os.kill(os.getpid(), signal.SIGWINCH)
        assert not pause(SOON)
        os.kill(os.getpid(), signal.SIGWINCH)
        os.kill(os.getpid(), signal.SIGTERM)
        assert pause(SOON)


def test_signals_are_as_before_afterwards(nobody: None) -> None:
    """And what was ignored, as under nohup, stays ignored in between."""
    numbers = (*ENDS, signal.SIGWINCH)
    before = [signal.getsignal(number) for number in numbers]
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with person() as pause:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not pause(0.0)
    finally:
        signal.signal(signal.SIGHUP, hangup)
    assert [signal.getsignal(number) for number in numbers] == before
    wakeup = signal.set_wakeup_fd(-1)
    assert wakeup == -1
