"""Logging: what a line looks like, that no secret is in it, and that nobody waits for it."""

import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from solution.config import LoggingSettings
from solution.domain.reasons import Reason
from solution.log_sinks import ConsoleHandler, JsonFileHandler
from solution.logs import (
    LONGEST_TEXT,
    LogQueue,
    LogSystem,
    LogWriter,
    setup_logging,
)
from solution.security import MASK, Redactor, Secret

CANARY = "canary-7Qd9xKp2"
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()

log = logging.getLogger("solution.test")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Running:
    """A log system, its console, and what came out of it after it stopped."""

    system: LogSystem
    console: io.StringIO
    directory: Path

    def lines(self) -> list[dict[str, Any]]:
        """Stop, and read the file."""
        assert self.system.stop(10)
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        """The file as it is."""
        return (self.directory / "signalpaca.log").read_text()

    def shown(self) -> str:
        """Stop, and read the console."""
        assert self.system.stop(10)
        return self.console.getvalue()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start log systems; all are stopped with the test."""
    made: list[Running] = []

    def begin(
        level: str = "DEBUG", console: io.StringIO | None = None, *, color: bool = True
    ) -> Running:
        stream = console or io.StringIO()
        settings = LoggingSettings(level=level, dir=tmp_path / "logs", color=color)
        system = setup_logging(settings, [CANARY, Secret("second-canary")], stream)
        made.append(Running(system, stream, tmp_path / "logs"))
        return made[-1]

    yield begin
    for running in made:
        running.system.stop(10)


@pytest.fixture
def running(start: Callable[..., Running]) -> Running:
    """One of them, at DEBUG, without a terminal."""
    return start()


def record(message: object = "said", *args: object, level: int = 20, **values: object) -> Any:
    """A record made by hand."""
    base: dict[str, object] = {"name": "n", "levelno": level, "levelname": "INFO"}
    return logging.makeLogRecord({**base, "msg": message, "args": args, **values})


# --- what a line looks like ----------------------------------------------------------------------


def test_a_json_line(running: Running) -> None:
    """Fixed fields first, then what belongs to the event."""
    log.info(
        "order_sent", extra={"symbol": "NVDA", "qty": Decimal("1.50"), "why": Reason.AT_TARGET}
    )
    (line,) = running.lines()
    assert list(line)[:6] == ["timestamp", "run_id", "level", "logger", "message", "thread"]
    assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC
    assert line["timestamp"].endswith("Z")
    assert len(line["run_id"]) == 8
    assert (line["level"], line["logger"]) == ("INFO", "solution.test")
    assert (line["message"], line["symbol"]) == ("order_sent", "NVDA")
    assert (line["qty"], line["why"]) == ("1.50", "AT_TARGET")


def test_a_console_line(running: Running) -> None:
    """Time, level, message, key=value; quoted where a reader could be misled."""
    log.warning("%s late", "feed", extra={"symbol": "NVDA", "why": "a b", "items": [1, None]})
    assert running.shown()[0] == "["
    assert running.shown()[9:] == '] WARNING feed late symbol=NVDA why="a b" items=[1,null]\n'


@pytest.mark.parametrize(
    ("console", "color", "level"),
    [
        (Terminal(), True, "\x1b[33mWARNING\x1b[0m"),
        (Terminal(), False, "] WARNING "),
        (io.StringIO(), True, "] WARNING "),
    ],
)
def test_colours_are_for_terminals(
    start: Callable[..., Running], console: io.StringIO, color: bool, level: str
) -> None:
    """And not for those who asked for none."""
    running = start(console=console, color=color)
    log.warning("said")
    assert level in running.shown()


def test_control_characters_cannot_forge_a_line(running: Running) -> None:
    """A ticker or the broker's text may hold anything."""
    log.info("a\r\n[00:00:00] INFO b\x1b[2J\u202e", extra={"k\n": "v\nx", "w": "\x9b"})
    shown = running.shown()
    assert shown.count("\n") == 1
    assert "a\\r\\n[00:00:00] INFO b\\x1b[2J\\u202e" in shown
    assert not set("\r\x1b\x9b\u202e") & set(shown)


def test_a_traceback_is_in_both_sinks(running: Running) -> None:
    """Indented on the console, so that it cannot be taken for log lines."""
    try:
        raise ValueError("one\n[00:00:00] INFO two")
    except ValueError:
        log.exception("step_failed", stack_info=True)
    shown = running.shown()
    assert "\n  | ValueError: one\n  | [00:00:00] INFO two\n" in shown
    (line,) = running.lines()
    assert line["exception"].startswith("Traceback")
    assert "test_a_traceback_is_in_both_sinks" in line["stack"]


