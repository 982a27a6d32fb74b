"""The control stream's reader, against a real Redis."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from solution.domain import control
from solution.domain.control import Command, ControlError, Verb
from solution.domain.reasons import RedisFault
from solution.errors import LedgerError
from solution.feeds import control_listener
from solution.feeds.control_listener import SEEN, ControlListener
from solution.redis_client import make_client
from tests.helpers.clocks import ManualClock, eventually
from tests.helpers.redis_server import RedisServer

STREAM = "control"


class Ledger:
    """Small state in a dict."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.fails = False

    def get_state(self, key: str) -> str | None:
        return self.rows.get(key)

    def set_state(self, key: str, value: str) -> None:
        if self.fails:
            raise LedgerError("disk full")
        self.rows[key] = value


class Scene:
    """A listener, its Redis, and what came of the commands."""

    def __init__(self, url: str) -> None:
        self.url, self.ledger, self.clock = url, Ledger(), ManualClock()
        self.client: Any = make_client(url)
        self.done: list[Command] = []
        self.refused: list[str] = []
        self.act: Callable[[Command], None] = self.done.append
        self.key = ""
        self.start()

    def start(self) -> None:
        """A new process on the same ledger."""
        self.listener = ControlListener(
            lambda: make_client(self.url),
            STREAM,
            self.key,
            ledger=self.ledger,
            carry_out=lambda command: self.act(command),  # noqa: PLW0108 - replaced by tests
            refused=lambda _entry, words: self.refused.append(words),
            clock=self.clock,
        )

    def now_ms(self) -> int:
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def give(self, verb: str = "kill", entry_id: str = "*", **fields: str) -> str:
        """An entry as somebody types it."""
        found: bytes = self.client.xadd(STREAM, {"command": verb, **fields}, id=entry_id)
        return found.decode()

    def sign(self, verb: Verb, name: str, ahead_ms: int = 0, **more: str) -> None:
        """A signed one."""
        command = Command(verb=verb, id=name, by="me", **more)  # type: ignore[arg-type]
        ts = self.now_ms() + ahead_ms
        self.client.xadd(STREAM, control.entry(STREAM, command, self.key, ts))

    def copy(self) -> None:
        """The newest entry once more, unchanged but for its entry id."""
        [(_, fields)] = self.client.xrevrange(STREAM, count=1)
        self.client.xadd(STREAM, fields)

    def restart(self) -> None:
        """The next process on the same ledger, running."""
        self.listener.on_stop()
        self.start()
        self.listener.step()

    def verbs(self) -> list[str]:
        return [str(command.verb) for command in self.done]


