"""What the demo shows while it runs: a live screen on a terminal, plain lines elsewhere."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from solution.ui.terminal import part, screen, short_line

Draw = Callable[[Sequence[str], Mapping[str, Any]], None]
"""Notes and the newest snapshot (empty before the first)."""

LINE_EVERY = 8
"""Draws per plain line."""
UPDATES = 12


@contextmanager
def display(*, live: bool | None = None) -> Iterator[Draw]:
    """Something to draw on; ``live`` None asks the terminal."""
    wanted = sys.stdout.isatty() and os.isatty(1) if live is None else live
    if not wanted:
        yield _Lines().draw
        return
    from rich.live import Live

    with Live(auto_refresh=False) as screen_of:

        def draw(notes: Sequence[str], snapshot: Mapping[str, Any]) -> None:
            shown = [snapshot] if snapshot else []
            screen_of.update(screen(shown, updates=UPDATES, notes=notes), refresh=True)

        yield draw


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
                click.echo(note)
        if self._draws % LINE_EVERY == 0 and part(snapshot, "signals"):
            click.echo(f"{progress} | {short_line(snapshot)}")
        self._draws += 1
