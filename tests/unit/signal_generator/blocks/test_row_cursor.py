"""Tests of signal_generator.blocks.row_cursor."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.blocks.register import malformed
from signal_generator.blocks.row_cursor import RowCursor
from signal_generator.blocks.trade_log import TradeLog
from signal_generator.executions import Execution

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


def write(path: Path, *kinds: str) -> None:
    """Rows that an event made, or (``error``) none."""
    log = TradeLog(path, lambda: NOW)
    for number, kind in enumerate(kinds):
        if kind == "error":
            log.failure(malformed({"ticker": "AA,PL\n"}, "s", "why"))
        else:
            log.update(Execution(event_id=number, event="new", own={}))
    log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a CSV."""
    return tmp_path / "mine.csv"


def test_the_first_run_knows_nothing(path: Path) -> None:
    """Nor one whose CSV was moved away, or begun anew."""
    cursor = RowCursor(path, "executions")
    assert cursor.read() is None
    write(path, "event", "event")
    cursor.keep("5-0", 7)
    path.unlink()
    assert cursor.read() is None
    write(path, "event")
    assert cursor.read() is None


def test_the_place_is_kept(path: Path) -> None:
    """With the last event, for the service repeats some."""
    write(path, "event")
    RowCursor(path, "executions").keep("5-0", 7)
    found = RowCursor(path, "executions").read()
    assert found is not None
    place, written = found
    assert (place.entry_id, place.event_id, written) == ("5-0", 7, 0)


def test_another_stream_says_nothing(path: Path) -> None:
    """Of another account, or of a simulated run."""
    write(path, "event")
    RowCursor(path, "executions").keep("5-0", 7)
    assert RowCursor(path, "others").read() is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"stream": 5}'])
def test_a_broken_place_says_nothing(path: Path, text: str) -> None:
    """The run goes on, from the end of the stream."""
    write(path, "event")
    (path.parent / ".mine.csv.place").write_text(text)
    assert RowCursor(path, "executions").read() is None


def test_a_torn_row_is_not_written(path: Path) -> None:
    """Its event has to be told once more."""
    write(path, "event")
    RowCursor(path, "executions").keep("5-0", 7)
    with path.open("a") as file:
        file.write("execution,sp-1,AAPL")
    found = RowCursor(path, "executions").read()
    assert found is not None
    assert found[1] == 0


def test_where_nothing_can_be_kept_the_run_goes_on(path: Path) -> None:
    """There is no such directory."""
    RowCursor(path / "deep" / "mine.csv", "executions").keep("5-0", 7)


@given(
    before=st.lists(st.sampled_from(["event", "error"])),
    after=st.lists(st.sampled_from(["event", "error"])),
)
def test_rows_beyond_the_place_are_counted(
    tmp_path_factory: Any, before: list[str], after: list[str]
) -> None:
    """A process that died after its rows and before the place."""
    path = tmp_path_factory.mktemp("log") / "mine.csv"
    write(path, *before)
    RowCursor(path, "executions").keep("5-0", 7)
    write(path, *after)
    found = RowCursor(path, "executions").read()
    assert found is not None
    assert found[1] == after.count("event")
