"""The JSON file and the console, as the log writer uses them."""

import io
import json
import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.config import LoggingSettings
from solution.errors import ConfigError
from solution.log_records import RedactionFilter
from solution.log_sinks import DAY, ConsoleHandler, JsonFileHandler, JsonLine
from solution.logs import setup_logging
from solution.security import Redactor
from tests.helpers.hostile import HOSTILE

JSON_LINE = JsonLine("run", Redactor())
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def record(message: object = "said", *args: object, level: int = 20, **values: object) -> Any:
    """A record made by hand."""
    base: dict[str, object] = {"name": "n", "levelno": level, "levelname": "INFO"}
    return logging.makeLogRecord({**base, "msg": message, "args": args, **values})


def test_a_console_that_knows_few_letters(tmp_path: Path) -> None:
    """LANG=C must not lose a line."""
    raw = io.BytesIO()
    handler = ConsoleHandler(io.TextIOWrapper(raw, "ascii"), Redactor(), color=False)
    handler.handle(record("größe"))
    handler.flush()
    assert b"gr\\xf6\\xdfe" in raw.getvalue()


def test_values_that_look_like_one_url_together_leave_the_line_whole(tmp_path: Path) -> None:
    """URL passwords are masked value by value; across values the search would eat the JSON."""
    file = JsonFileHandler(tmp_path, "run", Redactor())
    line = file.format(record(a="://", b="c:d@e"))
    assert json.loads(line)["b"] == "c:d@e"
    file.close()


def test_a_secret_that_comes_about_in_the_line_is_found(tmp_path: Path) -> None:
    """Neither item is the secret, but the line would hold it; so the last sweep is over that."""
    redactor = Redactor(['"y","z'])
    console = ConsoleHandler(io.StringIO(), redactor, color=False)
    file = JsonFileHandler(tmp_path, "run", redactor)
    parts = record(items=["y", "z"])
    assert '"y","z' not in console.format(parts)
    assert '"y","z' not in file.format(parts)
    file.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Directory 0700, file 0600."""
    JsonFileHandler(tmp_path / "logs", "run", Redactor()).close()
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs/signalpaca.log").stat().st_mode & 0o777 == 0o600


def test_an_older_open_file_is_closed_to_others(tmp_path: Path) -> None:
    """Left behind by another tool, say."""
    path = tmp_path / "signalpaca.log"
    path.touch(0o644)
    JsonFileHandler(tmp_path, "run", Redactor()).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    """With one line that names the setting."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^LOG_DIR='.*/file' cannot be used: "):
        setup_logging(LoggingSettings(level="INFO", dir=tmp_path / "file"))


def day_lines(handler: JsonFileHandler, *days: int) -> None:
    """A line on each of these days after the first."""
    for day in days:
        handler.handle(record(f"day {day}", created=MIDNIGHT + day * DAY + 1))


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def test_yesterdays_file_stays_its_owners_alone(tmp_path: Path) -> None:
    """And so does the new one, under the most open umask."""
    before = os.umask(0)
    try:
        handler = JsonFileHandler(tmp_path / "a/logs", "run", Redactor())
        day_lines(handler, 0, 1)
        handler.close()
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "a/logs").iterdir()]
    assert modes == [0o600, 0o600]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@given(st.text() | st.sampled_from(HOSTILE), st.text(min_size=1) | st.sampled_from(HOSTILE))
def test_one_record_is_one_printable_line(text: str, name: str) -> None:
    """Whatever a signal, a ticker, a broker or Redis says, as message, argument, name or value."""
    said = record(
        "said %s", text, **{f"x{name}": text}, deep={name: [text, text.encode("utf8", "replace")]}
    )
    RedactionFilter(Redactor()).filter(said)
    console = ConsoleHandler(io.StringIO(), Redactor(), color=False).format(said)
    line = JSON_LINE.format(said)
    assert console.isprintable()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"said {text}"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_traceback_keeps_to_its_own_lines(text: str) -> None:
    """Its lines are marked, so that a message within cannot pass for a record."""
    said = record("failed", exc_text=f"Traceback\n{text}", stack_info=text)
    first, *others = ConsoleHandler(io.StringIO(), Redactor(), color=False).format(said).split("\n")
    assert first.endswith("failed")
    assert all(line.startswith("  | ") and line.isprintable() for line in others)
    assert JSON_LINE.format(said).isprintable()


