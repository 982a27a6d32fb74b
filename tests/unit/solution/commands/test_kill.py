"""`signalpaca kill`."""

import threading
from typing import Any

import orjson
import pytest

from solution.commands.operating import CONFIRM_WITHIN
from solution.domain import control
from solution.domain.flattening import Flattening, Left
from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import EXPIRES_S, key_of
from tests.helpers.clocks import eventually
from tests.unit.solution.commands.conftest import Shell

STREAM = "signalpaca:control:solution"
KEY = "the-key-of-32-characters-or-more"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solution.commands.kill.CONFIRM_WITHIN", 0.3)


def says(client: Any, reason: str | None, **more: Any) -> None:
    """The instance's snapshot."""
    client.set(key_of("solution", "a"), orjson.dumps({"kill_switch": reason, **more}))


def given(client: Any) -> list[dict[str, str]]:
    """What stands in the control stream."""
    return [
        {name.decode(): value.decode() for name, value in fields.items()}
        for _, fields in client.xrange(STREAM)
    ]


def test_kill_takes_every_way_and_says_what_it_does_not_do(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """File, rows and control stream; resting orders are not cancelled."""
    result = online.run("kill")
    path = online.folder / ".kill_switch"
    assert result.exit_code == 0, result.stderr
    assert path.exists()
    assert result.stdout.startswith(f"created {path}: a service that looks at it")
    assert "NOT cancelled" in result.stdout
    assert "no instance of group solution runs now" in result.stderr
    state = orjson.loads(ledger.states("trading_state:")["trading_state:operator"])
    assert (state["state"], state["reason"], state["until_ms"]) == ("HALTED", "TRADING_HALTED", 0)
    assert state["message"].startswith("killed by ")
    [(key, row)] = ledger.states("kill:").items()
    [entry] = given(client)
    assert (entry["command"], entry["id"]) == ("kill", key.removeprefix("kill:"))
    assert orjson.loads(row)["cancel_orders"] is False


def test_a_second_kill_says_that_it_was_on_already(online: Shell) -> None:
    """Whoever reads "created" would think that trading went on until now."""
    assert online.json("kill")["created"] is True
    again = online.run("kill")
    assert again.exit_code == 0
    assert again.stdout.startswith(
        f"it was on already: {online.folder / '.kill_switch'}: a service"
    )
    assert online.json("kill")["created"] is False


def test_a_link_that_leads_nowhere_is_on_and_can_be_removed(online: Shell) -> None:
    """As the service sees it."""
    path = online.folder / ".kill_switch"
    path.symlink_to("/nowhere/x")
    result = online.run("kill")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"it was on already: {path}")
    assert online.run("resume").stdout == f"removed {path}\n"
    assert not path.is_symlink()


def test_the_command_is_signed_where_there_is_a_key(online: Shell, client: Any) -> None:
    """With the key that the service verifies with."""
    online.run("kill", "--cancel-orders", CONTROL_HMAC_KEY=KEY, ALPACA_API_KEY="")
    [entry] = given(client)
    assert entry["cancel_orders"] == "1"
    assert entry["sig"] == control.signature(KEY, STREAM, entry)


def test_kill_is_confirmed_by_the_instances(online: Shell, client: Any) -> None:
    """A snapshot from before it is waited out; HALTED is as good as the file."""
    says(client, None)
    halted = {"restrictions": {"operator": {"message": "killed"}}, "trading_state": "HALTED"}
    timer = threading.Timer(0.1, lambda: says(client, None, **halted))
    timer.start()
    result = online.run("kill")
    timer.join()
    assert result.exit_code == 0, result.stderr
    assert "a: HALTED: operator: killed" in result.stdout


def test_an_instance_that_still_sends_fails_the_command(online: Shell, client: Any) -> None:
    """It was started elsewhere, on another ledger: the user must know."""
    says(client, None)
    result = online.run("kill")
    assert result.exit_code == 1
    assert "a has not confirmed within 0.3 s and may still send orders" in result.stderr
    told = online.run("kill", "--json")
    assert told.exit_code == 1
    assert orjson.loads(told.stdout)["confirmed"] is False


