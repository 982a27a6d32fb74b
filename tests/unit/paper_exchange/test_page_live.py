"""Live updates: what is told, to whom, and that nothing runs while nobody looks."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from paper_exchange.page import live
from paper_exchange.page.live import Live, Picture, changes

Message = dict[str, Any]
A: Picture = Picture({"clock": "1"}, {"book": "2"}, {"book": {"KO": ("<td>1</td>",), "F": ("x",)}})


def told(event: bytes | None) -> Any:
    """The content of an event."""
    assert event is not None
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    return json.loads(event[6:])


class Browser:
    """One connection: what it was sent, and a way to leave."""

    def __init__(self, site: Live) -> None:
        self.messages: list[Message] = []
        self._news = asyncio.Condition()
        self._left = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self.task = asyncio.create_task(site.serve(self._receive, self._send))

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._open.wait()
        async with self._news:
            self.messages.append(message)
            self._news.notify_all()

    async def leave(self) -> None:
        """Close the tab."""
        self._left.set()
        await self.task

    def stall(self) -> None:
        """Take nothing more until ``go_on``."""
        self._open.clear()

    def go_on(self) -> None:
        """Take what waits."""
        self._open.set()

    @property
    def texts(self) -> list[bytes]:
        """The pieces of the body so far."""
        return [message["body"] for message in self.messages if message.get("body")]

    async def until(self, good: Callable[[list[bytes]], bool]) -> None:
        """Wait for what it is sent."""
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: good(self.texts))


class Look:
    """A picture that changes with every look."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Picture:
        self.count += 1
        return Picture({"clock": str(self.count)}, {}, {})


# -- what is told ----------------------------------------------------------------------------------


def test_at_first_everything() -> None:
    """A new connection gets all facts, notes and rows in their order."""
    assert told(changes(None, A)) == {
        "facts": {"clock": "1", "book-note": "2"},
        "panels": {"book": {"keys": ["KO", "F"], "rows": {"KO": ["<td>1</td>"], "F": ["x"]}}},
    }


def test_nothing_new_is_not_told() -> None:
    """Equal pictures need no event."""
    assert changes(A, Picture(dict(A.facts), dict(A.notes), dict(A.panels))) is None


def test_only_what_changed() -> None:
    """One row, without the order of the rows, which is as before."""
    after = Picture(A.facts, A.notes, {"book": {"KO": ("<td>2</td>",), "F": ("x",)}})
    assert told(changes(A, after)) == {"panels": {"book": {"rows": {"KO": ["<td>2</td>"]}}}}


def test_rows_that_come_go_and_move() -> None:
    """The order is told, and of the rows only the new one."""
    after = Picture(A.facts, A.notes, {"book": {"T": ("y",), "KO": ("<td>1</td>",)}})
    assert told(changes(A, after)) == {
        "panels": {"book": {"keys": ["T", "KO"], "rows": {"T": ["y"]}}}
    }
    moved = Picture(A.facts, A.notes, {"book": dict(reversed(A.panels["book"].items()))})
    assert told(changes(A, moved)) == {"panels": {"book": {"keys": ["F", "KO"], "rows": {}}}}


def test_an_event_is_one_line_whatever_is_in_it() -> None:
    """Line breaks in names cannot end an event or begin another."""
    after = Picture({"clock": "a\n\ndata: b\r\nevent: c"}, {}, {})
    assert told(changes(None, after))["facts"]["clock"] == "a\n\ndata: b\r\nevent: c"


# -- to whom ---------------------------------------------------------------------------------------