def test_a_new_file_each_day(tmp_path: Path) -> None:
    """By the record's own UTC day; a late record of yesterday stays in today's file."""
    handler = JsonFileHandler(tmp_path, "run", Redactor())
    day_lines(handler, 0, 0, 1, 0)
    handler.flush()
    assert messages(tmp_path / "signalpaca.log.2026-11-20") == ["day 0", "day 0"]
    assert messages(tmp_path / "signalpaca.log") == ["day 1", "day 0"]
    handler.close()
    handler.close()


def test_a_restart_the_next_day_starts_a_new_file(tmp_path: Path) -> None:
    """The day of an existing file is that of its last line."""
    first = JsonFileHandler(tmp_path, "run", Redactor())
    day_lines(first, 0)
    first.flush()
    first.close()
    os.utime(tmp_path / "signalpaca.log", (MIDNIGHT, MIDNIGHT))
    second = JsonFileHandler(tmp_path, "run", Redactor())
    day_lines(second, 1)
    second.flush()
    second.close()
    assert messages(tmp_path / "signalpaca.log.2026-11-20") == ["day 0"]
    assert messages(tmp_path / "signalpaca.log") == ["day 1"]


def test_only_so_many_days_are_kept(tmp_path: Path) -> None:
    """Of ours; other files are none of our business."""
    (tmp_path / "signalpaca.log.old").touch()
    handler = JsonFileHandler(tmp_path, "run", Redactor(), days_kept=2)
    day_lines(handler, 0, 1, 2, 3)
    handler.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "signalpaca.log",
        "signalpaca.log.2026-11-21",
        "signalpaca.log.2026-11-22",
        "signalpaca.log.old",
    ]


def test_two_processes_may_share_a_directory(tmp_path: Path) -> None:
    """The second to notice midnight does not throw away the first one's day."""
    one, other = (JsonFileHandler(tmp_path, "run", Redactor()) for _ in range(2))
    day_lines(one, 0)
    day_lines(other, 0)
    day_lines(one, 1)
    day_lines(other, 1)
    for handler in (one, other):
        handler.flush()
        handler.close()
    assert messages(tmp_path / "signalpaca.log.2026-11-20") == ["day 0", "day 0"]
    assert messages(tmp_path / "signalpaca.log") == ["day 1", "day 1"]


@pytest.mark.parametrize("what", ["file", "directory"])
@pytest.mark.parametrize("day", [0, 1])
def test_a_file_deleted_under_us_is_begun_anew(tmp_path: Path, what: str, day: int) -> None:
    """With the next line, or at a change of day; with its directory, where that went too."""
    logs = tmp_path / "logs"
    handler = JsonFileHandler(logs, "run", Redactor())
    day_lines(handler, 0)
    handler.flush()
    if what == "file":
        (logs / "signalpaca.log").unlink()
    else:
        shutil.rmtree(logs)
    day_lines(handler, day)
    handler.flush()
    assert messages(logs / "signalpaca.log") == [f"day {day}"]
    assert logs.stat().st_mode & 0o777 == 0o700
    handler.close()


def test_a_directory_that_cannot_be_made_anew_is_told_and_tried_again(tmp_path: Path) -> None:
    """The writer says it on the console; lines come back with the directory."""
    logs = tmp_path / "logs"
    handler = JsonFileHandler(logs, "run", Redactor())
    shutil.rmtree(logs)
    logs.touch()
    day_lines(handler, 0)
    with pytest.raises(OSError, match="Not a directory"):
        handler.flush()
    logs.unlink()
    day_lines(handler, 0)
    handler.flush()
    handler.close()
    assert messages(logs / "signalpaca.log") == ["day 0"]


def test_a_long_burst_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays small."""
    monkeypatch.setattr("solution.log_sinks.WRITE_AT", 100)
    handler = JsonFileHandler(tmp_path, "run", Redactor())
    day_lines(handler, 0)
    assert messages(tmp_path / "signalpaca.log") == ["day 0"]
    handler.close()