def test_what_a_dead_instance_said_last_is_waited_out(
    online: Shell, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its snapshot outlives it by seconds; then nobody runs who could send."""
    assert CONFIRM_WITHIN > EXPIRES_S
    monkeypatch.setattr("solution.commands.kill.CONFIRM_WITHIN", 3.0)
    says(client, None)
    client.pexpire(key_of("solution", "a"), 300)
    result = online.run("kill")
    assert result.exit_code == 0, result.stderr
    assert "no instance of group solution runs now" in result.stderr


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        ({"flat": True, "done_ms": 5}, 0, "flat: 0 positions closed"),
        ({"left": {"NVDA": Left("4", "refused 5 times: no")}, "done_ms": 5}, 1, "NVDA 4: refused"),
        ({"left": {"NVDA": Left("4", "the market is closed until Monday")}}, 1, "not flat yet"),
        ({"left": {"NVDA": Left("4", "sell 4 is on its way (OPEN)")}}, 1, "not flat after 0.2 s"),
    ],
)
def test_closing_is_followed_to_its_end(
    online: Shell,
    client: Any,
    ledger: SqliteLedger,
    monkeypatch: pytest.MonkeyPatch,
    found: dict[str, Any],
    code: int,
    words: str,
) -> None:
    """Exit code 0 only when everything is closed; else what is left, and why."""
    monkeypatch.setattr("solution.commands.flatten.TAKEN_UP_WITHIN", 1.0)
    says(client, "the file exists")

    def carry_out() -> None:
        assert eventually(lambda: bool(ledger.states("kill:")))
        name = next(iter(ledger.states("kill:"))).removeprefix("kill:")
        request = Flattening(name, (), "kill", 0, restricted=True, **found)
        ledger.set_state(request.key, request.to_json())
        says(client, "the file exists", kills={name: {"stage": "done", "close_positions": True}})

    thread = threading.Thread(target=carry_out)
    thread.start()
    result = online.run("kill", "--close-positions", "--wait", "0.2")
    thread.join()
    assert result.exit_code == code, result.stderr
    assert words in result.stdout + result.stderr


def test_without_the_ledger_closing_cannot_be_told(online: Shell, client: Any) -> None:
    """No claim of success."""
    says(client, "the file exists")

    def carry_out() -> None:
        assert eventually(lambda: bool(given(client)))
        done = {"stage": "done", "close_positions": True}
        says(client, "the file exists", kills={given(client)[0]["id"]: done})

    thread = threading.Thread(target=carry_out)
    thread.start()
    result = online.run("kill", "--close-positions")
    thread.join()
    assert result.exit_code == 1
    assert "whether positions are closed cannot be told" in result.stderr


def test_an_order_that_may_still_arrive_is_named(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """Nothing is open, and yet it is not over: exit code 1."""
    says(client, "the file exists")

    def carry_out() -> None:
        assert eventually(lambda: bool(ledger.states("kill:")))
        name = next(iter(ledger.states("kill:"))).removeprefix("kill:")
        done = {"stage": "done", "open": 0, "late": ["buy 3 NVDA (c-1)"]}
        says(client, "the file exists", kills={name: done})

    thread = threading.Thread(target=carry_out)
    thread.start()
    result = online.run("kill", "--cancel-orders")
    thread.join()
    assert result.exit_code == 1
    assert "done: 0 open in the last list, 1 may still arrive" in result.stdout
    assert "buy 3 NVDA (c-1) may still arrive: its request was not answered" in result.stderr


def test_an_instance_that_takes_no_cancels_fails_the_command(online: Shell, client: Any) -> None:
    """It stops, and cancels nothing: an earlier version, or one that does not get the command."""
    says(client, "the file exists")
    result = online.run("kill", "--cancel-orders")
    assert result.exit_code == 1
    assert "NO ORDERS ARE CANCELLED" in result.stderr


def looks(client: Any) -> int:
    """How often anybody has read a value from this Redis."""
    return int(client.info("commandstats").get("cmdstat_get", {}).get("calls", 0))


def test_progress_is_told_as_the_instance_tells_it(
    online: Shell, client: Any, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change once, to the end."""
    monkeypatch.setattr("solution.commands.kill.LOOK_EVERY", 0.01)
    says(client, "the file exists")

    def carry_out() -> None:
        found: dict[str, str] = {}
        while not found:
            found = ledger.states("kill:")
        name = next(iter(found)).removeprefix("kill:")
        waiting = {"asked": 3, "left": 2, "waits": True, "open": 5}
        says(client, "the file exists", kills={name: {"stage": "cancelling", **waiting}})
        before = looks(client)
        assert eventually(lambda: looks(client) > before + 1)
        done = {"stage": "done", "asked": 5, "open": 0}
        says(client, "the file exists", kills={name: done})

    thread = threading.Thread(target=carry_out)
    thread.start()
    result = online.run("kill", "--cancel-orders")
    thread.join()
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-2:] == [
        "cancelling: 3 cancels asked for, 2 wait for the rate budget, 5 open in the last list",
        "done: 5 cancels asked for, 0 open in the last list",
    ]


