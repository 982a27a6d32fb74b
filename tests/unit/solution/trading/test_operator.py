"""What an operator's command does in the running service."""

from pathlib import Path

import orjson
import pytest

from solution.domain.control import Command, ControlError, Verb
from solution.domain.kills import CONTROL_RESUMED
from solution.errors import LedgerError
from solution.trading.kill_switch import KillSwitch
from solution.trading.operator import Operator
from solution.trading.states import TradingStates
from tests.helpers.clocks import ManualClock
from tests.unit.solution.trading.test_state_rows import Ledger as Rows


class Ledger(Rows):
    """Rows in a dict, asked for one by one too."""

    def get_state(self, key: str) -> str | None:
        return self.rows.get(key)


class Room:
    """An operator and what commands change."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.ledger = ManualClock(), Ledger()
        self.states = TradingStates(self.ledger, self.clock)
        self.file = folder / "kill"
        self.woken = 0
        self.operator = Operator(
            self.states,
            KillSwitch(setting=False, file=self.file),
            self.ledger,
            self.clock,
            spelled={"BTCUSD": "BTC/USD", "NVDA": "NVDA"}.get,
            wake=self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1

    def give(self, verb: Verb, name: str = "c1", **more: object) -> None:
        """A command of this moment."""
        command = Command(verb=verb, id=name, by="me", at_ms=self.clock.epoch_ms(), **more)  # type: ignore[arg-type]
        self.operator.carry_out(command)

    def state(self) -> str:
        account = self.states.account()
        return str(account.state) if account else "ACTIVE"


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Nothing is restricted."""
    return Room(tmp_path)


def test_a_kill_halts_and_leaves_its_row(room: Room) -> None:
    """Given again it begins nothing anew."""
    room.give(Verb.KILL, cancel_orders=True)
    assert room.state() == "HALTED"
    row = orjson.loads(room.ledger.rows["kill:c1"])
    assert (row["stage"], row["cancel_orders"], row["close_positions"]) == ("new", True, False)
    room.ledger.rows["kill:c1"] = "far along"
    room.give(Verb.KILL, cancel_orders=True)
    assert room.ledger.rows["kill:c1"] == "far along"
    assert room.woken == 2


def test_a_kill_holds_though_nothing_can_be_written(room: Room) -> None:
    """It is reported as not durable."""
    room.ledger.fails = True
    with pytest.raises(LedgerError):
        room.give(Verb.KILL)
    assert room.state() == "HALTED"


def test_reduce_only_for_all_and_for_one(room: Room) -> None:
    """By the broker's spelling; one that it does not list is kept as written."""
    room.give(Verb.REDUCE_ONLY)
    assert room.state() == "REDUCING"
    room.give(Verb.REDUCE_ONLY, ticker="BTCUSD")
    room.give(Verb.REDUCE_ONLY, ticker="NONE")
    assert {"reducing:BTC/USD", "reducing:NONE"} < set(room.ledger.rows)


def test_a_resume_lifts_everything_of_the_account(room: Room) -> None:
    """File, states, kills under way, breaker; a halted ticker stays."""
    room.give(Verb.KILL)
    room.give(Verb.REDUCE_ONLY)
    room.states.halts.halt("NVDA", "an orphan")
    room.ledger.rows["circuit_breaker_state"] = "tripped"
    room.file.touch()
    room.give(Verb.RESUME)
    assert room.state() == "ACTIVE"
    assert set(room.ledger.rows) == {"halted:NVDA"}
    assert not room.file.exists()
    room.give(Verb.RESUME)


def test_a_resume_withdraws_what_would_sell(room: Room) -> None:
    """All of it; of a ticker, that ticker's alone, which is no error though nothing was halted."""
    room.give(Verb.FLATTEN, "f1", ticker="NVDA")
    room.give(Verb.FLATTEN, "f2")
    room.ledger.rows["flatten:bad"] = "no request"
    room.give(Verb.RESUME, ticker="NVDA")
    assert set(room.ledger.rows) == {"flatten:f2", "flatten:bad"}
    room.give(Verb.RESUME)
    assert set(room.ledger.rows) == {"flatten:bad"}


def test_a_file_that_cannot_be_removed_resumes_nothing(room: Room) -> None:
    """It would stop orders all the same."""
    room.give(Verb.KILL)
    room.file.mkdir()
    with pytest.raises(ControlError, match="cannot be removed"):
        room.give(Verb.RESUME)
    assert room.state() == "HALTED"


def test_a_resume_of_one_ticker(room: Room) -> None:
    """The account's own state stays."""
    room.give(Verb.KILL)
    room.states.halts.halt("BTC/USD", "an orphan")
    room.give(Verb.RESUME, ticker="BTCUSD")
    assert room.states.halts.all() == {}
    assert room.state() == "HALTED"
    with pytest.raises(ControlError, match="is not halted"):
        room.give(Verb.RESUME, ticker="BTCUSD")


def test_a_flatten_leaves_its_row_once(room: Room) -> None:
    """Of one ticker, or of all."""
    room.give(Verb.FLATTEN, "f1", ticker="BTCUSD")
    room.give(Verb.FLATTEN, "f2")
    assert orjson.loads(room.ledger.rows["flatten:f1"])["symbols"] == ["BTC/USD"]
    assert orjson.loads(room.ledger.rows["flatten:f2"])["symbols"] == []
    room.ledger.rows["flatten:f2"] = "far along"
    room.give(Verb.FLATTEN, "f2")
    assert room.ledger.rows["flatten:f2"] == "far along"
    with pytest.raises(ControlError, match="lists no NVDI"):
        room.give(Verb.FLATTEN, "f3", ticker="NVDI")


def test_a_stop_from_before_a_resume_is_over(room: Room) -> None:
    """Read late, because Redis was away; one from after it counts."""
    room.ledger.rows[CONTROL_RESUMED] = str(room.clock.epoch_ms())
    room.states.refresh()
    with pytest.raises(ControlError, match="before trading was resumed"):
        room.give(Verb.KILL)
    assert room.state() == "ACTIVE"
    room.clock.advance(0.001)
    room.give(Verb.KILL)
    assert room.state() == "HALTED"