def test_extras_cannot_replace_the_fixed_fields(running: Running) -> None:
    """They are kept under another name."""
    log.info("said", extra={"level": "low", "run_id": "mine"})
    (line,) = running.lines()
    assert (line["level"], line["extra_level"], line["extra_run_id"]) == ("INFO", "low", "mine")


def test_a_message_that_does_not_fit_its_arguments_is_still_a_line(
    start: Callable[..., Running],
) -> None:
    """The standard library would print it, unredacted, to standard error."""
    running = start()
    log.info("%d of %d", "x", extra={"a": 1})
    log.info({"not": "text"})
    first, second = running.lines()
    assert first["message"] == "%d of %d ['x']"
    assert second["message"] == "{'not': 'text'}"


def test_below_the_level_nothing_is_written(start: Callable[..., Running]) -> None:
    """LOG_LEVEL counts for everyone, and libraries' wire dumps are never there."""
    running = start("INFO")
    log.debug("no")
    logging.getLogger("urllib3.connectionpool").info("no")
    logging.getLogger("urllib3.connectionpool").warning("yes")
    assert [line["message"] for line in running.lines()] == ["yes"]


def test_python_warnings_are_logged(running: Running) -> None:
    """With their text, redacted."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {CANARY}", UserWarning, stacklevel=1)
    (line,) = running.lines()
    assert line["logger"] == "py.warnings"
    assert f"UserWarning: old {MASK}" in line["message"]


def test_what_ends_a_thread_or_the_process_is_logged(running: Running) -> None:
    """Instead of being printed with all its values."""

    def fail() -> None:
        raise RuntimeError(CANARY)

    thread = threading.Thread(target=fail, name="victim")
    thread.start()
    thread.join(10)
    sys.excepthook(RuntimeError, RuntimeError(CANARY), None)
    in_thread, at_top = running.lines()
    assert (in_thread["in_thread"], in_thread["level"]) == ("victim", "CRITICAL")
    assert at_top["exception"] == f"RuntimeError: {MASK}"


def test_ctrl_c_and_sys_exit_are_no_crashes(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are how people and threads end things."""
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join(10)
    assert running.lines() == []
    assert "KeyboardInterrupt" in capsys.readouterr().err


# --- secrets -------------------------------------------------------------------------------------


def test_an_extra_cannot_pass_as_redacted(running: Running) -> None:
    """The mark of the filter is an object no caller has."""
    log.info("said", extra={"_redacted_by": CANARY, "other": CANARY})
    assert CANARY not in running.shown() + running.text()


def test_a_secret_learned_later_is_redacted(running: Running) -> None:
    """As one out of a vault would be."""
    running.system.redactor.add("third-canary")
    log.info("%s %s", "third-canary", "second-canary")
    assert [line["message"] for line in running.lines()] == [f"{MASK} {MASK}"]


def test_a_long_text_is_redacted_before_it_is_cut(running: Running) -> None:
    """Half a secret does not look like one any more."""
    text = "x" * (LONGEST_TEXT - 5) + CANARY + "y" * 100
    log.info(text, extra={"long": text, "nested": [text]})
    log.info("%s", text)
    first, second = running.lines()
    for cut in (first["message"], first["long"], first["nested"][0], second["message"]):
        assert cut.endswith(f"xxx{MASK[:5]}… ({len(text)} characters)")


# --- records on their way ------------------------------------------------------------------------


def test_a_value_is_logged_as_it_was(running: Running) -> None:
    """Whoever logs a dict may change it on the next line."""
    state = {"qty": 1}
    log.info("%s", state, extra={"state": state})
    log.info("%(qty)s", state)
    state["qty"] = 2
    first, second = running.lines()
    assert (first["message"], first["state"]) == ("{'qty': 1}", {"qty": 1})
    assert second["message"] == "1"


def test_other_handlers_see_the_record_untouched(running: Running) -> None:
    """The filter changes a copy."""
    made = record("%s", CANARY, own=CANARY)
    logging.getLogger().handlers[0].handle(made)
    running.system.stop(10)
    assert (made.msg, made.args, made.own) == ("%s", (CANARY,), CANARY)


# --- the queue and the writer --------------------------------------------------------------------


def test_what_was_logged_is_written_when_flush_returns(running: Running) -> None:
    """A prompt that is written next stands behind it."""
    for number in range(50):
        log.info("line %d", number)
        for handler in logging.getLogger().handlers:
            handler.flush()
        assert f"line {number}" in running.console.getvalue()


