"""``signalpaca top``: the running instances, live."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click
import redis

from solution.commands.common import Seconds, redis_trouble, settings_of
from solution.config import Settings
from solution.redis_client import make_client
from solution.ui.charset import in_ascii, needs_ascii
from solution.ui.person import Pause, person
from solution.ui.reading import Snapshot
from solution.ui.snapshot import Instances
from solution.ui.text import short_line
from solution.ui.updates import told_by, update_line

if TYPE_CHECKING:
    from rich.text import Text

Read = Callable[[], tuple[Sequence[Snapshot], str]]
"""The snapshots, and a note: why there are none, or empty."""

FIRST_WITHIN = 0.5
"""Seconds that the first picture waits for Redis."""


@click.command()
@click.option("--refresh", type=Seconds(0.05, 60), default=0.5, help="Seconds.")
@click.option("--updates", type=click.IntRange(0, 1000), default=15, help="Order updates shown.")
@click.option("--plain", is_flag=True, help="Plain lines also on a terminal.")
@click.pass_obj
def top(overrides: Mapping[str, str], *, refresh: float, updates: int, plain: bool) -> None:
    """Follow the running instances; q or Ctrl-C ends it. Plain lines when not a terminal."""
    from solution.ui.canvas import draws

    settings = settings_of(overrides)
    # Either end of the pipe may go: the terminal at a hang-up, or the pager behind us.
    with suppress(OSError), person() as pause, Watcher(settings, refresh) as watcher:
        if draws() and not plain:
            show_live(watcher.latest, pause, refresh, updates)
        else:
            show_lines(watcher.latest, pause, refresh, updates)


class Watcher:
    """Reads on a thread of its own: a Redis that hangs must not hold up a key, nor a signal.

    A context manager. Leaving it does not wait for an answer that is under way: the thread is a
    daemon and has nothing to put in order.
    """

    def __init__(self, settings: Settings, refresh: float) -> None:
        self._settings = settings
        self._refresh = refresh
        self._stop = threading.Event()
        self._first = threading.Event()
        note = f"asking Redis at {settings.redis.shown_url}"
        self._latest: tuple[Sequence[Snapshot], str] = (), note
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._first.wait(FIRST_WITHIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()

    def latest(self) -> tuple[Sequence[Snapshot], str]:
        """What Redis said last."""
        return self._latest

    def _run(self) -> None:
        client = make_client(self._settings.redis.url)
        instances = Instances(self._settings.redis.group)
        try:
            while not self._stop.is_set():
                self._latest = read(client, instances, self._settings)
                self._first.set()
                self._stop.wait(self._refresh)
        finally:
            client.close()


def read(
    client: "redis.Redis", instances: Instances, settings: Settings
) -> tuple[Sequence[Snapshot], str]:
    """All snapshots; Redis being away is shown and outlived."""
    try:
        found = instances.read(client)
    except (redis.RedisError, OSError) as e:
        return (), redis_trouble(settings, e)
    note = "" if found else f"no instance of group {settings.redis.group} runs"
    return [found[name] for name in sorted(found)], note


# --- the screen -----------------------------------------------------------------------------------


def show_live(read: Read, pause: Pause, refresh: float, updates: int) -> None:
    """A screen that is drawn anew each time, and when the window changes its size."""
    from solution.ui.canvas import Canvas
    from solution.ui.terminal import screen

    def compose(width: int, height: int) -> Sequence["Text"]:
        snapshots, note = read()
        return screen(snapshots, width=width, height=height, updates=updates, alarm=note)

    with Canvas() as canvas:
        canvas.draw(compose)
        while not pause(refresh):
            canvas.draw(compose)


# --- lines ----------------------------------------------------------------------------------------


def show_lines(read: Read, pause: Pause, refresh: float, updates: int) -> None:
    """A line whenever something has changed, and one for each update of an order."""
    ascii_only = needs_ascii(sys.stdout)
    shown: set[tuple[str, ...]] = set()
    before, first = "", True
    while True:
        snapshots, note = read()
        new = list(_new_updates(snapshots, shown))
        # At the start as many as asked for of what was; later each, so that none is missed.
        skipped = max(0, len(new) - updates) if first and snapshots else 0
        first = first and not snapshots
        states = "\n".join([*([note] if note else []), *map(short_line, snapshots)])
        lines = [update_line(row) for row in islice(new, skipped, None)]
        if _timeless(states) != before:
            before = _timeless(states)
            lines.append(states)
        for line in lines:
            click.echo(in_ascii(line) if ascii_only else line)
        if pause(refresh):
            return


def _timeless(lines: str) -> str:
    """Without the time of day and the rate window, which move by themselves."""
    parts = [part for line in lines.splitlines() for part in line.split(" · ")]
    return "\n".join(p for p in parts if not (p.startswith("rate ") or p[2:3] == p[5:6] == ":"))


def _new_updates(
    snapshots: Sequence[Snapshot], shown: set[tuple[str, ...]]
) -> Iterator[Mapping[str, Any]]:
    now = set()
    for snapshot in snapshots:
        for row in told_by(snapshot):
            key = (str(snapshot.get("instance")), *(str(value) for value in row.values()))
            now.add(key)
            if key not in shown:
                yield row
    if now:  # only what a snapshot still holds can come again
        shown.clear()
        shown.update(now)
