"""Files and directories that nobody but their owner may read, whatever the umask is."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

DIRECTORY, FILE = 0o700, 0o600
"""The modes of what this service makes."""


def make_directory(path: Path) -> None:
    """Make it and the parents that are missing, each for the owner alone.

    What is there already keeps its mode: a directory may be shared on purpose.

    Raises:
        OSError: no permission, read-only file system, a file where a directory should be.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=DIRECTORY, exist_ok=True)
        folder.chmod(DIRECTORY)
    if not missing and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def open_private(path: Path, flags: int) -> int:
    """A descriptor of the file; one that others could read is closed to them.

    Raises:
        OSError: it cannot be opened.
    """
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE)
    with suppress(PermissionError):  # somebody else's file that we may write: theirs to decide
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
            os.fchmod(handle, FILE)
    return handle


def write_private(path: Path, content: bytes) -> None:
    """Make a new file with this content; one that is there is emptied first.

    Raises:
        OSError: it cannot be written.
    """
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


def who_else_writes(path: Path) -> str:
    """``every user`` or ``the group`` where one of them may write it too, else the empty text.

    In a directory with the sticky bit (``/tmp``) nobody replaces what belongs to others.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return ""
    if mode & stat.S_IWOTH:
        return "every user"
    return "the group" if mode & stat.S_IWGRP else ""
