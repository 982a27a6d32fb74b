"""Secrets out of files that not everybody on the machine may open."""

import os
import stat
from pathlib import Path

_LIMIT = 4096
"""Bytes read: a longer file is not a secret but a mistake."""


def read_secret_file(file: str) -> str:
    """The text in the file, without the white space around it.

    Raises:
        ValueError: it cannot be read, or every user of this machine may; the text names the file.
    """
    try:
        with Path(file).expanduser().open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise ValueError(f"{file!r} is open to every user of this machine: chmod 600 it")
            return opened.read(_LIMIT).decode(errors="replace").strip()
    except OSError as error:
        raise ValueError(f"{file!r} cannot be read: {error.strerror}") from None