@pytest.fixture
def scene(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Nothing was given yet."""
    monkeypatch.setattr(control_listener, "BLOCK_MS", 1)
    made = Scene(redis_server.url)
    yield made
    made.listener.on_stop()
    made.client.close()


def test_a_command_is_carried_out_once(scene: Scene) -> None:
    """Also across a restart, and in the order given."""
    scene.listener.step()
    scene.give()
    scene.give("reduce-only", ticker="NVDA")
    scene.listener.step()
    assert scene.verbs() == ["kill", "reduce-only"]
    scene.listener.on_stop()
    scene.start()
    scene.listener.step()
    assert scene.verbs() == ["kill", "reduce-only"]
    assert scene.listener.picture() | {"stream": ""} == {
        "stream": "",
        "connected": True,
        "trouble": "",
        "signed": False,
        "handled": 0,
        "refused": 0,
    }


def test_what_was_given_while_nobody_listened(scene: Scene) -> None:
    """A stop counts as far back as it may be old; nothing older is read at all."""
    old = scene.now_ms() - control.STOP_MAX_AGE_MS - 1_000
    scene.give(entry_id=f"{old}-0")
    scene.give("reduce-only", entry_id=f"{scene.now_ms() - 200_000}-0")
    scene.listener.step()
    assert scene.verbs() == ["reduce-only"]
    assert scene.refused == []


def test_a_resume_is_for_a_running_instance(scene: Scene) -> None:
    """Much may have happened between it and the start."""
    scene.key = "k"
    scene.start()
    scene.sign(Verb.RESUME, "u1")
    given = int(scene.client.xinfo_stream(STREAM)["last-generated-id"].split(b"-")[0])
    assert eventually(lambda: scene.now_ms() > given)
    scene.listener.step()
    assert scene.done == []
    assert scene.refused == ["resume was given before this instance started"]
    scene.sign(Verb.RESUME, "u2")
    scene.listener.step()
    assert scene.verbs() == ["resume"]


def test_an_id_is_taken_once(scene: Scene) -> None:
    """A copy of a signed entry is refused, also by the next process."""
    scene.key = "k"
    scene.start()
    scene.listener.step()
    scene.sign(Verb.KILL, "k1")
    scene.listener.step()
    [(_, fields)] = scene.client.xrange(STREAM)
    scene.client.xadd(STREAM, fields)
    scene.listener.step()
    scene.listener.on_stop()
    scene.start()
    scene.client.xadd(STREAM, fields)
    scene.listener.step()
    assert scene.verbs() == ["kill"]
    assert scene.refused == ["kill k1 was given before"] * 2


@pytest.mark.parametrize("verb", [Verb.RESUME, Verb.FLATTEN])
def test_a_copy_of_what_was_refused_is_refused(scene: Scene, verb: Verb) -> None:
    """Given while nobody listened, copied into the stream since: its ts is still young enough."""
    scene.key = "k"
    scene.start()
    scene.sign(verb, "u1", ahead_ms=-1_000)
    scene.listener.step()
    scene.copy()
    scene.listener.step()
    scene.restart()
    scene.copy()
    scene.listener.step()
    assert scene.done == []
    assert scene.refused == [
        f"{verb} was given before this instance started",
        f"{verb} u1 was given before",
        f"{verb} u1 was given before",
    ]


def test_a_first_copy_made_after_the_start_is_judged_by_its_ts(scene: Scene) -> None:
    """The entry itself was never seen by this service: trimmed, or on another Redis."""
    scene.key = "k"
    scene.start()
    scene.sign(Verb.RESUME, "u1", ahead_ms=-1_000)
    [(entry_id, fields)] = scene.client.xrange(STREAM)
    scene.client.xdel(STREAM, entry_id)
    scene.listener.step()
    scene.client.xadd(STREAM, fields)
    scene.listener.step()
    assert scene.done == []
    assert scene.refused == ["resume was given before this instance started"]


@pytest.mark.parametrize(
    ("verb", "ahead_ms"), [(Verb.FLATTEN, 6_000), (Verb.FLATTEN, 3_600_000), (Verb.KILL, 3_600_000)]
)
def test_what_was_refused_as_too_early_does_not_act_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, verb: Verb, ahead_ms: int
) -> None:
    """By a copy, once its time has come; remembered as long as a copy could be young enough."""
    scene.key = "k"
    scene.start()
    scene.listener.step()
    scene.sign(verb, "f1", ahead_ms)
    scene.listener.step()
    assert "in the future" in scene.refused[0]
    scene.restart()
    later = scene.now_ms() + ahead_ms + 1_000
    monkeypatch.setattr(ControlListener, "_now_ms", lambda _self: later)
    [(_, fields)] = scene.client.xrange(STREAM)
    command = Command(verb=Verb.RESUME, id="u2", by="me")
    resume: Any = control.entry(STREAM, command, scene.key, later)
    scene.client.xadd(STREAM, resume, id=f"{later}-0")
    scene.client.xadd(STREAM, fields, id=f"{later}-1")
    scene.listener.step()
    assert scene.verbs() == ["resume"]
    assert scene.refused[-1] == f"{verb} f1 was given before"


def test_a_kill_that_came_to_nothing_does_not_come_back(scene: Scene) -> None:
    """It was older than a resume; its copy is not."""
    scene.key = "k"
    scene.start()
    scene.listener.step()

    def over(_command: Command) -> None:
        raise ControlError("kill was given before the last resume")

    scene.act = over
    scene.sign(Verb.KILL, "k1")
    scene.listener.step()
    scene.act = scene.done.append
    scene.copy()
    scene.listener.step()
    assert scene.done == []


def test_a_kill_with_an_id_that_is_not_ascii_acts_once(scene: Scene) -> None:
    """It counts, and a copy of it does not; neither does the next process's."""
    scene.key = "k"
    scene.start()
    scene.listener.step()
    scene.sign(Verb.KILL, "café")
    scene.listener.step()
    scene.copy()
    scene.listener.step()
    scene.restart()
    scene.copy()
    scene.listener.step()
    assert scene.verbs() == ["kill"]


def test_a_refusal_that_cannot_be_remembered_is_read_again(scene: Scene) -> None:
    """It is not at its end before the ledger says so."""
    scene.key = "k"
    scene.start()
    scene.listener.step()
    scene.sign(Verb.RESUME, "u1", ticker="?")
    scene.ledger.fails = True
    scene.listener.step()
    assert scene.refused == []
    scene.ledger.fails = False
    scene.listener.step()
    scene.listener.step()
    assert len(scene.refused) == 1
    assert "u1" in scene.ledger.rows[SEEN + STREAM]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (f"{2**64 - 1}-{2**64 - 1}", "nothing can be added any more"),
        ("9000000000000-0", "ahead of Redis's clock"),
    ],
)
def test_a_stream_that_ends_in_the_future_is_told(scene: Scene, last: str, words: str) -> None:
    """Once as an alert, and as trouble until somebody has mended it."""
    scene.listener.step()
    scene.give("reduce-only", entry_id=last)
    for _ in range(3):
        scene.clock.advance(1)
        scene.listener.step()
    assert scene.listener.alerts == {RedisFault.ID_IN_FUTURE: 1}
    shown = scene.listener.picture()
    assert words in shown["trouble"]
    assert shown["trouble"].startswith("REDIS_ID_IN_FUTURE: ")
    scene.client.delete(STREAM)
    scene.clock.advance(1)
    scene.listener.step()
    assert scene.listener.picture()["trouble"] == ""
    scene.give()
    scene.listener.step()
    assert scene.verbs() == ["reduce-only", "kill"]


