"""The ledger's file is looked at beside the service that uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from solution.errors import LedgerBusy, LedgerError
from solution.ledger import file_check
from solution.ledger.file_check import EVERY, SOON, FileCheck, check
from solution.ledger.sqlite import SqliteLedger
from solution.runtime.service import Fatal
from tests.helpers.clocks import ManualClock
from tests.helpers.ledger_rows import make_intent

OVERWRITE = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY)
os.pwrite(file, b"\\x5a" * 8192, os.fstat(file).st_size // 2 // 2048 * 2048)
"""
TRUNCATE = "import os, sys; os.truncate(sys.argv[1], 0)"
MOVE = "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '.old')"


def happens(code: str, database: Path) -> None:
    """In another process: closing the file in this one would drop the locks SQLite holds on it."""
    subprocess.run([sys.executable, "-c", code, database], check=True)


@pytest.fixture
def used(file_ledger: SqliteLedger) -> SqliteLedger:
    """A ledger in use, all of it copied from the log into the file."""
    for number in range(200):
        file_ledger.begin(make_intent(number))
    file_ledger.tidy(idle=True)
    return file_ledger


@pytest.mark.parametrize("code", [OVERWRITE, TRUNCATE, MOVE], ids=["overwrite", "truncate", "move"])
def test_what_happens_to_a_file_in_use_ends_the_service(
    used: SqliteLedger, database: Path, code: str
) -> None:
    """SQLite itself has the pages in memory and notices nothing."""
    clock = ManualClock()
    service = FileCheck(database, clock)
    clock.advance(EVERY)
    assert service.step() == EVERY
    happens(code, database)
    assert used.find(make_intent(7).identity) is not None
    assert service.step() == EVERY
    clock.advance(EVERY)
    with pytest.raises(Fatal):
        service.step()


def test_the_sentence_is_one_line(used: SqliteLedger, database: Path) -> None:
    """It is the last line of a service that ends."""
    happens(OVERWRITE, database)
    sentence = rf"^the ledger {database} is damaged; restore a backup \(.+\)$"
    with pytest.raises(LedgerError, match=sentence):
        check(database)


def test_a_page_that_nobody_would_read_is_found_at_the_start(
    used: SqliteLedger, database: Path
) -> None:
    """Before a signal trades on half a history."""
    used.close()
    happens(OVERWRITE, database)
    with pytest.raises(LedgerError, match="damaged; restore a backup"):
        SqliteLedger(f"sqlite:///{database}")


def test_a_large_file_is_left_alone(
    used: SqliteLedger, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a gigabyte would take the CPU from the orders."""
    happens(OVERWRITE, database)
    monkeypatch.setattr(file_check, "MOST_BYTES", database.stat().st_size - 1)
    check(database)


def test_a_locked_file_is_looked_at_again_soon(
    used: SqliteLedger, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's backup tool is no damage."""

    def locked(_path: Path) -> None:
        raise LedgerBusy("locked")

    clock = ManualClock()
    service = FileCheck(database, clock)
    clock.advance(EVERY)
    monkeypatch.setattr(file_check, "check", locked)
    assert service.step() == SOON
    monkeypatch.undo()
    clock.advance(SOON)
    assert service.step() == EVERY
