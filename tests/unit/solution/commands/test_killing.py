"""A kill that the command carries out itself, at a real exchange."""

import json
import urllib.request
from typing import Any

import orjson
import pytest

from solution.domain.orders import deployment_id
from solution.domain.records import State
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.clocks import eventually
from tests.helpers.ledger_rows import make_intent
from tests.unit.solution.commands.conftest import Shell


def ask(shell: Shell, path: str, body: object = None) -> Any:
    """A request to the exchange with the shell's keys."""
    headers = {
        "APCA-API-KEY-ID": shell.env["ALPACA_API_KEY"],
        "APCA-API-SECRET-KEY": shell.env["ALPACA_SECRET_KEY"],
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{shell.env['ALPACA_TRADING_URL']}/v2/{path}", data, headers)  # noqa: S310 - our own exchange
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own exchange
        return json.load(answer)


def place(shell: Shell, name: str) -> None:
    """A limit order far from the market."""
    body = {"symbol": "F", "side": "buy", "type": "limit", "time_in_force": "day", "qty": "1"}
    ask(shell, "orders", {**body, "limit_price": "1", "client_order_id": name})


@pytest.fixture
def placed(traded: Shell, ledger: SqliteLedger) -> Shell:
    """Open: two of this deployment, one that only the ledger knows as ours, one of somebody's."""
    prefix = f"sp-{deployment_id(ask(traded, 'account')['id'], 'solution')}-"
    ledger.begin(make_intent(1, client_order_id="a-leg", state=State.OPEN))
    for name in (f"{prefix}a", f"{prefix}b", "a-leg", "theirs"):
        place(traded, name)
    return traded


def left(shell: Shell) -> list[str]:
    return [order["client_order_id"] for order in ask(shell, "orders?status=open")]


def test_ours_are_cancelled_and_theirs_stay(placed: Shell, ledger: SqliteLedger) -> None:
    """Listed until empty twice; the row says so."""
    result = placed.run("kill", "--cancel-orders")
    assert result.exit_code == 0, result.stderr
    assert left(placed) == ["theirs"]
    assert result.stdout.splitlines()[-1] == "done: 3 cancels asked for, 0 open in the last list"
    [row] = ledger.states("kill:").values()
    assert (orjson.loads(row)["stage"], orjson.loads(row)["asked"]) == ("done", 3)


def test_positions_are_asked_for_and_nobody_closes_them(
    placed: Shell, ledger: SqliteLedger
) -> None:
    """The service does, when it runs: said, and no success."""
    result = placed.run("kill", "--close-positions")
    assert result.exit_code == 1
    assert "NOTHING WAS CLOSED: no instance of group solution runs" in result.stderr
    [row] = ledger.states("flatten:").values()
    assert orjson.loads(row)["symbols"] == []


def test_an_account_of_our_own(placed: Shell) -> None:
    """Everything goes, in one request."""
    result = placed.run("kill", "--cancel-orders", EXCLUSIVE_ACCOUNT="true")
    assert result.exit_code == 0, result.stderr
    assert "all open orders cancelled in one request" in result.stdout
    assert left(placed) == []


def test_without_a_ledger_what_carries_our_name_goes(placed: Shell) -> None:
    """Legs of brackets are not known then, which is no success."""
    env = {"LEDGER_URL": f"sqlite:///{placed.folder}/none.db"}
    result = placed.run("kill", "--cancel-orders", **env)
    assert result.exit_code == 1
    assert "legs of our brackets may be open" in result.stderr
    assert sorted(left(placed)) == ["a-leg", "theirs"]


def bracket(shell: Shell, name: str) -> str:
    """A filled entry order whose legs work; the broker's id of it."""
    body = {"symbol": "F", "side": "buy", "type": "market", "time_in_force": "gtc", "qty": "1"}
    more = {
        "order_class": "bracket",
        "take_profit": {"limit_price": "1000"},
        "stop_loss": {"stop_price": "1"},
    }
    entry = ask(shell, "orders", {**body, **more, "client_order_id": name})
    assert eventually(lambda: len(left(shell)) == 2)
    return str(entry["id"])


def test_legs_that_the_ledger_has_only_marked(traded: Shell, ledger: SqliteLedger) -> None:
    """The process died before it had learned them; their entry order is at its end."""
    order_id = bracket(traded, f"sp-{deployment_id(ask(traded, 'account')['id'], 'solution')}-a")
    ledger.set_state("legs:the-entry", order_id)
    result = traded.run("kill", "--cancel-orders")
    assert result.exit_code == 0, result.stderr
    assert left(traded) == []


def test_legs_of_an_entry_that_was_never_answered(traded: Shell, ledger: SqliteLedger) -> None:
    """It died between POST and answer: not even a mark is there."""
    name = f"sp-{deployment_id(ask(traded, 'account')['id'], 'solution')}-a"
    bracket(traded, name)
    body = b'{"order_class":"bracket"}'
    ledger.begin(make_intent(1, client_order_id=name, state=State.SUBMITTING, body=body))
    result = traded.run("kill", "--cancel-orders")
    assert result.exit_code == 0, result.stderr
    assert left(traded) == []


def test_an_order_that_nobody_has_answered_is_named(traded: Shell, ledger: SqliteLedger) -> None:
    """The broker does not have it so far: it is waited for a little, then said."""
    ledger.begin(make_intent(1, client_order_id="sp-x-late", state=State.SUBMITTING))
    result = traded.run("kill", "--cancel-orders")
    assert result.exit_code == 1
    assert "1 unclear, being looked up" in result.stdout
    assert "(sp-x-late) may still arrive" in result.stderr


def test_a_broker_that_does_not_answer(online: Shell, ledger: SqliteLedger) -> None:
    """Exit code 1; nothing is claimed."""
    result = online.run("kill", "--cancel-orders")
    assert result.exit_code == 1
    assert "NO END" in result.stderr
    assert "127.0.0.1:1" in result.stderr


def test_time_is_up(placed: Shell) -> None:
    """It says where it stood."""
    result = placed.run("kill", "--cancel-orders", "--wait", "0")
    assert result.exit_code == 1
    assert "NO END" in result.stderr
