"""Values of log records: a snapshot that is JSON, whatever they were."""

import logging
from datetime import UTC, datetime

from solution.log_records import DEEPEST, RedactionFilter, plain
from solution.security import MASK, Redactor


class Broken:
    """Cannot be shown at all."""

    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__


def test_values_are_kept_as_json() -> None:
    """Numbers as numbers where JSON can hold them, everything else as text."""
    given_value = {
        "int": 2**70,
        "nan": float("nan"),
        "set": {1},
        "bytes": b"\xff",
        "date": datetime(2026, 11, 20, tzinfo=UTC),
        3: Broken(),
    }
    assert plain(given_value) == {
        "int": str(2**70),
        "nan": "nan",
        "set": [1],
        "bytes": "\\xff",
        "date": "2026-11-20T00:00:00+00:00",
        "3": "<unprintable Broken>",
    }


def test_a_value_within_itself_ends() -> None:
    """Deeper than that it is one text."""
    loop: list[object] = []
    loop.append(loop)
    assert plain(loop, depth=DEEPEST - 1) == ["[[...]]"]


def test_a_secret_that_is_a_number_is_no_number_any_more() -> None:
    """An int is not text, and its digits are all the same."""
    redactor = Redactor(["12345678"])
    assert plain({"a": 12345678, "b": 1}, redactor.redact) == {"a": MASK, "b": 1}


def test_the_filter_alone_leaves_no_secret_in_a_record() -> None:
    """Handlers other than ours may sit behind it, so it cannot rely on their last sweep."""
    error = RuntimeError("canary")
    record = logging.makeLogRecord(
        {
            "name": "canary",
            "threadName": "canary",
            "msg": "%s",
            "args": ("canary",),
            "exc_info": (RuntimeError, error, None),
            "stack_info": "canary",
            "canary": {"canary": [b"canary", error]},
        }
    )
    assert RedactionFilter(Redactor(["canary"])).filter(record)
    assert "canary" not in repr(record.__dict__)
    assert record.getMessage() == record.name == MASK