def test_flush_does_not_wait_for_ever() -> None:
    """A sink that is stuck holds up nobody for longer."""
    waiting = LogQueue()
    waiting.put(logging.makeLogRecord({"levelno": logging.INFO}))
    assert not waiting.await_written(0.01)
    waiting.take()
    waiting.mark_written()
    assert waiting.await_written(0)


def test_a_full_queue_drops_the_oldest_unimportant_record() -> None:
    """And counts; a warning goes only when there is nothing else."""
    waiting = LogQueue(3)
    for number, level in enumerate((30, 20, 10, 20, 40)):
        waiting.put(record(number, level=level))
    records, dropped = waiting.take()
    assert ([rec.msg for rec in records], dropped) == ([0, 3, 4], 2)
    for number in range(4):
        waiting.put(record(number, level=40))
    records, dropped = waiting.take()
    assert ([rec.msg for rec in records], dropped) == ([1, 2, 3], 1)
    assert waiting.take() == ([], 0)


def test_dropped_records_are_reported() -> None:
    """In the log itself, and as a number."""
    console = io.StringIO()
    waiting = LogQueue(1)
    writer = LogWriter(waiting, [ConsoleHandler(console, Redactor(), color=False)])
    for number in range(3):
        waiting.put(record(number))
    writer.step()
    assert "log_records_dropped count=2" in console.getvalue()
    assert writer.dropped == 2


def test_records_of_many_threads_all_arrive_in_order(running: Running) -> None:
    """Each thread's lines keep their order."""

    def talk(name: str) -> None:
        for number in range(200):
            log.info("said", extra={"who": name, "number": number})

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    lines = running.lines()
    assert running.system.dropped == 0
    for name in "abcd":
        assert [x["number"] for x in lines if x["who"] == name] == list(range(200))


class Stuck(io.StringIO):
    """A terminal somebody has stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.release = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.release.wait(20)
        return super().write(text)


def test_a_stuck_console_delays_neither_callers_nor_the_stop(start: Callable[..., Running]) -> None:
    """stop() gives up in time and says so."""
    console = Stuck()
    running = start(console=console)
    log.info("first")
    assert console.reached.wait(10)
    log.info("second")
    assert not running.system.stop(0.05)
    assert running.system.stop()
    console.release.set()


class Full(io.StringIO):
    """A pipe nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_sink_that_fails_is_reported_once_on_the_other(start: Callable[..., Running]) -> None:
    """The file goes on."""
    running = start(console=Full())
    log.info("first")
    log.info("second")
    messages = [line["message"] for line in running.lines()]
    assert messages == ["first", "second", "log_sink_failed"]
    assert running.lines()[-1]["sink"] == "ConsoleHandler"


def test_a_sink_that_recovers_is_reported_again_when_it_fails_again(tmp_path: Path) -> None:
    """Once per failure, not once per line."""
    console, path = io.StringIO(), tmp_path / "signalpaca.log"
    redactor, waiting = Redactor(), LogQueue()
    file = JsonFileHandler(tmp_path, "run", redactor)
    writer = LogWriter(waiting, [file, ConsoleHandler(console, redactor, color=False)])
    good, bad = file._handle, os.open(path, os.O_RDONLY)
    for handle in (bad, bad, good, bad):
        file._handle = handle
        waiting.put(record())
        writer.step()
    file._handle = good
    file.close()
    os.close(bad)
    assert console.getvalue().count("log_sink_failed") == 2
    assert path.read_text().startswith("\n{")


def test_everything_failing_is_survived() -> None:
    """There is nobody left to tell."""
    waiting = LogQueue()
    writer = LogWriter(waiting, [ConsoleHandler(Full(), Redactor(), color=False)])
    waiting.put(record())
    writer.step()
    assert waiting.take() == ([], 0)


def test_stop_puts_logging_back(start: Callable[..., Running]) -> None:
    """Handlers, levels and hooks are as before, and a second stop does nothing."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), sys.excepthook, threading.excepthook)
    urllib3 = logging.getLogger("urllib3").level
    running = start()
    assert sys.excepthook != before[2]
    assert running.system.stop()
    assert running.system.stop()
    assert (root.level, list(root.handlers), sys.excepthook, threading.excepthook) == before
    assert logging.getLogger("urllib3").level == urllib3


def test_without_a_directory_there_is_only_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOG_DIR= means console only."""
    monkeypatch.chdir(tmp_path)
    console = io.StringIO()
    system = setup_logging(LoggingSettings(level="INFO", dir=None), (), console)
    log.info("said")
    assert system.stop(10)
    assert "INFO said" in console.getvalue()
    assert list(tmp_path.iterdir()) == []
