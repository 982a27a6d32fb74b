"""The ledger's place on disk: its path, its permissions, and the lock of the one process."""

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from solution.errors import ConfigError, LedgerError, LedgerInUse
from solution.ledger.failures import DAMAGED
from solution.ledger.schema import APPLICATION_ID
from solution.private_files import FILE, make_directory, who_else_writes

_SCHEME = "sqlite://"
_MAGIC = b"SQLite format 3\0"
_APPLICATION = slice(68, 72)
"""Where a database of SQLite names itself and its application, and what ours says
(https://www.sqlite.org/fileformat.html#the_database_header). Of a ledger that was never
checkpointed only the log says it."""
_LEDGER = APPLICATION_ID.to_bytes(4, "big")


def database_path(url: str) -> Path | None:
    """The file a ``LEDGER_URL`` names, None for a ledger in memory.

    ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db``, ``sqlite://`` (memory).

    Raises:
        ConfigError: any other form.
    """
    rest = url.removeprefix(_SCHEME)
    if rest == url:
        raise ConfigError("LEDGER_URL must begin with sqlite:/// or postgresql://")
    if rest in {"", "/", "/:memory:"}:
        return None
    if not rest.startswith("/"):
        raise ConfigError(
            "LEDGER_URL needs three slashes before a relative path (sqlite:///data/x.db),"
            " four before an absolute one"
        )
    return Path(rest[1:])


def prepare(path: Path) -> None:
    """Make the directory (0700) and an empty file (0600), whatever the umask is.

    A directory that is there already keeps its mode. SQLite gives ``-wal`` and ``-shm`` the mode of
    the database. Call it only while nothing in this process has the database open: closing any
    descriptor of that file would drop the POSIX locks that SQLite holds on it.

    Raises:
        OSError: no permission, read-only file system, a file where a directory should be.
    """
    make_directory(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE))
    path.chmod(FILE)


def refuse_foreign(path: Path) -> None:
    """A wrong LEDGER_URL changes nothing about the file that it happens to name, its mode included.

    What is no ledger yet, and no other database's either, is judged by its tables once it is open.
    Call it as :func:`prepare`.

    Raises:
        LedgerError: it holds something else than a ledger.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_APPLICATION.stop)
    if head and not head.startswith(_MAGIC):
        raise LedgerError(f"the ledger {path} is no SQLite database, or {DAMAGED}")
    if head[_APPLICATION] not in {b"", bytes(4), _LEDGER}:
        raise LedgerError(f"{path} is a database of another application; it was not touched")


def close_to_others(path: Path) -> None:
    """Nobody but the owner may read the database and what belongs to it (0600).

    Raises:
        OSError: it is another user's.
    """
    for end in ("", "-wal", "-shm"):
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.chmod(FILE)


def refuse_open_to_all(path: Path) -> None:
    """What every user of the machine may write is no record of anything; whose it is, is moot.

    Closing it now would not say what somebody wrote before.

    Raises:
        LedgerError: the database or what belongs to it is writable by every user.
        OSError: it cannot be looked at.
    """
    for end in ("", "-wal", "-shm", ".lock"):
        beside = path.with_name(path.name + end)
        if beside.exists() and who_else_writes(beside) == "every user":
            raise LedgerError(
                f"the ledger's file {beside} may be written by every user of this machine; if you"
                " trust what is in it: chmod 600 it"
            )


def exposure(path: Path) -> str:
    """Who besides the owner could change or replace the ledger, in one sentence; empty for nobody.

    Raises:
        OSError: it cannot be looked at.
    """
    folder = path.parent
    if folder.exists() and (who := who_else_writes(folder)):
        return f"{who} may replace files of {folder}, the ledger among them: chmod 700 it"
    if path.exists() and (who := who_else_writes(path)):
        return f"{who} may write the ledger {path}: chmod 600 it"
    return ""


def refuse_emptied(path: Path) -> None:
    """A file without a byte is a new ledger, unless there is a log beside it.

    SQLite makes the first page before the log; opening an empty file it drops the log, and with it
    the last rows of whatever was there.

    Raises:
        LedgerError: something has emptied the file.
        OSError: it cannot be looked at.
    """
    log = path.with_name(path.name + "-wal")
    if not path.stat().st_size and log.exists() and log.stat().st_size:
        raise LedgerError(
            f"the ledger {path} is damaged: it is empty, but has a log; restore a backup"
        )


def seal_if_emptied(path: Path) -> None:
    """Keep the next start from taking for a new ledger what was emptied while in use.

    Call it when the last connection is closed: its log, the other witness, is deleted then.
    """
    with suppress(OSError):
        if not path.stat().st_size:
            path.write_text("This ledger was emptied while in use; restore a backup.\n")


@dataclass(slots=True)
class Mark:
    """What an open file was when it was opened, to be compared with what its path names now.

    A file that had something in it may grow and shrink (the log begins anew), and is never empty.
    """

    device: int
    inode: int
    has_content: bool

    @classmethod
    def of(cls, path: str) -> "Mark":
        about = os.stat(path)  # noqa: PTH116 - as in check
        return cls(about.st_dev, about.st_ino, about.st_size > 0)

    def check(self, path: str) -> None:
        """Raise LedgerError unless the path names the same file still, and not an emptied one."""
        try:
            now = os.stat(path)  # noqa: PTH116 - a Path's stat costs twice as much, at each order
        except OSError as error:
            raise LedgerError(f"the ledger's file {path} is gone: {error.strerror}") from error
        if (now.st_dev, now.st_ino) != (self.device, self.inode):
            raise LedgerError(f"the ledger's file {path} was replaced while in use")
        if now.st_size:
            self.has_content = True
        elif self.has_content:
            raise LedgerError(f"the ledger's file {path} was emptied while in use")


def marks(database: Path) -> dict[str, Mark]:
    """Of the open database and all that belongs to it, by path.

    Nobody makes the log or its index anew while the database is open: where a name of them is gone,
    another process reads and writes past us, and the next start does not find the last rows.

    Raises:
        OSError: one is not there.
    """
    name = os.fspath(database)
    return {path: Mark.of(path) for path in (name, f"{name}.lock", f"{name}-wal", f"{name}-shm")}


def sync_directory(path: Path) -> None:
    """Make the names of newly made files survive a power loss."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class InstanceLock:
    """``<database>.lock``, held exclusively while this object lives; it names the holder's pid.

    ``flock`` belongs to the open file, so it ends with the process however that dies. The file
    stays: removing it would let two processes lock two files of one name.

    Raises:
        LedgerInUse: another process holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise LedgerInUse(
                f"the ledger {database} is in use by process {holder or 'unknown'};"
                " only one may trade on it"
            ) from None
        os.fchmod(self._descriptor, FILE)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have it; once."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def unusable(path: Path, error: OSError) -> LedgerError:
    """What to raise when the file system says no at start."""
    return LedgerError(f"the ledger {path} cannot be opened: {error.strerror or error}")
