"""``signalpaca top``: the running instances, live."""

import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
import redis

from solution.commands.common import Seconds, redis_trouble, settings_of
from solution.config import Settings
from solution.redis_client import make_client
from solution.ui.snapshot import read_all
from solution.ui.terminal import ends_of, screen, short_line, update_line

Pause = Callable[[float], bool]
"""Waits that many seconds; True ends the display."""
Read = Callable[[], tuple[Sequence[Mapping[str, Any]], str]]
"""The snapshots, and a note: why there are none, or empty."""


@click.command()
@click.option("--refresh", type=Seconds(0.1, 60), default=0.5, help="Seconds.")
@click.option("--updates", type=click.IntRange(0, 30), default=15, help="Orders shown.")
@click.pass_obj
def top(overrides: Mapping[str, str], *, refresh: float, updates: int) -> None:
    """Follow the running instances; q or Ctrl-C ends it. Plain lines when not a terminal."""
    settings = settings_of(overrides)
    client = make_client(settings.redis.url)
    try:
        with keys() as pause:
            if sys.stdout.isatty():
                show_live(lambda: read(client, settings), pause, refresh, updates)
            else:
                show_lines(lambda: read(client, settings), pause, refresh)
    except KeyboardInterrupt:
        pass  # the usual way to end it
    finally:
        client.close()


def read(client: "redis.Redis", settings: Settings) -> tuple[Sequence[Mapping[str, Any]], str]:
    """All snapshots; Redis being away is shown and outlived."""
    try:
        found = read_all(client, settings.redis.group)
    except (redis.RedisError, OSError) as e:
        return (), redis_trouble(settings, e)
    note = "" if found else f"no instance of group {settings.redis.group} runs"
    return [found[name] for name in sorted(found)], note


def show_live(read: Read, pause: Pause, refresh: float, updates: int) -> None:
    """A screen that is drawn anew each time."""
    from rich.live import Live

    def draw() -> Any:
        snapshots, note = read()
        return screen(snapshots, updates=updates, notes=[note] if note else [])

    with Live(draw(), screen=True, auto_refresh=False) as live:
        while not pause(refresh):
            live.update(draw(), refresh=True)


def show_lines(read: Read, pause: Pause, refresh: float) -> None:
    """A line whenever something has changed, and one for each end of an order."""
    shown: set[tuple[str, ...]] = set()
    before = ""
    while True:
        snapshots, note = read()
        for row in _new_updates(snapshots, shown):
            click.echo(update_line(row))
        lines = "\n".join([*([note] if note else []), *map(short_line, snapshots)])
        if _timeless(lines) != before:
            before = _timeless(lines)
            click.echo(lines)
        if pause(refresh):
            return


def _timeless(lines: str) -> str:
    """Without the time of day and the rate window, which move by themselves."""
    parts = [part for line in lines.splitlines() for part in line.split(" · ")]
    return "\n".join(p for p in parts if not (p.startswith("rate ") or p[2:3] == p[5:6] == ":"))


def _new_updates(
    snapshots: Sequence[Mapping[str, Any]], shown: set[tuple[str, ...]]
) -> Iterator[Mapping[str, Any]]:
    now = set()
    for snapshot in snapshots:
        for row in ends_of(snapshot):
            key = (str(snapshot.get("instance")), *(str(value) for value in row.values()))
            now.add(key)
            if key not in shown:
                yield row
    if now:  # only what a snapshot still holds can come again
        shown.clear()
        shown.update(now)


@contextmanager
def keys() -> Iterator[Pause]:
    """A pause that a pressed q ends; without a terminal on standard input it only waits."""
    if not sys.stdin.isatty():
        yield lambda seconds: bool(select.select([], [], [], seconds)[0])
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pause(seconds: float) -> bool:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return bool(ready) and os.read(descriptor, 64) in {b"", b"q", b"Q", b"\x03"}

    try:
        tty.setcbreak(descriptor)
        yield pause
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
