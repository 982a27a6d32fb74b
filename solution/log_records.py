"""Log records made harmless: values that can be written by anyone, and nothing secret in them."""

import logging
import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from solution.security import Redactor

MARK = "_redacted_by"
"""Attribute of a record that went through a filter; holds the redactor, which no extra can."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", MARK}
"""Attributes of a record that are not extras."""

DEEPEST = 6
"""Levels of a nested value that are kept as structure; also what stops a value within itself."""

NAMES_KEPT = 512

WIDEST = 200
"""Items of a container that are kept."""


def extras_of(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """What the caller passed as ``extra``."""
    return [item for item in record.__dict__.items() if item[0] not in STANDARD]


def message_of(record: logging.LogRecord) -> str:
    """The formatted message, or its parts where they do not fit together."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # a wrong %-argument, or any error of a foreign __str__
        return f"{plain(record.msg)} {plain(record.args)}"


def plain(value: object, text: Callable[[str], str] = str, depth: int = 0) -> Any:
    """A snapshot of a value that is JSON: text, numbers, lists and mappings.

    Args:
        value: anything; an object that cannot even be turned into text gives its type's name.
        text: applied to every text in it, keys included. A number whose digits it would change
            becomes that text: a secret may be a number.
        depth: how deep the value lies in the one that was asked for.
    """
    if value is None or isinstance(value, bool):
        return value
    if depth < DEEPEST and isinstance(value, Mapping):
        some = list(value.items())[:WIDEST]
        return {text(_said(key)): plain(item, text, depth + 1) for key, item in some}
    if depth < DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, text, depth + 1) for item in list(value)[:WIDEST]]
    said = _said(value)
    cleaned = text(said)
    return value if cleaned == said and _is_json_number(value) else cleaned


def _is_json_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _said(value: object) -> str:
    try:
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace")
        return value.isoformat() if isinstance(value, date) else str(value)
    except Exception:  # noqa: BLE001  # __str__ of a foreign class may raise anything
        return f"<unprintable {type(value).__name__}>"


class RedactionFilter(logging.Filter):
    """Rewrites a record so that no registered secret is left in anything a handler may write.

    Belongs on handlers whose records are theirs alone, as behind a queue: it changes the record.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._formatter = logging.Formatter()
        self._names: dict[str, str] = {}
        self._version = redactor.version

    def filter(self, record: logging.LogRecord) -> bool:
        if record.__dict__.get(MARK) is self._redactor:  # the sink before us shares the redactor
            return True
        if self._is_harmless(record):
            record.__dict__[MARK] = self._redactor
            return True
        clean = self._clean
        record.msg, record.args = clean(message_of(record)), None
        name_of = self._name
        record.name, record.threadName = name_of(record.name), name_of(record.threadName or "")
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        record.exc_info = None
        record.exc_text = clean(record.exc_text or "") or None
        record.stack_info = clean(record.stack_info or "") or None
        for name, value in extras_of(record):
            del record.__dict__[name]
            record.__dict__[name_of(_said(name))] = plain(value, clean)
        record.__dict__[MARK] = self._redactor
        return True

    def _is_harmless(self, record: logging.LogRecord) -> bool:
        """Whether all of an ordinary record, read as one text, holds nothing to change.

        Ordinary: no traceback, plain ASCII, and extras that are texts or whole numbers. One search
        through all of it costs a third of one for each part.
        """
        if record.exc_info or record.exc_text or record.stack_info:
            return False
        message = message_of(record)
        parts = [message, record.name, record.threadName or ""]
        for name, value in extras_of(record):
            if type(value) is not str and type(value) is not int:
                return False
            parts += (name, str(value))
        text = "\0".join(parts)
        if not text.isascii() or "://" in text or self._redactor.sweep(text) != text:
            return False
        record.msg, record.args = message, None
        return True

    def _name(self, text: str) -> str:
        """Names of loggers, threads and extras come again and again: cleaned once."""
        if self._version != self._redactor.version:
            self._version = self._redactor.version
            self._names.clear()
        known = self._names.get(text)
        if known is None:
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            known = self._names[text] = self._clean(text)
        return known

    def _clean(self, text: str) -> str:
        # Lone surrogates (from file names and environments that are no UTF-8) fit into no sink.
        whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return self._redactor.redact(whole)
