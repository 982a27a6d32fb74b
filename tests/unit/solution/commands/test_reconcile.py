"""`signalpaca reconcile`, against a real exchange."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from solution.alpaca_api_client import AlpacaAPIClient
from solution.domain.orders import OrderRequest, OrderType, Side, TimeInForce, deployment_id
from solution.domain.records import Change, State
from solution.ledger import open_ledger
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store
from solution.trading import comparison
from tests.helpers.clocks import eventually
from tests.helpers.ledger_rows import make_intent, make_trade
from tests.unit.solution.commands.conftest import Shell


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes the ledger meanwhile."""
    monkeypatch.setattr(comparison, "SETTLE", 0.0)


@pytest.fixture
def broker(traded: Shell) -> Iterator[AlpacaAPIClient]:
    """The shell's account."""
    url = traded.env["ALPACA_TRADING_URL"]
    keys = {"key_id": traded.env["ALPACA_API_KEY"], "secret_key": traded.env["ALPACA_SECRET_KEY"]}
    made = AlpacaAPIClient(trading_url=url, data_url=url, **keys)
    yield made
    made.close()


@pytest.fixture
def prefix(broker: AlpacaAPIClient) -> str:
    """With which this deployment's ids begin."""
    return f"sp-{deployment_id(str(broker.account()['id']), 'solution')}-"


def place(broker: AlpacaAPIClient, coid: str, price: str = "") -> dict[str, Any]:
    """Two NVDA: filled at once, or resting far below the market."""
    limit = Decimal(price) if price else None
    order = broker.submit_order(
        OrderRequest(
            symbol="NVDA",
            side=Side.BUY,
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
            client_order_id=coid,
            qty=Decimal(2),
            limit_price=limit,
        ).body()
    )
    wanted = "new" if limit else "filled"
    assert eventually(lambda: broker.get_order(order["id"])["status"] == wanted, 20)
    return broker.get_order(order["id"])


def keep(ledger: Store, order: dict[str, Any], state: State, filled: str = "0") -> None:
    """The order's row, with an execution of what was filled."""
    coid, now = order["client_order_id"], comparison.SystemClock().epoch_ms()
    row = make_intent(
        1,
        identity=coid,
        client_order_id=coid,
        state=state,
        filled_qty=Decimal(filled),
        alpaca_order_id=order["id"],
        submitted_ms=now,
        created_ms=now,
    )
    trade = make_trade(1, client_order_id=coid, order_id=order["id"], qty=Decimal(filled))
    ledger.apply([Change(insert=row, trades=(trade,) if Decimal(filled) else ())])


def test_agreement(
    traded: Shell, broker: AlpacaAPIClient, ledger: SqliteLedger, prefix: str
) -> None:
    """Exit code 0, four requests, and what was compared."""
    keep(ledger, place(broker, f"{prefix}a"), State.FILLED, "2")
    keep(ledger, place(broker, f"{prefix}b", "1"), State.OPEN)
    result = traded.run("reconcile")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "ledger and broker agree" in result.stdout
    assert "2 sent by the ledger, 2 at the broker" in result.stdout
    assert "open: 1 here, 1 there" in result.stdout
    assert "1 agree (NVDA 2)" in result.stdout
    document = traded.json("reconcile")
    assert (document["agrees"], document["requests"], document["complete"]) == (True, 4, True)
    assert document["orders"] == {"ledger": 2, "broker": 2, "open_here": 1, "open_there": 1}


def test_differences(
    traded: Shell, broker: AlpacaAPIClient, ledger: SqliteLedger, prefix: str
) -> None:
    """Exit code 1, a table, and what each kind means."""
    keep(ledger, place(broker, f"{prefix}a"), State.OPEN)
    place(broker, f"{prefix}b", "1")
    place(broker, "by-hand", "1")
    result = traded.run("reconcile")
    assert result.exit_code == 1
    rows = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert "filled, 2 filled" in rows["open here, ended there"]
    assert f"{prefix}b" in rows["not in the ledger"]
    assert "by-hand" not in result.stdout
    assert "other orders on the account" in result.stdout
    document = traded.json("reconcile")
    assert {row["kind"] for row in document["differences"]} == {
        "open_here_ended_there",
        "not_in_ledger",
        "position",
    }


def test_positions_may_be_left_out(traded: Shell, broker: AlpacaAPIClient, ledger: Any) -> None:
    """What somebody bought by hand is then no difference."""
    place(broker, "by-hand")
    assert traded.run("reconcile").exit_code == 1
    assert traded.run("reconcile", "--no-positions").exit_code == 0


def test_unresolved_rows_and_halts_are_shown(traded: Shell, ledger: SqliteLedger) -> None:
    """An order that may exist is not agreement; a halt is a fact."""
    ledger.set_state("halted:AMD", "an orphan")
    assert "halted     AMD (an orphan)" in traded.run("reconcile").stdout
    now = comparison.SystemClock().epoch_ms()
    ledger.begin(make_intent(1, state=State.UNKNOWN, submitted_ms=now, created_ms=now))
    result = traded.run("reconcile")
    assert result.exit_code == 1
    assert "unresolved 1 UNKNOWN" in result.stdout
    assert "no such order" in result.stdout


@pytest.mark.parametrize("since", ["90m", "24h", "7d", "2026-01-02T03:04:05Z"])
def test_times(traded: Shell, ledger: SqliteLedger, since: str) -> None:
    """Back from now, or a moment."""
    assert traded.run("reconcile", "--since", since).exit_code == 0


@pytest.mark.parametrize(
    "since", ["yesterday", "24", "2026-01-02T03:04:05", "2999-01-01T00:00:00Z"]
)
def test_times_that_are_none(shell: Shell, ledger: SqliteLedger, since: str) -> None:
    """Wrong usage, before anything is asked."""
    assert shell.run("reconcile", "--since", since).exit_code == 2


def test_without_broker_keys_or_account(shell: Shell, traded: Shell, ledger: SqliteLedger) -> None:
    """One line each, and never a wrong verdict."""
    away = traded.run("reconcile", ALPACA_TRADING_URL="http://127.0.0.1:1")
    assert away.exit_code == 1
    assert away.stderr.startswith("not compared: http://127.0.0.1:1")
    assert traded.run("reconcile", ALPACA_SECRET_KEY="").exit_code == 2
    ledger.set_state("account", "somebody@https://elsewhere")
    other = traded.run("reconcile")
    assert other.exit_code == 1
    assert "the ledger belongs to account somebody@https://elsewhere" in other.stderr


def test_a_ledger_in_postgres(
    traded: Shell, broker: AlpacaAPIClient, postgres_url: str, prefix: str
) -> None:
    """Compared as any other."""
    service = open_ledger(postgres_url)
    keep(service, place(broker, f"{prefix}a"), State.FILLED, "2")
    service.set_state("halted:AMD", "an orphan")
    service.close()
    result = traded.run("reconcile", LEDGER_URL=postgres_url)
    assert (result.exit_code, "AMD (an orphan)" in result.stdout) == (0, True), result.output
