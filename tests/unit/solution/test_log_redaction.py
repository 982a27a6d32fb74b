"""The canary: whatever is logged, no registered secret reaches a sink."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.log_records import RedactionFilter
from solution.log_sinks import ConsoleHandler, JsonFileHandler
from solution.logs import EnqueueHandler, LogQueue, LogWriter
from solution.security import Redactor, Secret

CANARY = "canary-7Qd9xKp2"


def record(message: object = "said", *args: object, level: int = 20, **values: object) -> Any:
    """A record made by hand."""
    base: dict[str, object] = {"name": "n", "levelno": level, "levelname": "INFO"}
    return logging.makeLogRecord({**base, "msg": message, "args": args, **values})


class Leaky:
    """Says the secret however it is asked."""

    def __str__(self) -> str:
        return f"leaky {CANARY}"

    __repr__ = __str__


class Broken:
    """Cannot be shown at all, and says the secret when it fails."""

    def __str__(self) -> str:
        raise ValueError(CANARY)

    __repr__ = __str__


words = st.text(max_size=8) | st.sampled_from([CANARY, f"a{CANARY}b", f"redis://u:{CANARY}@h"])
leaves = st.one_of(
    words,
    words.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.builds(Leaky),
    st.builds(Broken),
    words.map(RuntimeError),
    words.map(Secret),
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(words, inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


def failure(cause: str, text: str) -> BaseException:
    """An exception with a cause and a note, all of them telling."""
    try:
        try:
            raise KeyError(cause)
        except KeyError as error:
            outer = RuntimeError(text)
            outer.add_note(cause)
            raise outer from error
    except RuntimeError as error:
        return error


def written(rec: logging.LogRecord, directory: Path) -> tuple[str, str]:
    """What both sinks make of a record that took the whole way."""
    redactor = Redactor([CANARY])
    console = io.StringIO()
    sinks = [
        JsonFileHandler(directory, "run", redactor),
        ConsoleHandler(console, redactor, color=True),
    ]
    waiting = LogQueue()
    for sink in sinks:
        sink.addFilter(RedactionFilter(redactor))
    EnqueueHandler(waiting, redactor).emit(rec)
    LogWriter(waiting, sinks).step()
    sinks[0].close()
    path = directory / "signalpaca.log"
    text = path.read_text()
    path.unlink()
    return text, console.getvalue()


@settings(deadline=None, derandomize=True)
@given(words, st.lists(values, max_size=3), st.dictionaries(words, values, max_size=4), words)
def test_no_record_ever_shows_a_secret(
    tmp_path_factory: pytest.TempPathFactory,
    message: str,
    args: list[object],
    extras: dict[str, object],
    told: str,
) -> None:
    """Message, arguments, extras however nested, names, exceptions with causes and notes."""
    directory = tmp_path_factory.getbasetemp() / "canary"
    error = failure(told, told)
    made = record(
        message + " %s" * len(args),
        *args,
        exc_info=(type(error), error, error.__traceback__),
        stack_info=told,
        threadName=told,
        name=f"logger.{told}",
    )
    made.__dict__.update({f"x{name}": value for name, value in extras.items()})
    in_file, on_console = written(made, directory)
    assert CANARY not in in_file
    assert CANARY not in on_console
    assert in_file.count("\n") == 1
    assert json.loads(in_file)["level"] == "INFO"