def test_updates_arrive_while_somebody_looks_and_end_with_the_last() -> None:
    """Two tabs share one painter; when both are closed it is gone."""

    async def story() -> None:
        look = Look()
        site = Live(look, period=0.001)
        assert site.idle
        first, second = Browser(site), Browser(site)
        for browser in (first, second):
            await browser.until(lambda texts: len(texts) > 4)
        assert site.watched == 2
        start = first.messages[0]
        assert start["status"] == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
        assert first.texts[0] == b"retry: 1000\n\n"
        numbers = [int(told(text)["facts"]["clock"]) for text in first.texts[1:]]
        assert numbers == sorted(set(numbers))
        await first.leave()
        assert not site.idle
        await second.leave()
        assert site.idle
        assert site.watched == 0
        assert second.messages[-1] == {"type": "http.response.body", "body": b""}
        looked = look.count
        await asyncio.sleep(0.01)
        assert look.count == looked
        # And somebody may come back.
        third = Browser(site)
        await third.until(lambda texts: len(texts) > 2)
        await third.leave()

    asyncio.run(story())


def test_a_slow_reader_gets_fewer_and_larger_updates() -> None:
    """Nothing piles up: after a pause comes the difference to what it has, in one event."""

    async def story() -> None:
        look = Look()
        site = Live(look, period=0.001)
        slow, quick = Browser(site), Browser(site)
        await slow.until(lambda texts: len(texts) > 2)
        slow.stall()
        reached = len(quick.texts) + 30
        await quick.until(lambda texts: len(texts) > reached)
        had = len(slow.texts)
        slow.go_on()
        await slow.until(lambda texts: len(texts) >= had + 2)
        skipped = [int(told(text)["facts"]["clock"]) for text in slow.texts[had : had + 2]]
        assert skipped[1] - skipped[0] > 20
        await slow.leave()
        await quick.leave()

    asyncio.run(story())


def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection ends although it has not left."""
    monkeypatch.setattr(live, "_PATIENCE", 0.01)

    async def story() -> None:
        site = Live(Look(), period=0.001)
        browser = Browser(site)
        await browser.until(lambda texts: len(texts) > 1)
        browser.stall()
        async with asyncio.timeout(5):
            while site.watched:
                await asyncio.sleep(0.001)
        assert site.idle
        browser.go_on()
        await browser.task

    asyncio.run(story())


def test_silence_is_broken_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes, a comment says now and then that the connection lives."""
    monkeypatch.setattr(live, "HEARTBEAT", 0.005)

    async def story() -> None:
        site = Live(lambda: A, period=0.001)
        browser = Browser(site)
        await browser.until(lambda texts: texts.count(b":\n\n") >= 2)
        assert len([text for text in browser.texts if text.startswith(b"data")]) == 1
        await browser.leave()

    asyncio.run(story())


def test_a_defect_in_a_look_does_not_end_the_view(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next look is shown."""
    looks = iter([A, None, None, Picture({"clock": "after"}, {}, {})])

    def look() -> Picture:
        picture = next(looks, A)
        if picture is None:
            raise ValueError("a defect")
        return picture

    async def story() -> None:
        site = Live(look, period=0.001)
        browser = Browser(site)
        await browser.until(lambda texts: any(b"after" in text for text in texts))
        await browser.leave()

    asyncio.run(story())
    assert "page_look_failed" in caplog.text


def test_closing_ends_every_connection() -> None:
    """The exchange goes down at once, whoever looks."""

    async def story() -> None:
        site = Live(Look(), period=0.001)
        browsers = [Browser(site) for _ in range(3)]
        for browser in browsers:
            await browser.until(lambda texts: len(texts) > 1)
        site.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*(browser.task for browser in browsers))
        assert site.idle
        assert all(not browser.messages[-1].get("more_body") for browser in browsers)

    asyncio.run(story())


def test_there_is_an_end_to_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it a browser is told to come back, which its script does."""
    monkeypatch.setattr(live, "_MOST", 1)

    async def story() -> None:
        site = Live(Look(), period=0.001)
        first = Browser(site)
        await first.until(lambda texts: len(texts) > 1)
        second = Browser(site)
        await second.task
        assert second.messages[0]["status"] == 503
        await first.leave()

    asyncio.run(story())
