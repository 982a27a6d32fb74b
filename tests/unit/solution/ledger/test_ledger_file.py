"""What only a ledger in a file promises: it outlives the process, alone, private, and checked."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from solution import standby
from solution.config import load_settings
from solution.domain.records import Change, EntryRef, State
from solution.errors import (
    ConfigError,
    IdentityExists,
    LedgerBusy,
    LedgerError,
    LedgerInUse,
    StartupError,
)
from solution.ledger import file_check, open_reader, sqlite, wal
from solution.ledger.files import database_path, exposure
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.ledger_rows import make_end, make_event, make_intent

ROOT = Path(__file__).parents[4]
CHILD = """
import sys
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.ledger_rows import make_end, make_intent
ledger = SqliteLedger(sys.argv[1])
for number in range(int(sys.argv[2])):
    ledger.begin(make_intent(number))
ledger.apply([make_end(0)])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process with the ledger open: 50 rows begun, the first at its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, f"sqlite:///{database}", "50"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate(timeout=10)


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/x.db", Path("data/x.db")),
        ("sqlite:////var/lib/x.db", Path("/var/lib/x.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_urls_name_a_file_or_memory(url: str, path: Path | None) -> None:
    """Three slashes are relative, four absolute."""
    assert database_path(url) == path


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://data/x.db", "data/x.db", ""])
def test_other_urls_are_a_wrong_setting(url: str) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigError, match="LEDGER_URL"):
        SqliteLedger(url)


def test_everything_survives_a_close(database: Path) -> None:
    """Rows, event ids and state are there when the file is opened again."""
    first = SqliteLedger(f"sqlite:///{database}")
    first.begin(make_intent())
    first.apply([make_end()])
    first.set_state("account", "a-1")
    first.close()
    second = SqliteLedger(f"sqlite:///{database}")
    assert second.find(make_intent().identity).state is State.FILLED
    assert second.get_state("account") == "a-1"
    assert second.last_event_id() == 1
    second.close()


def test_rows_survive_kill_9(child: subprocess.Popen[str], database: Path) -> None:
    """What begin() and apply() returned for is there after SIGKILL, and the file is sound."""
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    ledger = SqliteLedger(f"sqlite:///{database}")
    assert len(ledger.open_intents()) == 49
    assert ledger.find(make_intent(0).identity).state is State.FILLED
    assert [event_id for event_id, _ in ledger.unpublished(10)] == [ledger.last_event_id()]
    assert ledger._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    ledger.close()


def test_a_second_process_is_told_who_holds_the_ledger(
    child: subprocess.Popen[str], database: Path
) -> None:
    """Only one process trades on a ledger; when it is gone the next may."""
    with pytest.raises(LedgerInUse, match=f"in use by process {child.pid};"):
        SqliteLedger(f"sqlite:///{database}")
    child.kill()
    child.wait(10)
    SqliteLedger(f"sqlite:///{database}").close()


def test_a_reader_sees_what_a_running_service_wrote(
    child: subprocess.Popen[str], database: Path
) -> None:
    """The listing commands work beside the service, without its lock."""
    with open_reader(f"sqlite:///{database}") as reader:
        assert reader.counts_by_state() == {State.SUBMITTING: 49, State.FILLED: 1}


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o777])
def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """New directories are 0700, every file of the ledger is 0600."""
    database = tmp_path / "new" / "deep" / "ledger.db"
    before = os.umask(umask)
    try:
        ledger = SqliteLedger(f"sqlite:///{database}")
        ledger.begin(make_intent())
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in database.parent.iterdir()} == {
        "ledger.db": 0o600,
        "ledger.db-wal": 0o600,
        "ledger.db-shm": 0o600,
        "ledger.db.lock": 0o600,
    }
    assert [mode(tmp_path / "new"), mode(tmp_path / "new" / "deep")] == [0o700, 0o700]
    ledger.close()


@pytest.mark.parametrize("end", ["", "-wal", ".lock"])
def test_a_file_that_everybody_may_write_is_refused(database: Path, end: str) -> None:
    """What is in it may be anybody's, so its mode is not quietly put right either."""
    SqliteLedger(f"sqlite:///{database}").close()
    open_to_all = database.with_name(database.name + end)
    open_to_all.touch()
    open_to_all.chmod(0o606)
    with pytest.raises(LedgerError, match=f"{open_to_all} may be written by every user"):
        SqliteLedger(f"sqlite:///{database}")
    assert mode(open_to_all) == 0o606


