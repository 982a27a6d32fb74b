"""What this service makes is for its owner alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from solution.private_files import make_directory, open_private, who_else_writes, write_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct, autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test under an open, the usual and a strict umask."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_every_directory_on_the_way_is_private(tmp_path: Path) -> None:
    """Who may write a parent may replace what is in it."""
    make_directory(tmp_path / "a/b/c")
    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """It may be shared on purpose."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    make_directory(tmp_path / "shared")
    assert mode_of(tmp_path / "shared") == 0o755


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_is_no_directory(tmp_path: Path, below: str) -> None:
    """Neither in its own place nor above."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_directory(tmp_path / "file" / below)


def test_a_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    """Made so, not made and then closed."""
    write_private(tmp_path / "new", b"content")
    assert mode_of(tmp_path / "new") == 0o600
    assert (tmp_path / "new").read_bytes() == b"content"


def test_a_file_that_was_open_is_closed(tmp_path: Path) -> None:
    """What is written into it now is not for everybody."""
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o664)
    os.close(open_private(tmp_path / "old", os.O_WRONLY))
    assert mode_of(tmp_path / "old") == 0o600


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o600, ""), (0o644, ""), (0o664, "the group"), (0o666, "every user"), (0o602, "every user")],
)
def test_who_else_writes_a_file(tmp_path: Path, mode: int, who: str) -> None:
    """Everybody counts before the group."""
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    assert who_else_writes(tmp_path / "file") == who


@pytest.mark.parametrize(
    ("mode", "who"), [(0o755, ""), (0o770, "the group"), (0o777, "every user"), (0o1777, "")]
)
def test_who_else_writes_a_directory(tmp_path: Path, mode: int, who: str) -> None:
    """With the sticky bit nobody replaces what is another's."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(mode)
    assert who_else_writes(tmp_path / "folder") == who
