"""`signalpaca top`."""

import io
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from solution.commands import top
from solution.config import Settings, load_settings
from solution.redis_client import make_client
from solution.ui.canvas import Canvas
from solution.ui.snapshot import Instances, key_of
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer
from tests.helpers.snapshots import of_earlier_version, snapshot, updates
from tests.unit.solution.commands.conftest import Shell

AT = "2026-11-20T15:00:01.000Z"
FILL = {"id": 7, "symbol": "NVDA", "side": "buy", "qty": "1", "event": "fill", "at": AT}


def one(**changed: Any) -> dict[str, Any]:
    """A small snapshot."""
    found = {"instance": "a", "at": "2026-11-20T15:00:02", "updates": [dict(FILL)]}
    return {**found, **changed}


def script(*frames: tuple[Sequence[Mapping[str, Any]], str]) -> tuple[top.Read, top.Pause]:
    """A read that yields these frames, and a pause that ends after the last."""
    left = list(frames)

    def read() -> tuple[Sequence[Mapping[str, Any]], str]:
        return left.pop(0)

    return read, lambda _seconds: not left


def lines_of(
    capsys: pytest.CaptureFixture[str],
    *frames: tuple[Sequence[Mapping[str, Any]], str],
    updates: int = 15,
) -> list[str]:
    """What is printed for these frames."""
    read, pause = script(*frames)
    top.show_lines(read, pause, 0.5, updates)
    return capsys.readouterr().out.splitlines()


def test_lines_appear_only_when_something_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of day and the rate window are no change; an update is told once."""
    lines = lines_of(
        capsys,
        ([one()], ""),
        ([one(at="2026-11-20T15:00:03", rate={"used": 3, "limit": 200})], ""),
        ([one(counts={"FILLED": 1})], ""),
    )
    assert len(lines) == 3
    assert lines[0] == "15:00:01 ✓ buy 1 NVDA fill"
    assert "1 FILLED" in lines[2]


def test_lines_outlive_a_lost_redis(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and known updates are not told again afterwards."""
    lines = lines_of(capsys, ([one()], ""), ((), "Redis is away"), ([one()], ""))
    assert "Redis is away" in lines
    assert sum("✓" in line for line in lines) == 1


def test_lines_begin_with_as_many_updates_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Later each is told, however many there were."""
    frames = [([one(updates=updates(count))], "") for count in (20, 40)]
    lines = lines_of(capsys, ((), "nobody"), *frames, updates=3)
    told = [line for line in lines if " signals, " not in line]
    assert told[0] == "nobody"
    assert len(told) == 1 + 3 + 20
    assert told[1].startswith("15:00:17 ")


def test_lines_of_an_earlier_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Its ends."""
    lines = lines_of(capsys, ([of_earlier_version()], ""))
    assert lines[:2] == ["15:00:01 ✓ buy 10 NVDA FILLED", "✗ sell AMD REFUSED · NOPE"]


def test_lines_where_the_marks_cannot_be_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What resembles them."""
    monkeypatch.setenv("LC_ALL", "C")
    lines = lines_of(capsys, ([one()], ""))
    assert lines[0] == "15:00:01 + buy 1 NVDA fill"
    assert all(line.isascii() for line in lines)


def test_the_screen_is_drawn_until_the_pause_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once at the start and once per refresh, with the note where there is one."""
    drawn = []
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(Canvas, "draw", lambda _self, compose: drawn.append(compose(80, 24)))
    read, pause = script(([snapshot()], ""), ((), "nobody"), ([snapshot(updates=updates(9))], ""))
    top.show_live(read, pause, 0.5, 5)
    first, second, third = (["".join(line.plain for line in lines)] for lines in drawn)
    assert "host-1" in first[0]
    assert second[0].startswith(" ! nobody")
    assert third[0].count("15:00:0") == 1 + 5


def settings_at(url: str) -> Settings:
    return load_settings(environ={"REDIS_URL": url}, env_file=None)


def test_reading_snapshots(online: Shell, client: Any) -> None:
    """Sorted; with a note where there are none."""
    settings = settings_at(online.env["REDIS_URL"])
    instances = Instances("solution")
    assert top.read(client, instances, settings) == ([], "no instance of group solution runs")
    for name in "ba":
        client.set(key_of("solution", name), orjson.dumps({"instance": name}))
    found = top.read(client, Instances("solution"), settings)
    assert found == ([{"instance": "a"}, {"instance": "b"}], "")


def test_reading_without_redis() -> None:
    """A note instead of an exception."""
    url = "redis://:pass-word@127.0.0.1:1/0"
    lost = make_client(url)
    snapshots, note = top.read(lost, Instances("solution"), settings_at(url))
    lost.close()
    assert list(snapshots) == []
    assert "does not answer" in note
    assert "pass-word" not in note


def test_the_watcher_reads_again_and_again(online: Shell, client: Any) -> None:
    """The first picture is there at once; what comes later is seen without being asked for."""
    with top.Watcher(settings_at(online.env["REDIS_URL"]), 0.01) as watcher:
        assert watcher.latest() == ([], "no instance of group solution runs")
        client.set(key_of("solution", "a"), orjson.dumps({"instance": "a"}))
        assert eventually(lambda: watcher.latest() == ([{"instance": "a"}], ""), 20)


def test_the_watcher_outlives_a_redis_that_goes_and_comes(
    online: Shell, redis_server: RedisServer
) -> None:
    """It says so, and says again what instances there are."""
    with top.Watcher(settings_at(online.env["REDIS_URL"]), 0.01) as watcher:
        redis_server.stop()
        assert eventually(lambda: "does not answer" in watcher.latest()[1], 20)
        redis_server.start()
        assert eventually(lambda: "no instance of group" in watcher.latest()[1], 20)


def test_a_redis_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it answers there is a note, and leaving does not wait for it."""
    hang = threading.Event()

    def read(*_: object) -> tuple[Sequence[Mapping[str, Any]], str]:
        hang.wait()
        return (), "answered"

    monkeypatch.setattr(top, "read", read)
    monkeypatch.setattr(top, "FIRST_WITHIN", 0.01)
    with top.Watcher(settings_at("redis://:pass-word@127.0.0.1:1/0"), 0.01) as watcher:
        snapshots, note = watcher.latest()
        assert (list(snapshots), note) == ([], "asking Redis at redis://:********@127.0.0.1:1/0")
    hang.set()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--updates", "1000", "--refresh", "0.05"), 0),
        (("--updates", "0", "--refresh", "60"), 0),
        (("--updates", "1001"), 2),
        (("--updates", "-1"), 2),
        (("--refresh", "0.04"), 2),
        (("--refresh", "61"), 2),
        (("--refresh", "nan"), 2),
    ],
)
def test_the_ranges(
    online: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    """What `run_trading` may be given."""
    monkeypatch.setattr(top, "show_lines", lambda *_: None)
    assert online.run("top", *words).exit_code == code


def test_a_pager_that_has_gone_is_the_end(online: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As is a terminal that hung up; no traceback."""

    def gone(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(top, "show_lines", gone)
    assert online.run("top").exit_code == 0
