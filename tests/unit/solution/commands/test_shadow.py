"""`signalpaca shadow`: two ledgers, one table, an exit code that says whether they agree."""

import time
from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import Change, State
from solution.ledger.sqlite import SqliteLedger
from solution.trading.recovery import ACCOUNT
from tests.helpers.ledger_rows import make_dead_letter, make_intent
from tests.unit.solution.commands.conftest import Shell

NOW_MS = int(time.time() * 1000)


def fill(url: str, *changes: Change) -> None:
    """A ledger with these rows."""
    ledger = SqliteLedger(url)
    ledger.apply(changes)
    ledger.close()


def row(number: int, state: State, **changed: Any) -> Change:
    """A decision of the last minutes."""
    at_ms = NOW_MS - 60_000 + number
    entry = {"identity": f"nvda|{number}", "entry_id": f"{at_ms}-0", "published_ms": at_ms}
    return Change(insert=make_intent(number, state=state, **(entry | changed)))


@pytest.fixture
def both(shell: Shell) -> Shell:
    """A real and a shadow's ledger: the same, another size, another decision, a letter."""
    paid = {"filled_qty": Decimal(10), "filled_avg_price": Decimal("135.1"), "qty": Decimal(10)}
    letter = make_dead_letter(4, entry_id=f"{NOW_MS - 60_000 + 4}-0", reason="EXPIRED")
    fill(
        shell.env["LEDGER_URL"],
        row(1, State.FILLED, **paid),
        row(2, State.FILLED, **paid),
        row(3, State.REFUSED, reason="WIDE_SPREAD"),
        row(4, State.CANCELED),
        row(5, State.FILLED, **paid),
    )
    sized = {"qty": Decimal(10), "reserved_cash": Decimal(1350)}
    fill(
        shell.env["LEDGER_URL"].replace(".db", "-dry-run.db"),
        row(1, State.DRY_RUN, **sized),
        row(2, State.DRY_RUN, **{**sized, "qty": Decimal(5)}),
        row(3, State.DRY_RUN, **sized),
        Change(dead_letter=letter),
        row(5, State.DRY_RUN, **sized),
    )
    return shell


def test_the_table_for_people(both: Shell) -> None:
    """Only what differs, with both sides in words, and a sum; exit code 1."""
    result = both.run("shadow")
    assert result.exit_code == 1, result.output
    out = result.stdout
    assert "size" in out
    assert "sent buy 10, 10 at 135.1" in out
    assert "would send buy 5 on 270.00" in out
    assert "refused WIDE_SPREAD" in out
    assert "dead letter EXPIRED" in out
    assert "5 compared, 2 the same" in out
    assert "2 decision: one sends what the other does not" in out
    assert out.count("sent buy 10, 10 at") == 1
    assert both.run("shadow", "--all").stdout.count("sent buy 10, 10 at") == 3


def test_the_document_for_programs(both: Shell) -> None:
    """Both sides as facts, decimals as text."""
    report = both.json("shadow")
    assert (report["same"], report["compared"], report["differing"]) == (False, 5, 3)
    assert report["counts"] == {"decision": 2, "size": 1}
    [size] = [s for s in report["signals"] if s["differs_in"] == ["size"]]
    assert (size["real"]["qty"], size["shadow"]["qty"]) == ("10", "5")
    assert (size["real"]["filled_avg_price"], size["shadow"]["assumed_price"]) == ("135.1", "270")
    assert size["symbol"] == "NVDA"
    assert report["shadow"].endswith("ledger-dry-run.db")


def test_two_that_agree(both: Shell) -> None:
    """Exit code 0: within a tolerance, or among the newest."""
    assert both.run("shadow", "--limit", "1").exit_code == 0
    report = both.json("shadow", "--limit", "1")
    assert (report["same"], report["compared"]) == (True, 1)
    assert "size" in both.json("shadow", "--tolerance", "10")["counts"]
    assert "size" not in both.json("shadow", "--tolerance", "60")["counts"]


def test_what_was_published_before_the_later_ledger_was_made_is_left_out(both: Shell) -> None:
    """Both files are there since now, and the rows are a minute old."""
    ledger = SqliteLedger(both.env["LEDGER_URL"].replace(".db", "-dry-run.db"))
    ledger.set_state(ACCOUNT, "a@b")
    ledger.close()
    result = both.run("shadow")
    assert (result.exit_code, "nothing to compare" in result.stderr) == (1, True)


def test_nothing_to_compare(both: Shell, shell: Shell) -> None:
    """A missing ledger is named; an empty comparison is no agreement."""
    later = shell.run("shadow", "--since", "1m", "--limit", "1")
    assert later.exit_code in {0, 1}
    both.ledger.with_name("ledger-dry-run.db").unlink()
    result = both.run("shadow")
    assert result.exit_code == 1
    assert "ledger-dry-run.db" in result.stderr
