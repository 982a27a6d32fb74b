"""The end of an append-only file is taken off whole commands at a time, and told."""

from pathlib import Path

import pytest

from torture.aof import append_only_file, commands, cut
from torture.redis_faults import added_by


def wire(*words: str) -> bytes:
    """A command as Redis writes it."""
    parts = [f"*{len(words)}", *(f"${len(word)}\r\n{word}" for word in words), ""]
    return "\r\n".join(parts).encode()


FIRST = wire("SELECT", "0") + wire("XADD", "nvda", "1-0", "ticker", "QQ")
SECOND = wire("XADD", "nvda", "2-0", "ticker", "a\r\n*1\r\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three commands, the last one in a transaction, and half a command more."""
    path = tmp_path / "appendonly.aof"
    together = wire("MULTI") + wire("XADD", "executions", "3-0", "event_id", "1") + wire("EXEC")
    path.write_bytes(FIRST + SECOND + together + b"*3\r\n$4\r\nXA")
    return path


def test_commands_are_read_whatever_is_in_them(file: Path) -> None:
    """A line break in a field is no end of one, and half a command is none."""
    names = [words[0] for _, words in commands(file.read_bytes())]
    assert names == [b"SELECT", b"XADD", b"XADD", b"MULTI", b"XADD", b"EXEC"]


def test_a_transaction_is_cut_as_a_whole(file: Path) -> None:
    """Redis would leave half of it out as well."""
    gone = cut(file, 2)
    assert [words[0] for words in gone] == [b"MULTI", b"XADD", b"EXEC"]
    assert file.read_bytes() == FIRST + SECOND
    assert [added_by(command) for command in gone] == [
        None,
        ("executions", "3-0", {"event_id": "1"}),
        None,
    ]


def test_more_than_there_is_leaves_nothing(file: Path) -> None:
    """The whole of it."""
    assert len(cut(file, 100)) == 6
    assert file.read_bytes() == b""


def test_options_of_an_xadd_are_skipped() -> None:
    """As Redis writes them: exact, with the number of entries."""
    command = (b"XADD", b"executions", b"MAXLEN", b"=", b"1000", b"5-1", b"a", b"b-c")
    assert added_by(command) == ("executions", "5-1", {"a": "b-c"})


def test_the_file_is_found_under_both_versions(tmp_path: Path) -> None:
    """One file up to 6.2; from 7 on the increment, in a folder of its own."""
    (tmp_path / "appendonlydir").mkdir()
    newer = tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof"
    newer.touch()
    assert append_only_file(tmp_path) == newer
    newer.unlink()
    older = tmp_path / "appendonly.aof"
    older.touch()
    assert append_only_file(tmp_path) == older