@pytest.mark.parametrize(
    ("folder", "file", "words"),
    [
        (0o700, 0o600, ""),
        (0o755, 0o644, ""),
        (0o1777, 0o600, ""),
        (0o700, 0o660, "the group may write the ledger"),
        (0o770, 0o660, "the group may replace files of"),
        (0o777, 0o600, "every user may replace files of"),
    ],
)
def test_who_else_could_change_the_ledger(
    database: Path, folder: int, file: int, words: str
) -> None:
    """In one sentence, which says what to do."""
    SqliteLedger(f"sqlite:///{database}").close()
    database.chmod(file)
    database.parent.chmod(folder)
    said = exposure(database)
    database.parent.chmod(0o700)
    assert said.startswith(words)
    assert bool(said) is bool(words)


def test_a_ledger_that_others_may_replace_is_warned_of(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, at start; it is opened all the same."""
    database.parent.chmod(0o777)
    SqliteLedger(f"sqlite:///{database}").close()
    database.parent.chmod(0o700)
    assert [r.msg for r in caplog.records] == ["ledger_open_to_others"]


def test_a_file_with_open_permissions_is_closed(database: Path) -> None:
    """A ledger that somebody made readable becomes private again; its directory stays as it is."""
    SqliteLedger(f"sqlite:///{database}").close()
    database.chmod(0o644)
    database.parent.chmod(0o755)
    SqliteLedger(f"sqlite:///{database}").close()
    assert (mode(database), mode(database.parent)) == (0o600, 0o755)


def test_a_newer_ledger_is_refused(database: Path) -> None:
    """An older program must not write into a layout it does not know."""
    SqliteLedger(f"sqlite:///{database}").close()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(LedgerError, match="version 9, this program knows up to 2"):
        SqliteLedger(f"sqlite:///{database}")
    with pytest.raises(LedgerError, match="version 9"):
        open_reader(f"sqlite:///{database}")


def test_another_applications_database_is_left_alone(database: Path) -> None:
    """A wrong path in the settings must not put our tables into somebody's database."""
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE theirs (a)")
    connection.commit()
    connection.close()
    before = database.read_bytes()
    with pytest.raises(LedgerError, match="another application"):
        SqliteLedger(f"sqlite:///{database}")
    assert database.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but longer than a header" * 20])
def test_a_file_that_is_no_database_is_refused(database: Path, content: bytes) -> None:
    """One sentence, and the lock is free again."""
    database.write_bytes(content)
    for _ in range(2):
        with pytest.raises(LedgerError, match="no SQLite database"):
            SqliteLedger(f"sqlite:///{database}")
    assert database.read_bytes() == content


@pytest.mark.parametrize("application", [0, 7])
def test_a_wrong_address_changes_nothing(database: Path, application: int) -> None:
    """Not even the mode of what it names: it may be what every user of the machine has to read."""
    strange = sqlite3.connect(database)
    strange.executescript(f"PRAGMA application_id = {application}; CREATE TABLE theirs (x)")
    strange.close()
    text = database.with_name("passwd")
    text.write_text("root:x:0:0:root:/root:/bin/bash\n")
    for path in (database, text):
        path.chmod(0o644)
        with pytest.raises(LedgerError):
            SqliteLedger(f"sqlite:///{path}")
        assert path.stat().st_mode & 0o777 == 0o644
    assert not text.with_name("passwd.lock").exists()


def test_a_damaged_ledger_says_so(database: Path) -> None:
    """Overwritten pages end in a LedgerError that names the remedy."""
    ledger = SqliteLedger(f"sqlite:///{database}")
    for number in range(200):
        ledger.begin(make_intent(number))
    ledger.close()
    raw = bytearray(database.read_bytes())
    raw[4096:] = b"\x5a" * (len(raw) - 4096)
    database.write_bytes(raw)
    with pytest.raises(LedgerError, match="damaged; restore a backup"):
        SqliteLedger(f"sqlite:///{database}")


def test_a_place_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    """The message names the path and the system's reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"x\.db cannot be opened"):
        SqliteLedger(f"sqlite:///{tmp_path / 'file' / 'x.db'}")


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    """A path without a file name does not end in a traceback."""
    with pytest.raises(LedgerError, match="cannot be opened"):
        SqliteLedger(f"sqlite:///{tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_refused(database: Path) -> None:
    """Told at the start, not at the first order."""
    database.parent.chmod(0o500)
    with pytest.raises(LedgerError, match="cannot be opened"):
        SqliteLedger(f"sqlite:///{database}")


def test_a_read_only_ledger_makes_nothing_durable(file_ledger: SqliteLedger) -> None:
    """Where SQLite may not write, begin() and apply() both raise."""
    file_ledger._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(LedgerError, match="read-only"):
        file_ledger.begin(make_intent())
    with pytest.raises(LedgerError, match="read-only"):
        file_ledger.apply([make_end()])
    with pytest.raises(LedgerError, match="read-only"):
        file_ledger.mark_start(EntryRef("nvda", "1-0"))


def test_a_first_start_that_fails_leaves_an_empty_file(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables come all together, so the next start finds nothing half made."""
    with monkeypatch.context() as patched:
        patched.setattr("solution.ledger.scripts.VERSION_TABLE", "CREATE TABLE history (a)")
        with pytest.raises(LedgerError, match="history already exists"):
            SqliteLedger(f"sqlite:///{database}")
    ledger = SqliteLedger(f"sqlite:///{database}")
    ledger.begin(make_intent())
    ledger.close()


def test_a_full_database_makes_nothing_durable_and_recovers(
    sqlite_ledger: SqliteLedger,
) -> None:
    """At the size limit both raise and leave nothing; with room again both work."""
    pages = sqlite_ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    sqlite_ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerError, match="full"):
        sqlite_ledger.begin(make_intent(1, body=b"x" * 100_000))
    with pytest.raises(LedgerError, match="full"):
        sqlite_ledger.apply([Change(events=(make_event(message="x" * 100_000),))])
    sqlite_ledger._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert sqlite_ledger.find(make_intent().identity) is None
    sqlite_ledger.begin(make_intent())
    assert [event_id for event_id, _ in sqlite_ledger.apply([make_end()])] == [1]


