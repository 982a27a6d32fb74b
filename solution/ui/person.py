"""What a person at a terminal does while something is shown: a key, Ctrl-C, a resized window.

Signals only make a descriptor readable, and whoever waits looks at it: nothing is interrupted in
the middle of a line, and the terminal is put back in order on every way out.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

Pause = Callable[[float], bool]
"""Waits that many seconds, or until the window changes its size; True ends the display."""

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_QUITS = frozenset(b"qQ\x03")


@contextmanager
def person() -> Iterator[Pause]:
    """A pause that ends at q, Ctrl-C and SIGTERM; keys count only where there is a terminal."""
    with _signals() as wakes, _keys() as keys:

        def pause(seconds: float) -> bool:
            ready, _, _ = select.select([wakes.fileno(), *keys], [], [], seconds)
            ended = wakes.fileno() in ready and bool(set(wakes.recv(64)) & set(ENDS))
            return ended or any(_quits(key) for key in keys if key in ready)

        yield pause


def _quits(descriptor: int) -> bool:
    try:
        typed = os.read(descriptor, 64)
    except OSError:  # the terminal has gone
        return True
    return not typed or bool(_QUITS & set(typed))


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Its number is written to the descriptor; nothing else is to be done."""


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket with a byte for each signal that came."""
    ours, pythons = socket.socketpair()
    before: dict[signal.Signals, Any] = {}
    with ours, pythons:
        pythons.settimeout(0)
        wakeup = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
        try:
            for number in (*ENDS, signal.SIGWINCH):
                # nohup's: what was started to outlive its terminal does.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, _noted)
            yield ours
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
            signal.set_wakeup_fd(wakeup)


@contextmanager
def _keys() -> Iterator[list[int]]:
    """Standard input, key by key and without an echo; none where it is no terminal."""
    if not sys.stdin.isatty():
        yield []
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield [descriptor]
    finally:
        with suppress(termios.error):  # it has hung up
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
