"""`signalpaca top`."""

import os
import pty
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest
from rich.live import Live

from solution.commands import top
from solution.config import load_settings
from solution.redis_client import make_client
from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell

END = {"symbol": "NVDA", "side": "buy", "qty": "1", "state": "FILLED", "at": "2026-11-20T15:00:01"}


def one(**changed: Any) -> dict[str, Any]:
    """A small snapshot."""
    return {"instance": "a", "at": "2026-11-20T15:00:02", "recent": [END], **changed}


def script(*frames: tuple[Sequence[Mapping[str, Any]], str]) -> tuple[top.Read, top.Pause]:
    """A read that yields these frames, and a pause that ends after the last."""
    left = list(frames)

    def read() -> tuple[Sequence[Mapping[str, Any]], str]:
        return left.pop(0)

    return read, lambda _seconds: not left


def test_lines_appear_only_when_something_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of day and the rate window are no change; an end is told once."""
    read, pause = script(
        ([one()], ""),
        ([one(at="2026-11-20T15:00:03", rate={"used": 3, "limit": 200})], ""),
        ([one(counts={"FILLED": 1})], ""),
    )
    top.show_lines(read, pause, 0.5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == "15:00:01 ✓ buy 1 NVDA FILLED"
    assert "1 FILLED" in lines[2]


def test_lines_outlive_a_lost_redis(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and known ends are not told again afterwards."""
    read, pause = script(([one()], ""), ((), "Redis is away"), ([one()], ""))
    top.show_lines(read, pause, 0.5)
    lines = capsys.readouterr().out.splitlines()
    assert "Redis is away" in lines
    assert sum("✓" in line for line in lines) == 1


def test_the_screen_is_drawn_until_the_pause_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once at the start and once per refresh."""
    drawn = []
    monkeypatch.setattr(Live, "update", lambda _self, shown, **_k: drawn.append(shown))
    read, pause = script(([one()], ""), ((), "nobody"), ([one()], ""))
    top.show_live(read, pause, 0.5, 5)
    assert len(drawn) == 2


def test_reading_snapshots(online: Shell, client: Any) -> None:
    """Sorted; with a note where there are none."""
    settings = load_settings(environ={"REDIS_URL": online.env["REDIS_URL"]}, env_file=None)
    assert top.read(client, settings) == ([], "no instance of group solution runs")
    client.set(key_of("solution", "a"), orjson.dumps({"instance": "a"}))
    assert top.read(client, settings) == ([{"instance": "a"}], "")


def test_reading_without_redis() -> None:
    """A note instead of an exception."""
    url = "redis://:pass-word@127.0.0.1:1/0"
    settings = load_settings(environ={"REDIS_URL": url}, env_file=None)
    lost = make_client(url)
    snapshots, note = top.read(lost, settings)
    lost.close()
    assert list(snapshots) == []
    assert "does not answer" in note
    assert "pass-word" not in note


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal; yields the side at which a person types."""
    person, program = pty.openpty()
    with os.fdopen(program, "r") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield person
    os.close(person)


def test_q_ends_a_pause(terminal: int) -> None:
    """Other keys do not."""
    with top.keys() as pause:
        assert not pause(0.0)
        os.write(terminal, b"x")
        assert not pause(1.0)
        os.write(terminal, b"q")
        assert pause(1.0)


def test_without_a_terminal_the_pause_only_waits(
    monkeypatch: pytest.MonkeyPatch, online: Shell
) -> None:
    """As in a pipe: the command ends by Ctrl-C."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with top.keys() as pause:
            assert not pause(0.0)


def test_ctrl_c_is_the_usual_end(online: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(top, "show_lines", interrupted)
    assert online.run("top").exit_code == 0
