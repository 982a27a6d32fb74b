"""Takes the end off an append-only file of Redis, and tells what stood there.

What a producer or the service had been told is done, and the disk did not have when the machine
died; or what a replica had not yet been sent when it was made the master.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

Command = tuple[bytes, ...]


def append_only_file(directory: Path) -> Path:
    """The file commands are appended to: one file up to 6.2, the newest of several since 7."""
    found = [*directory.glob("appendonly.aof"), *directory.glob("*/*.incr.aof")]
    return next(path for path in found if path.is_file())


def cut(file: Path, count: int) -> Sequence[Command]:
    """Remove the last commands of a server that does not run.

    Args:
        count: so many; what is left of a transaction that was cut goes as well.

    Returns:
        what was removed, oldest first.
    """
    text = file.read_bytes()
    found = list(commands(text))
    at = max(0, len(found) - count)
    opened = [i for i, (_, each) in enumerate(found[:at]) if each[0].upper() == b"MULTI"]
    closed = [i for i, (_, each) in enumerate(found[:at]) if each[0].upper() == b"EXEC"]
    if len(opened) > len(closed):
        at = opened[-1]
    if at < len(found):
        with file.open("r+b") as written:
            written.truncate(found[at][0])
    return [each for _, each in found[at:]]


def commands(text: bytes) -> Iterator[tuple[int, Command]]:
    """Where each command begins, and its words; a last one that is cut off counts for nothing."""
    at = 0
    while at < len(text):
        began = at
        try:
            size, at = _number(text, at, b"*")
            words = []
            for _ in range(size):
                length, at = _number(text, at, b"$")
                words.append(text[at : at + length])
                at += length + 2
        except ValueError:
            return
        if at > len(text):
            return
        yield began, tuple(words)


def _number(text: bytes, at: int, kind: bytes) -> tuple[int, int]:
    end = text.find(b"\r\n", at)
    if end < 0 or text[at : at + 1] != kind:
        raise ValueError(f"no {kind!r} at {at}")
    return int(text[at + 1 : end]), end + 2
