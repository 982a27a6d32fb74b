"""Where log lines go: a JSON file that changes each day, and the console.

Both are used by one thread, the log writer. They raise OSError when they cannot write; the writer
reports it on the other sink. The last thing done to a line is a sweep for secrets, for those that
only come about when a line is put together.
"""

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter

from solution.errors import ConfigError
from solution.log_records import extras_of
from solution.printable import visible, visible_json
from solution.private_files import make_directory, open_private
from solution.security import Redactor

FILE_NAME = "signalpaca.log"
DAYS_KEPT = 30
DAY = 86_400
"""Seconds of a UTC day."""

WRITE_AT = 1_000_000
"""Bytes after which lines are written although the burst is not over."""

_DATED = re.compile(re.escape(FILE_NAME) + r"\.\d{4}-\d{2}-\d{2}")
_QUOTED = re.compile(r"[\s\"=]")
"""What a value may not hold if it is to stand without quotes."""
_COLORS = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class JsonLine(OrjsonFormatter):
    """One JSON object per record: the fixed fields first, then exception and extras."""

    def __init__(self, run_id: str, redactor: Redactor) -> None:
        super().__init__()
        self._run_id = run_id
        self._redactor = redactor

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        del message_dict
        moment = datetime.fromtimestamp(record.created, UTC)
        log_data["timestamp"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        log_data["run_id"] = self._run_id
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.getMessage()
        log_data["thread"] = record.threadName
        if record.exc_text:
            log_data["exception"] = record.exc_text
        if record.stack_info:
            log_data["stack"] = record.stack_info
        for name, value in extras_of(record):
            log_data[f"extra_{name}" if name in log_data else name] = value

    def format(self, record: logging.LogRecord) -> str:
        line = self._redactor.sweep(super().format(record))
        return line if line.isprintable() else self._redactor.sweep(visible_json(line))


class ConsoleLine(logging.Formatter):
    """``[HH:MM:SS] LEVEL message key=value``, UTC, on one line; tracebacks indented below."""

    def __init__(self, redactor: Redactor, *, color: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        parts = [
            f"[{moment:%H:%M:%S}]",
            self._level(record.levelname),
            visible(record.getMessage()),
        ]
        parts += [f"{visible(name)}={_shown(value)}" for name, value in extras_of(record)]
        lines = [" ".join(parts)]
        for text in (record.exc_text, record.stack_info):
            # The bar tells a traceback's own lines from log lines that a message imitates.
            lines += [f"  | {visible(line)}" for line in (text or "").splitlines()]
        return self._redactor.sweep("\n".join(lines))

    def _level(self, name: str) -> str:
        return f"\x1b[{_COLORS.get(name, '0')}m{name}\x1b[0m" if self._color else name


def _shown(value: object) -> str:
    if isinstance(value, str) and value and not _QUOTED.search(value):
        return visible(value)
    return visible(orjson.dumps(value).decode())


class ConsoleHandler(logging.Handler):
    """Lines for people, on a terminal in colour unless the environment asks for none."""

    def __init__(self, stream: TextIO, redactor: Redactor, *, color: bool) -> None:
        super().__init__()
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.setFormatter(ConsoleLine(redactor, color=color and stream.isatty()))

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode(self._encoding, "backslashreplace")
        self._stream.write(line.decode(self._encoding) + "\n")

    def flush(self) -> None:
        self._stream.flush()


class JsonFileHandler(logging.Handler):
    """``signalpaca.log`` in a directory: readable by its owner only, a new file each UTC day.

    The standard library's rotating handler deletes yesterday's file when a second process (a
    standby on the same directory) rotates after the first. Here whoever comes second finds the
    dated file and only opens the new one.

    Raises:
        ConfigError: the directory or file cannot be written.
    """

    def __init__(
        self, directory: Path, run_id: str, redactor: Redactor, days_kept: int = DAYS_KEPT
    ) -> None:
        super().__init__()
        self._directory = directory
        self._path = directory / FILE_NAME
        self._days_kept = days_kept
        self._pending: list[bytes] = []
        self._size = 0
        self._torn = False
        self.setFormatter(JsonLine(run_id, redactor))
        try:
            self._handle = self._open()
        except OSError as error:
            raise ConfigError(f"LOG_DIR='{directory}' cannot be used: {error.strerror}") from None
        self._day = self._day_of_file()

    def emit(self, record: logging.LogRecord) -> None:
        day = int(record.created // DAY)
        if self._day is not None and day > self._day:
            self._change_file(self._day)
            self._day = None
        self._day = self._day or day
        line = self.format(record).encode() + b"\n"
        self._pending.append(line)
        self._size += len(line)
        if self._size >= WRITE_AT:
            self.flush()

    def flush(self) -> None:
        """Write the lines of a burst with one call.

        Raises:
            OSError: they are lost; the next line starts on a line of its own.
        """
        data = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        if not data:
            return
        self._keep_name()
        data = b"\n" + data if self._torn else data
        self._torn = True
        while data:
            data = data[os.write(self._handle, data) :]
        self._torn = False

    def close(self) -> None:
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.close(handle)
        super().close()

    def _keep_name(self) -> None:
        """A file that was deleted, alone or with its directory, would swallow every line unseen.

        One that another process has given yesterday's date still has a name, and lines in time.
        """
        if os.fstat(self._handle).st_nlink:
            return
        handle, self._handle = self._handle, self._open()
        os.close(handle)
        self._torn = False

    def _open(self) -> int:
        make_directory(self._directory)
        return open_private(self._path, os.O_WRONLY | os.O_APPEND)

    def _day_of_file(self) -> int | None:
        status = os.fstat(self._handle)
        return int(status.st_mtime // DAY) if status.st_size else None

    def _change_file(self, day: int) -> None:
        self._keep_name()
        self.flush()
        dated = self._path.with_name(f"{FILE_NAME}.{datetime.fromtimestamp(day * DAY, UTC):%F}")
        with self._locked():
            if not dated.exists():
                with suppress(FileNotFoundError):  # deleted under us; the new file takes over
                    self._path.rename(dated)
            handle, self._handle = self._handle, self._open()
        os.close(handle)
        names = sorted(p.name for p in self._directory.iterdir() if _DATED.fullmatch(p.name))
        for name in names[: -self._days_kept]:
            (self._directory / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time changes the directory's files."""
        handle = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