def test_bad_entries_are_told_once_a_minute_and_stop_nothing(scene: Scene) -> None:
    """Whoever may write there may write a lot of them."""
    scene.listener.step()
    for _ in range(5):
        scene.give("nonsense")
        scene.give("resume")
    scene.give()
    scene.listener.step()
    assert scene.verbs() == ["kill"]
    assert len(scene.refused) == 2
    assert scene.listener.picture()["refused"] == 10
    scene.clock.advance(60)
    scene.give("nonsense")
    scene.listener.step()
    assert len(scene.refused) == 3


def test_an_odd_kill_counts_and_is_told(scene: Scene) -> None:
    """A misspelt field must not let trading go on."""
    scene.listener.step()
    scene.give(cancel_order="1")
    scene.listener.step()
    assert scene.verbs() == ["kill"]
    assert scene.refused == ["there is no field 'cancel_order'; the kill counts"]


def test_a_stop_that_could_not_be_written_is_carried_out_again(scene: Scene) -> None:
    """Until it is durable; it is in force meanwhile."""
    scene.listener.step()
    scene.give()

    def fails(command: Command) -> None:
        scene.done.append(command)
        if len(scene.done) < 3:
            raise LedgerError("disk full")

    scene.act = fails
    for _ in range(5):
        scene.listener.step()
    assert scene.verbs() == ["kill"] * 3
    assert orjson.loads(scene.ledger.rows[SEEN + STREAM])["last"]


def test_what_allows_more_is_never_carried_out_twice(scene: Scene) -> None:
    """Remembered first: where that fails it is not carried out, what fails itself is told."""
    scene.key = "k"
    scene.start()
    scene.listener.step()
    scene.sign(Verb.RESUME, "u1")
    scene.ledger.fails = True
    scene.listener.step()
    assert scene.done == []
    assert scene.listener.picture()["connected"] is False
    scene.ledger.fails = False

    def fails(command: Command) -> None:
        scene.done.append(command)
        raise LedgerError("disk full")

    scene.act = fails
    for _ in range(3):
        scene.listener.step()
    assert scene.verbs() == ["resume"]
    assert scene.refused == ["resume failed, give it again: disk full"]


@pytest.mark.parametrize("error", [ControlError("no such"), ValueError("a bug")])
def test_a_command_that_fails_does_not_keep_the_next_from_being_read(
    scene: Scene, error: Exception
) -> None:
    """Whatever it raised."""
    scene.listener.step()
    scene.give("reduce-only", ticker="A")
    scene.give()

    def fails(command: Command) -> None:
        if command.ticker:
            raise error
        scene.done.append(command)

    scene.act = fails
    scene.listener.step()
    assert scene.verbs() == ["kill"]
    assert len(scene.refused) == 1


def test_redis_lost_its_data_and_its_ids(scene: Scene) -> None:
    """The last id was far in the future: what comes after the loss has lower ids, and counts."""
    scene.listener.step()
    scene.give(entry_id=f"{scene.now_ms() + 10**9}-0")
    scene.listener.step()
    scene.client.delete(STREAM)
    scene.listener.step()
    scene.give("reduce-only")
    scene.listener.step()
    assert scene.verbs() == ["kill", "reduce-only"]
    scene.listener.on_stop()
    scene.start()
    scene.give()
    scene.listener.step()
    assert scene.verbs() == ["kill", "reduce-only", "kill"]


def test_redis_away_and_back(scene: Scene) -> None:
    """Told as trouble; what was given meanwhile is read."""
    scene.give()
    works, scene.url = scene.url, "redis://127.0.0.1:1"
    assert scene.listener.step() > 0
    assert scene.listener.picture()["connected"] is False
    scene.url = works
    scene.listener.step()
    assert scene.verbs() == ["kill"]


def test_a_memory_that_cannot_be_read(scene: Scene) -> None:
    """As if nothing had been handled: stops are given again, which does no harm."""
    scene.ledger.rows[SEEN + STREAM] = '{"last": 7}'
    scene.give()
    scene.listener.step()
    assert scene.verbs() == ["kill"]
