"""Live updates by server-sent events: what changed, a few times a second, while somebody looks."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Send

from paper_exchange.page.facts import facts_of
from paper_exchange.page.html import rows_of
from paper_exchange.page.model import Facts
from paper_exchange.page.panels import panels_of
from paper_exchange.page.snapshot import Snapshot

log = logging.getLogger(__name__)

#: Seconds between two looks at the exchange.
PERIOD = 0.5
#: Seconds of silence after which a comment says that the connection lives.
HEARTBEAT = 15.0
#: Seconds after which a client that takes nothing is given up.
_PATIENCE = 30.0
#: Pages that are kept up to date at the same time.
_MOST = 200
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_BEAT = b":\n\n"

Rows = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a browser shows: facts, and per panel its note and rows of cells in HTML."""

    facts: Facts
    notes: dict[str, str]
    panels: dict[str, Rows]


def picture_of(snapshot: Snapshot) -> Picture:
    """The picture of a snapshot."""
    panels = panels_of(snapshot)
    return Picture(
        facts_of(snapshot),
        {panel.id: panel.note for panel in panels},
        {panel.id: rows_of(panel) for panel in panels},
    )


def changes(before: Picture | None, after: Picture) -> bytes | None:
    """What turns one picture into the other, as an event; None when they are alike.

    Per panel: ``keys``, all rows in their order, unless that is as before, and
    ``rows``, the cells of those that are new or different.
    """
    if before is None:
        before = Picture({}, {}, {})
    texts = {**after.facts, **{f"{name}-note": note for name, note in after.notes.items()}}
    known = {**before.facts, **{f"{name}-note": note for name, note in before.notes.items()}}
    said: dict[str, object] = {}
    facts = {name: text for name, text in texts.items() if known.get(name) != text}
    if facts:
        said["facts"] = facts
    panels = {
        name: _rows_changed(before.panels.get(name, {}), rows)
        for name, rows in after.panels.items()
        if before.panels.get(name) != rows or list(before.panels[name]) != list(rows)
    }
    if panels:
        said["panels"] = panels
    return b"data: " + orjson.dumps(said) + b"\n\n" if said else None


def _rows_changed(before: Rows, after: Rows) -> dict[str, object]:
    said: dict[str, object] = {
        "rows": {key: cells for key, cells in after.items() if before.get(key) != cells}
    }
    if list(before) != list(after):
        said["keys"] = list(after)
    return said


class Live:
    """Looks at the exchange while somebody is connected, and tells each what is new to it.

    A slow client gets fewer, larger updates: what it is told is always the
    difference between what it has and what is.
    """

    def __init__(self, look: Callable[[], Picture], *, period: float = PERIOD) -> None:
        self._look = look
        self._period = period
        self._picture: Picture | None = None
        self._turn = asyncio.Event()
        self._painter: asyncio.Task[None] | None = None
        self._followers: set[asyncio.Task[None]] = set()

    @property
    def watched(self) -> int:
        """How many pages are connected."""
        return len(self._followers)

    @property
    def idle(self) -> bool:
        """Whether nothing runs here."""
        return self._painter is None

    def close(self) -> None:
        """End all connections: the exchange is going down."""
        for follower in self._followers:
            follower.cancel()

    async def serve(self, receive: Receive, send: Send) -> None:
        """One connection, until the browser leaves or the exchange ends."""
        if len(self._followers) >= _MOST:
            await send({"type": "http.response.start", "status": 503, "headers": _HEADERS})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        follower = asyncio.create_task(self._follow(send))
        leaver = asyncio.create_task(_gone(receive))
        self._join(follower)
        try:
            await asyncio.wait({follower, leaver}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(follower)
            for task in (follower, leaver):
                task.cancel()
            await asyncio.gather(follower, leaver, return_exceptions=True)
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    def _join(self, follower: asyncio.Task[None]) -> None:
        self._followers.add(follower)
        if self._painter is None:
            self._paint_once()
            self._painter = asyncio.create_task(self._paint())

    def _leave(self, follower: asyncio.Task[None]) -> None:
        self._followers.discard(follower)
        if not self._followers and self._painter is not None:
            self._painter.cancel()
            self._painter = self._picture = None

    async def _paint(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            self._paint_once()

    def _paint_once(self) -> None:
        try:
            self._picture = self._look()
        except Exception:  # the page is a window: what breaks in it must not end the view for good
            log.exception("page_look_failed")
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    async def _follow(self, send: Send) -> None:
        shown: Picture | None = None
        quiet = 0.0
        # How long a browser waits before it connects again after a loss.
        await _say(send, b"retry: 1000\n\n")
        while True:
            turn, picture = self._turn, self._picture
            event = None if picture is None else changes(shown, picture)
            shown = picture or shown
            quiet = 0.0 if event else quiet + self._period
            if event or quiet >= HEARTBEAT:
                await _say(send, event or _BEAT)
                quiet = 0.0
            await turn.wait()


async def _say(send: Send, text: bytes) -> None:
    async with asyncio.timeout(_PATIENCE):
        await send({"type": "http.response.body", "body": text, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
