"""`signalpaca flatten`."""

import threading
from typing import Any

import orjson
import pytest

from solution.commands import flatten as command
from solution.domain.flattening import PREFIX, Cancelled, Closing, Flattening, Left, flattening_of
from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import key_of
from tests.helpers.clocks import eventually
from tests.unit.solution.commands.conftest import Shell


def requests(ledger: SqliteLedger) -> list[Flattening]:
    rows = ledger.states(PREFIX)
    return [flattening_of(key.removeprefix(PREFIX), text) for key, text in rows.items()]


def live(client: Any) -> None:
    """An instance's picture of itself."""
    client.set(key_of("solution", "trader-1"), orjson.dumps({"instance": "trader-1"}))


class Service:
    """Stands in for the service: makes of the next request what it is told; a context manager."""

    def __init__(self, ledger: SqliteLedger, **found: Any) -> None:
        self._ledger = ledger
        self._found = found
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        assert eventually(lambda: bool(requests(self._ledger)))
        (request,) = requests(self._ledger)
        request.restricted = True
        for name, value in self._found.items():
            setattr(request, name, value)
        self._ledger.set_state(request.key, request.to_json())


def test_it_is_followed_until_everything_is_closed(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """Each order that ended has its line; exit code 0."""
    live(client)
    cancelled = {"o-1": Cancelled("NVDA", "sell", "3", "canceled")}
    orders = {"c-1": Closing("NVDA", "sell", "10", "FILLED", "10")}
    with Service(ledger, cancelled=cancelled, orders=orders, flat=True, done_ms=5):
        result = online.run("flatten", "nvda")
    assert (result.exit_code, result.stderr) == (0, "")
    (request,) = requests(ledger)
    assert (request.symbols, request.why) == (("NVDA",), "signalpaca flatten")
    assert result.stdout.splitlines() == [
        f"flatten {request.id}: asked for",
        "NVDA: order to sell 3 canceled",
        "NVDA: sell 10 FILLED, 10 filled, c-1",
        "flat: 1 positions closed, 1 orders cancelled",
    ]


def test_what_is_left_is_told_with_its_reason(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """Exit code 1, in JSON as well."""
    live(client)
    with Service(ledger, left={"NVDA": Left("4", "refused 5 times: no")}, done_ms=5):
        result = online.run("flatten", "--json")
    assert result.exit_code == 1
    told = orjson.loads(result.stdout)
    assert (told["done"], told["flat"], told["symbols"]) == (True, False, [])
    assert told["left"] == {"NVDA": {"qty": "4", "why": "refused 5 times: no"}}
    assert "left: NVDA 4: refused 5 times: no" in result.stderr
    assert "given up" in result.stderr


def test_a_closed_market_is_not_waited_for(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """The service does that."""
    live(client)
    with Service(ledger, left={"NVDA": Left("4", "the market is closed until Monday")}):
        result = online.run("flatten")
    assert result.exit_code == 1
    assert "the service closes what is left when the market opens" in result.stderr


def test_time_that_is_up(online: Shell, client: Any, ledger: SqliteLedger) -> None:
    """It goes on without the command."""
    live(client)
    with Service(ledger, left={"NVDA": Left("4", "sell 4 is on its way (OPEN)")}):
        result = online.run("flatten", "--wait", "1")
    assert result.exit_code == 1
    assert "not flat after 1 s: the service goes on" in result.stderr


def test_nobody_runs(online: Shell, ledger: SqliteLedger) -> None:
    """Said at once, with what to do; the request stays for the next start."""
    result = online.run("flatten")
    assert result.exit_code == 1
    assert "NOTHING WAS CLOSED: no instance of group solution runs" in result.stderr
    assert "carried out at the next start" in result.stderr
    assert len(requests(ledger)) == 1


def test_an_instance_that_does_not_take_it_up(
    online: Shell, client: Any, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs, or has another ledger."""
    monkeypatch.setattr(command, "TAKEN_UP_WITHIN", 0.3)
    live(client)
    result = online.run("flatten")
    assert result.exit_code == 1
    assert "NOTHING WAS CLOSED" in result.stderr


def test_without_redis_the_ledger_is_followed_all_the_same(
    shell: Shell, ledger: SqliteLedger
) -> None:
    """Only whether an instance runs cannot be told."""
    with Service(ledger, flat=True, done_ms=5):
        result = shell.run("flatten")
    assert result.exit_code == 0
    assert "whether an instance runs cannot be told: Redis" in result.stderr


def test_a_request_that_was_taken_back_is_told(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """Withdrawing leaves what is done."""
    live(client)
    assert online.run("flatten", "--withdraw").stdout == "no request to flatten stands\n"
    ledger.set_state("flatten:old", Flattening("old", (), "", 0, done_ms=1).to_json())
    ledger.set_state("flatten:new", Flattening("new", (), "", 0).to_json())
    ledger.set_state("flatten:bad", "no request")
    assert online.json("flatten", "--withdraw") == {"withdrawn": ["new"]}
    assert set(ledger.states(PREFIX)) == {"flatten:old", "flatten:bad"}


@pytest.mark.parametrize(("typed", "code", "count"), [("y\n", 1, 1), ("n\n", 1, 0)])
def test_on_a_terminal_it_asks(
    online: Shell,
    ledger: SqliteLedger,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
    count: int,
) -> None:
    """And without a yes nothing is asked of the service."""
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    result = online.run("flatten", typed=typed)
    assert "close EVERY position of the account at http://127.0.0.1:1?" in result.stderr
    assert result.exit_code == code
    assert len(requests(ledger)) == count


def test_yes_is_not_asked(
    online: Shell, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a script on a terminal."""
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    assert "Cancel what rests" not in online.run("flatten", "--yes").stderr
    assert len(requests(ledger)) == 1


def test_an_empty_ticker_is_not_every_position(shell: Shell, ledger: SqliteLedger) -> None:
    """`flatten "$TICKER"` with an unset variable."""
    result = shell.run("flatten", "")
    assert result.exit_code == 2
    assert "TICKER is empty" in result.stderr
    assert requests(ledger) == []


def test_without_a_ledger(shell: Shell) -> None:
    """One line, and none is made."""
    result = shell.run("flatten", LEDGER_URL=f"sqlite:///{shell.folder}/none.db")
    assert result.exit_code == 1
    assert result.stderr.startswith("ledger: there is no ledger")
    assert not (shell.folder / "none.db").exists()
