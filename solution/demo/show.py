"""What the demo shows while it runs: the screen of `top` on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from solution.ui.charset import in_ascii, needs_ascii
from solution.ui.reading import part
from solution.ui.text import short_line

Draw = Callable[[Sequence[str], Mapping[str, Any]], None]
"""Notes and the newest snapshot (empty before the first)."""

LINE_EVERY = 8
"""Draws per plain line."""
UPDATES = 15
ROOMY = 30
"""Lines from which there is room for more than how far the demo is."""


@contextmanager
def display(*, plain: bool = False) -> Iterator[Draw]:
    """Something to draw on; lines where ``plain`` asks for them or there is no terminal."""
    from solution.ui.canvas import Canvas, draws

    if plain or not draws():
        yield _Lines().draw
        return
    from solution.ui.terminal import screen

    told: Sequence[str] = ()
    try:
        with Canvas() as canvas:

            def draw(notes: Sequence[str], snapshot: Mapping[str, Any]) -> None:
                nonlocal told
                told = notes
                shown = [snapshot] if snapshot else []
                canvas.draw(
                    lambda width, height: screen(
                        shown,
                        width=width,
                        height=height,
                        updates=UPDATES,
                        notes=notes if height >= ROOMY else notes[-1:],
                    )
                )

            yield draw
    finally:
        # The screen is gone with what stood on it: what ran stands above the summary.
        for note in told:
            say(note)


def say(line: str) -> None:
    """One line, with marks that the terminal has."""
    click.echo(in_ascii(line) if needs_ascii(sys.stdout) else line)


class _Lines:
    """Every few draws one line, and each new note once."""

    def __init__(self) -> None:
        self._draws = 0
        self._told: set[str] = set()

    def draw(self, notes: Sequence[str], snapshot: Mapping[str, Any]) -> None:
        *facts, progress = notes
        for note in facts:
            if note not in self._told:
                self._told.add(note)
                say(note)
        if self._draws % LINE_EVERY == 0 and part(snapshot, "signals"):
            say(f"{progress} | {short_line(snapshot)}")
        self._draws += 1