def test_what_is_not_at_its_end_in_time_is_no_success(
    online: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """It goes on in the service; the command says where it stood."""
    says(client, "the file exists")

    def carry_out() -> None:
        found: dict[str, str] = {}
        while not found:
            found = ledger.states("kill:")
        name = next(iter(found)).removeprefix("kill:")
        says(client, "the file exists", kills={name: {"stage": "cancelling", "left": 2}})

    thread = threading.Thread(target=carry_out)
    thread.start()
    result = online.run("kill", "--cancel-orders", "--wait", "0.2")
    thread.join()
    assert result.exit_code == 1
    assert "not at its end after 0.2 s: cancelling: 0 cancels asked for, 2 to go" in result.stderr


def test_without_redis_it_is_stopped_all_the_same(shell: Shell) -> None:
    """Exit code 1: nobody confirmed it, and what failed is said."""
    result = shell.run("kill", KILL_SWITCH_FILE="deep/inside/stop")
    assert result.exit_code == 1
    assert (shell.folder / "deep/inside/stop").exists()
    assert "ledger: there is no ledger at" in result.stderr
    assert "control stream: Redis at" in result.stderr
    assert "not confirmed by any instance: Redis at" in result.stderr
    assert "ONLY THE FILE" in result.stderr
    assert "a service that looks at it sends no new orders" in result.stdout


def test_only_a_file_that_no_instance_confirms(online: Shell, client: Any) -> None:
    """A mistyped CONSUMER_GROUP, say: nobody runs there, and neither row nor entry was written."""
    client.set(STREAM, "no stream")
    result = online.run("kill")
    assert result.exit_code == 1
    assert f"ONLY THE FILE {online.folder / '.kill_switch'} WAS WRITTEN" in result.stderr
    without_keys = online.run("kill", "--cancel-orders", ALPACA_API_KEY="")
    assert without_keys.exit_code == 2
    assert "ONLY THE FILE" in without_keys.stderr
    says(client, "the file exists")
    assert online.run("kill").exit_code == 0


def test_a_file_that_cannot_be_made(shell: Shell, online: Shell) -> None:
    """The other ways count; where there is none, nothing was stopped."""
    (shell.folder / "file").touch()
    result = shell.run("kill", KILL_SWITCH_FILE="file/stop")
    assert result.exit_code == 0
    assert "file/stop cannot be created" in result.stderr
    nothing = shell.run("kill", KILL_SWITCH_FILE="file/stop", REDIS_URL="redis://127.0.0.1:1/0")
    assert nothing.exit_code == 1
    assert "nothing was stopped" in nothing.stderr


def test_without_an_instance_and_without_keys(online: Shell, ledger: SqliteLedger) -> None:
    """The command would have to cancel by itself, and cannot."""
    result = online.run("kill", "--cancel-orders", ALPACA_API_KEY="")
    assert result.exit_code == 2
    assert "ALPACA_API_KEY" in result.stderr


def test_without_an_instance_the_command_cancels_itself(
    traded: Shell, ledger: SqliteLedger
) -> None:
    """Nothing is open here; it lists twice and says so."""
    result = traded.run("kill", "--cancel-orders")
    assert result.exit_code == 0, result.stderr
    assert "no instance carries it out: done from here" in result.stdout
    assert result.stdout.splitlines()[-1] == "done: 0 open in the last list"
    [row] = ledger.states("kill:").values()
    assert orjson.loads(row)["stage"] == "done"