def test_a_full_disk_is_one_ledger_error(database: Path) -> None:
    """A process that may not write another byte gets a LedgerError from begin(), not a crash."""
    code = (
        "import resource, sys\n"
        "from solution.errors import LedgerError\n"
        "from solution.ledger.sqlite import SqliteLedger\n"
        "from tests.helpers.ledger_rows import make_intent\n"
        "ledger = SqliteLedger(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "try:\n"
        "    for number in range(1_000):\n"
        "        ledger.begin(make_intent(number))\n"
        "except LedgerError as error:\n"
        "    print(number, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{database}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    number = int(done.stdout.split()[0])
    assert (done.returncode, done.stderr) == (0, "")
    ledger = SqliteLedger(f"sqlite:///{database}")
    assert [intent.entry_id for intent in ledger.open_intents()] == [
        f"{n}-0" for n in range(number)
    ]
    ledger.close()


def test_a_lock_held_by_a_stranger_ends_in_ledger_busy(database: Path) -> None:
    """Somebody's open transaction is waited for as long as the timeout says, not for ever."""
    ledger = SqliteLedger(f"sqlite:///{database}", busy_timeout=0.05)
    stranger = sqlite3.connect(database, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="locked"):
        ledger.begin(make_intent())
    with pytest.raises(LedgerBusy, match="locked"):
        ledger.apply([make_end()])
    stranger.execute("ROLLBACK")
    ledger.begin(make_intent())
    stranger.close()
    ledger.close()


def test_only_the_first_one_waits_the_whole_time_for_a_lock(database: Path) -> None:
    """All writers stand behind one lock: a dozen times five seconds would be a minute."""
    ledger = SqliteLedger(f"sqlite:///{database}", busy_timeout=30.0)
    ledger._connection.execute("PRAGMA busy_timeout = 60")  # so that the test need not wait

    def waits() -> int:
        return int(ledger._connection.execute("PRAGMA busy_timeout").fetchone()[0])

    stranger = sqlite3.connect(database, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    for write in (lambda: ledger.begin(make_intent()), lambda: ledger.apply([make_end()])):
        with pytest.raises(LedgerBusy, match=f"kept the ledger {database} locked"):
            write()
        assert waits() == 50
    stranger.close()
    ledger.begin(make_intent())
    assert waits() == 30_000
    with pytest.raises(IdentityExists):
        ledger.begin(make_intent())
    assert waits() == 30_000
    ledger.close()


def test_an_instance_waits_as_a_standby_for_another_one_alone(
    child: subprocess.Popen[str], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's lock ends the start: nobody would ever end that waiting."""
    environ = {
        "ALPACA_API_KEY": "key",
        "ALPACA_SECRET_KEY": "secret",
        "LEDGER_URL": f"sqlite:///{database}",
    }
    settings, stop = load_settings(environ=environ, env_file=None), threading.Event()
    monkeypatch.setattr(standby, "ASK_EVERY", 0.0)
    monkeypatch.setattr(standby.log, "warning", lambda *_a, **_k: stop.set())
    assert standby.become_active(settings, "me", stop) is None
    assert stop.is_set()
    child.kill()
    child.wait(10)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    stranger = sqlite3.connect(database, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(StartupError, match=f"kept the ledger {database} locked for too long"):
        standby.become_active(settings, "me", threading.Event())
    stranger.close()
    ledger = standby.become_active(settings, "me", threading.Event())
    assert ledger is not None
    standby.step_down(ledger)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the syncs instead of making them."""
    calls: list[int] = []
    monkeypatch.setattr(wal, "_sync_data", calls.append)
    return calls


def test_a_file_system_that_refuses_the_log_is_one_sentence(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OSError while opening ends as a LedgerError, and the lock is free again."""

    def fail(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("solution.ledger.files.sync_directory", fail)
    with pytest.raises(LedgerError, match="cannot be opened: Input/output error"):
        SqliteLedger(f"sqlite:///{database}")
    monkeypatch.undo()
    SqliteLedger(f"sqlite:///{database}").close()


def test_a_batch_is_synced_once_and_a_begin_not_at_all(
    file_ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes are durable before they are acknowledged; the row before a POST is written only."""
    calls = counting(monkeypatch)
    file_ledger.begin(make_intent())
    assert calls == []
    file_ledger.apply([make_end(), Change(events=(make_event(2),))])
    assert len(calls) == 1


def test_begin_syncs_when_asked_to(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LEDGER_FSYNC_BEFORE_POST costs one sync for each order."""
    ledger = SqliteLedger(f"sqlite:///{database}", fsync_before_post=True)
    calls = counting(monkeypatch)
    ledger.begin(make_intent(1))
    ledger.begin(make_intent(2))
    assert len(calls) == 2
    ledger.close()


def test_a_sync_covers_every_commit_before_it(
    file_ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited behind a sync that began after his commit needs none of his own."""
    calls = counting(monkeypatch)
    log = file_ledger._wal
    first, second = log.committed(), log.committed()
    log.sync(second)
    log.sync(first)
    assert len(calls) == 1


def test_a_failed_sync_is_never_called_a_success_later(
    file_ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel forgets a failed write: after one failure nothing is durable any more."""

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(wal, "_sync_data", fail)
    with pytest.raises(LedgerError, match="synced"):
        file_ledger.apply([Change(events=(make_event(),))])
    monkeypatch.undo()
    with pytest.raises(LedgerError, match="synced"):
        file_ledger._wal.sync(1)
    with pytest.raises(LedgerError, match="synced"):
        file_ledger.begin(make_intent())
    with pytest.raises(LedgerError, match="synced"):
        file_ledger.apply([Change(events=(make_event(),))])
    assert file_ledger.last_event_id() == 1


def test_the_log_is_copied_and_used_again(
    file_ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With regular upkeep the -wal file stops growing."""
    monkeypatch.setattr("solution.ledger.sqlite.CHECKPOINT_AFTER", 50)
    log = file_ledger.path.with_name(file_ledger.path.name + "-wal")
    sizes = []
    for hundred in range(6):
        for number in range(100):
            file_ledger.begin(make_intent(100 * hundred + number))
        file_ledger.tidy()
        sizes.append(log.stat().st_size)
    assert sizes[-1] < 2 * sizes[0]


def test_a_log_that_outgrew_the_writers_pause_is_finished_under_the_lock(
    file_ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a passive checkpoint leaves a large log behind, writers wait for the rest once."""
    log = file_ledger._wal
    left = iter([wal.LARGE_LOG + 1, 0])
    held = []

    def run() -> int:
        held.append(file_ledger._write_lock.locked())
        return next(left)

    monkeypatch.setattr(log, "_run", run)
    file_ledger.begin(make_intent())
    file_ledger.tidy(idle=True)
    assert held == [False, True]


def test_upkeep_that_fails_is_logged_and_loses_nothing(
    file_ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full for a checkpoint is told by the next commit, if it stays so."""

    def fail() -> int:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(file_ledger._wal, "_run", fail)
    file_ledger.begin(make_intent())
    file_ledger.tidy(idle=True)
    assert "ledger_tidy_failed" in caplog.messages
    assert file_ledger.find(make_intent().identity) is not None


def test_the_database_file_is_never_opened_beside_sqlite(file_ledger: SqliteLedger) -> None:
    """Closing a second descriptor of it would drop SQLite's locks; the -wal file has ours."""
    for _ in range(3):
        file_check.check(file_ledger.path)
    opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    # Two connections hold the database and the log; ours is the third descriptor of the log. What
    # the checks read with SQLite keeps, and takes again, while anybody holds a lock.
    assert opened.count(str(file_ledger.path)) == 3
    assert opened.count(f"{file_ledger.path}-wal") == 3


@pytest.mark.parametrize("suffix", ["", ".lock", "-wal", "-shm"])
@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_is_deleted_or_replaced_ends_the_recording(
    database: Path, suffix: str, replaced: bool
) -> None:
    """Rows written on into a deleted file are read by nobody, so nothing may be sent on them."""
    ledger = SqliteLedger(f"sqlite:///{database}")
    ledger.begin(make_intent(0))
    victim = Path(f"{database}{suffix}")
    if replaced:
        other = victim.with_name("other")
        other.write_bytes(victim.read_bytes())
        other.replace(victim)
    else:
        victim.unlink()
    with pytest.raises(LedgerError, match=r"gone|replaced"):
        ledger.begin(make_intent(1))
    with pytest.raises(LedgerError, match=r"gone|replaced"):
        ledger.apply([make_end(0)])
    ledger.close()


def test_a_log_without_its_name_is_finished_at_the_end(database: Path) -> None:
    """What was committed before it was deleted is in the database when the process has ended."""
    ledger = SqliteLedger(f"sqlite:///{database}")
    ledger.begin(make_intent(0))
    Path(f"{database}-wal").unlink()
    with pytest.raises(LedgerError, match="-wal is gone"):
        ledger.begin(make_intent(1))
    ledger.close()
    again = SqliteLedger(f"sqlite:///{database}")
    assert [intent.entry_id for intent in again.open_intents()] == ["0-0"]
    again.close()


def test_a_file_that_was_emptied_is_told_at_the_next_order(file_ledger: SqliteLedger) -> None:
    """The most likely accident (``> ledger.db``): SQLite writes on, its pages are in memory."""
    assert file_ledger.path is not None
    os.truncate(file_ledger.path, 0)
    with pytest.raises(LedgerError, match="was emptied while in use"):
        file_ledger.begin(make_intent())
    with pytest.raises(LedgerError, match="was emptied while in use"):
        file_ledger.apply([make_end()])


@pytest.mark.parametrize("suffix", [".lock", "-wal", "-shm"])
def test_what_belongs_to_it_was_emptied(database: Path, suffix: str) -> None:
    """Empty when it was opened, as a new log is, or not: what had content keeps some."""
    ledger = SqliteLedger(f"sqlite:///{database}")
    ledger.begin(make_intent(1))
    ledger.begin(make_intent(2))
    beside = Path(f"{database}{suffix}")
    content = beside.read_bytes()
    os.truncate(beside, 0)
    try:
        with pytest.raises(LedgerError, match=f"{suffix} was emptied while in use"):
            ledger.begin(make_intent(3))
    finally:
        beside.write_bytes(content)  # closing it reads them: an index without bytes is a SIGBUS
        ledger.close()


def test_a_file_that_was_emptied_is_no_new_ledger_after_the_end(database: Path) -> None:
    """Closing deletes the log, the other witness."""
    ledger = SqliteLedger(f"sqlite:///{database}")
    ledger.begin(make_intent())
    ledger.tidy(idle=True)
    os.truncate(database, 0)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="no SQLite database, or is damaged; restore a backup"):
        SqliteLedger(f"sqlite:///{database}")


def test_an_empty_file_beside_a_log_is_no_new_ledger(
    child: subprocess.Popen[str], database: Path
) -> None:
    """SQLite would delete the log and begin anew; refused, and nothing is touched."""
    child.kill()
    child.wait(10)
    os.truncate(database, 0)
    log = Path(f"{database}-wal").read_bytes()
    with pytest.raises(LedgerError, match=f"{database} is damaged: it is empty, but has a log"):
        SqliteLedger(f"sqlite:///{database}")
    assert Path(f"{database}-wal").read_bytes() == log != b""
    Path(f"{database}-wal").write_bytes(b"")
    SqliteLedger(f"sqlite:///{database}").close()  # a first start that was killed: nothing in it


def test_a_refusal_that_is_no_equal_row_is_not_taken_for_one(file_ledger: SqliteLedger) -> None:
    """Such as a trigger's: IdentityExists would send the caller looking for a row."""
    file_ledger._connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON order_intents BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(LedgerError, match=r"refused a statement \(no\)") as raised:
        file_ledger.begin(make_intent())
    assert not isinstance(raised.value, IdentityExists)
