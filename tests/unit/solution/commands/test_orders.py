"""`signalpaca orders`."""

from decimal import Decimal

import pytest

from solution.commands.orders import as_object, at
from solution.domain.records import Change, State
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.ledger_rows import make_end, make_intent
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture(autouse=True)
def _rows(ledger: SqliteLedger) -> None:
    """One filled, one refused, one open, for two symbols; the ledger stays open."""
    ledger.begin(make_intent(1, signal_id="first", created_ms=1_795_203_598_442))
    ledger.begin(make_intent(2, symbol="AAPL", notional=Decimal(500), qty=None))
    ledger.apply(
        [
            make_end(1),
            Change(insert=make_intent(3, state=State.REFUSED, reason="AT_TARGET")),
        ]
    )


def test_newest_first_while_a_service_has_the_ledger_open(shell: Shell) -> None:
    """State, fill, reason and the signal's own id, or the entry's."""
    result = shell.run("orders")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert " ".join(head.split()) == "AT SYMBOL SIDE QTY STATE FILLED PRICE REASON SIGNAL"
    assert [row.split()[-1] for row in rows] == ["3-0", "2-0", "first"]
    assert "AT_TARGET" in rows[0]
    assert "$500" in rows[1]
    assert rows[2].startswith("2026-11-20 19:39:58  NVDA")
    assert rows[2].split()[5:8] == ["FILLED", "12.50", "first"]


@pytest.mark.parametrize(
    ("options", "entries"),
    [
        (("--open",), ["2-0"]),
        (("--symbol", "nvda"), ["3-0", "1-0"]),
        (("--limit", "1"), ["3-0"]),
        (("--open", "--symbol", "NVDA"), []),
    ],
)
def test_filters(shell: Shell, options: tuple[str, ...], entries: list[str]) -> None:
    """They hold together; case of the symbol does not matter."""
    found = shell.json("orders", *options)["orders"]
    assert [row["entry_id"] for row in found] == entries


def test_nothing_found_is_no_failure(shell: Shell) -> None:
    """An empty list is an answer."""
    result = shell.run("orders", "--symbol", "ZZZ")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no orders\n")


def test_json_values() -> None:
    """Decimals as text, times as text or null, the body as sent."""
    row = as_object(make_intent(1, created_ms=1, extra=(("x_a", "1"),)))
    assert row["qty"] == "12.50"
    assert row["created_at"] == "1970-01-01T00:00:00.001Z"
    assert row["ended_at"] is None
    assert row["body"] == '{"symbol":"NVDA"}'
    assert row["extra"] == {"x_a": "1"}
    assert row["state"] == "SUBMITTING"


def test_a_ts_beyond_the_calendar_is_listed(shell: Shell, ledger: SqliteLedger) -> None:
    """One signal with a strange ``ts`` must not take the list of all of them away."""
    ledger.apply([Change(insert=make_intent(4, state=State.REFUSED, published_ms=-(10**14)))])
    found = shell.json("orders")["orders"]
    assert found[0]["published_at"].endswith(
        "1-01-01T00:00:00.000Z"
    )  # C libraries pad the year or not
    assert len(found) == 4


def test_never_is_no_time() -> None:
    """Zero milliseconds stand for a moment that has not come."""
    assert at(0) == ""


def test_a_leg_says_what_it_is_for(shell: Shell, ledger: SqliteLedger) -> None:
    """Under the name of its signal."""
    leg = make_intent(4, identity="|leg:sp-test-1:o", signal_id="first", message="take profit")
    ledger.apply([Change(insert=leg)])
    row = shell.run("orders", "--limit", "1").stdout.splitlines()[1]
    assert row.endswith("take profit  first")
