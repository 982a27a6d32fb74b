"""What a run prints while it shares the terminal with the display."""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator

from signal_generator.printable import VisibleFormatter

MOST = 1000
"""Texts that are kept while the display has the terminal: of a strategy that fails with every call
the last ones are enough."""


class Screen:
    """Prints for the user, at once or, while something else has the terminal, afterwards."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._held: deque[str] | None = None

    def show(self, text: str) -> None:
        """Print it now or later."""
        if self._held is None:
            self._echo(text)
        else:
            self._held.append(text)

    def hold(self) -> None:
        """Keep what is shown from now on."""
        self._held = deque(maxlen=MOST)

    def release(self) -> None:
        """Print what was kept, and again at once from now on."""
        held, self._held = self._held, None
        for text in held or ():
            self._echo(text)


@contextlib.contextmanager
def warnings_on(screen: Screen, *, wanted: bool) -> Iterator[None]:
    """Our warnings go to the screen, where the user has set up no logging of his own.

    Python would write them to stderr, and the display would draw over them.
    """
    ours = logging.getLogger("signal_generator")
    if not wanted or ours.hasHandlers():
        yield
        return
    handler = _OnScreen(screen)
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)


class _OnScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(VisibleFormatter())
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """With the traceback, where there is one."""
        self._screen.show(self.format(record))
