"""The repeated-execution throttle."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain.records import State, Trade
from solution.errors import LedgerError
from solution.ledger.sqlite import SqliteLedger
from solution.trading.flips import PREFIX, Flips
from solution.trading.halts import PREFIX as HALTED
from solution.trading.halts import Halts
from solution.trading.outcomes import rfc3339
from tests.helpers.clocks import ManualClock
from tests.helpers.ledger_rows import make_intent
from tests.helpers.trading import Rig

WINDOW = 600.0


class World:
    """Three changes of side are allowed in ten minutes."""

    def __init__(self, most: int = 3) -> None:
        self.clock = ManualClock()
        self.ledger = SqliteLedger("sqlite://", clock=self.clock)
        self.halts = Halts(self.ledger)
        self.most = most
        self.trades: list[Trade] = []
        self.flips = self.restart()

    def restart(self) -> Flips:
        """The next process, with what is on record."""
        self.halts = Halts(self.ledger)
        self.flips = Flips(self.most, WINDOW, self.ledger, self.halts, self.clock)
        self.flips.restore(self.trades_since)
        return self.flips

    def trades_since(self, since: datetime) -> Iterable[Trade]:
        return [trade for trade in self.trades if datetime.fromisoformat(trade.at) > since]

    def execute(self, sides: str, symbol: str = "NVDA", identity: str = "") -> None:
        """One order per letter, a second apart."""
        for side in sides:
            self.clock.advance(1.0)
            number = len(self.trades)
            intent = make_intent(number)
            intent.symbol, intent.side = symbol, {"b": "buy", "s": "sell"}[side]
            intent.identity = identity or intent.identity
            self.trades += [self.trade(number, intent.symbol, intent.side, part) for part in (1, 2)]
            self.flips.executed(intent)

    def trade(self, number: int, symbol: str, side: str, part: int) -> Trade:
        return Trade(
            execution_id=f"e-{number}-{part}",
            at=rfc3339(self.clock.epoch_ms()),
            symbol=symbol,
            side=side,
            qty=Decimal(1),
            price=Decimal(1),
            cum_qty=Decimal(part),
            order_id=f"o-{number}",
            client_order_id=f"c-{number}",
        )

    @property
    def halted(self) -> list[str]:
        return sorted(self.halts.all())

    def resume(self, symbol: str = "NVDA") -> None:
        """What `signalpaca resume` does, and the service's next look."""
        self.ledger.delete_state(HALTED + symbol)
        self.halts.refresh()


def test_one_change_more_than_allowed_halts_the_ticker() -> None:
    """Durably, and no other ticker."""
    world = World()
    world.execute("bsbs", symbol="AAPL")
    world.execute("bsbs")
    assert world.halted == []
    assert world.flips.changes() == {"AAPL": 3, "NVDA": 3}
    world.execute("b")
    assert world.halted == ["NVDA"]
    assert "more than MAX_FLIPS=3 times in 600 s" in str(world.halts.reason("NVDA"))
    assert Halts(world.ledger).reason("NVDA") is not None


def test_orders_of_one_side_are_no_flips() -> None:
    """However many."""
    world = World()
    world.execute("b" * 50 + "s" * 50)
    assert world.flips.changes() == {"NVDA": 1}


def test_changes_that_are_older_than_the_window_are_forgotten() -> None:
    """At its very end."""
    world = World()
    world.execute("bsbs")
    world.clock.advance(WINDOW)
    assert world.flips.changes() == {}
    world.execute("bsb")
    assert world.halted == []


def test_a_resume_starts_the_count_anew() -> None:
    """Also across a restart, and what was executed while it was halted does not count."""
    world = World()
    world.execute("bsbsb")
    world.execute("sb")
    world.resume()
    world.restart()
    world.execute("bsbs")
    assert world.halted == []
    world.execute("b")
    assert world.halted == ["NVDA"]


def test_a_restart_in_the_middle_keeps_the_count() -> None:
    """From the executions on record, one side per order."""
    world = World()
    world.execute("bsb")
    world.restart()
    assert world.flips.changes() == {"NVDA": 2}
    world.execute("s")
    assert world.halted == []
    world.execute("b")
    assert world.halted == ["NVDA"]


def test_executions_without_a_time_are_left_out_of_it() -> None:
    """Nobody knows when they were."""
    world = World()
    world.execute("bsb")
    for trade in world.trades:
        object.__setattr__(trade, "at", "")
    world.trades_since = lambda _since: world.trades  # type: ignore[method-assign]
    world.restart()
    assert world.flips.changes() == {}


def test_an_operators_flatten_does_not_count() -> None:
    """Whoever closes everything by hand does not trade in circles."""
    world = World()
    world.execute("bsbs")
    world.execute("bsbs", identity="flatten:1:NVDA")
    assert world.halted == []


def test_zero_is_no_limit() -> None:
    """Nothing is even counted."""
    world = World(most=0)
    world.execute("bs" * 100)
    assert (world.halted, world.flips.changes()) == ([], {})
    assert world.restart().most == 0


def test_a_halt_that_cannot_be_kept_holds_in_memory() -> None:
    """And nothing is raised into the order stream."""

    class Broken(SqliteLedger):
        def set_state(self, key: str, value: str, *, sync: bool = True) -> None:
            raise LedgerError("disk full")

    world = World()
    world.ledger = Broken("sqlite://", clock=world.clock)
    world.restart()
    world.execute("bsbsb")
    assert world.halts.reason("NVDA") is not None


@given(st.lists(st.tuples(st.sampled_from("bs"), st.sampled_from([1.0, 100.0, 300.0]))))
def test_halted_exactly_when_some_window_holds_too_many(steps: list[tuple[str, float]]) -> None:
    """Against a count of every window from scratch."""
    world, changes, before, expected = World(), [], "", False
    for side, pause in steps:
        world.clock.advance(pause - 1.0)
        world.execute(side)
        now = world.clock.monotonic()
        changes += [now] * bool(before and side != before)
        before = side
        expected = expected or sum(at > now - WINDOW for at in changes) > world.most
        assert bool(world.halted) == expected


def test_the_tracker_tells_each_order_once_at_its_first_execution() -> None:
    """Partial fills of one order are one; an order that is not filled is none."""
    rig, told = Rig(), []
    rig.tracker.on_executed = lambda intent: told.append((intent.symbol, intent.side))
    rig.desk.default = lambda desk, body: desk.place(body)
    entry = rig.send("b", order_type="limit", limit_price="100", time_in_force="day")
    coid = rig.coid_of(entry, "b", order_type="limit", limit_price="100", time_in_force="day")
    assert told == []
    rig.desk.fill(coid, qty="4")
    rig.hear(rig.update(coid, "partial_fill", qty=Decimal(4), price=Decimal(100), execution_id="1"))
    assert told == [("NVDA", "buy")]
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", qty=Decimal(6), price=Decimal(100), execution_id="2"))
    assert told == [("NVDA", "buy")]
    assert rig.row(coid).state is State.FILLED


@pytest.mark.parametrize("value", ["", "nonsense", "-1"])
def test_a_mark_that_cannot_be_read_counts_all(value: str) -> None:
    """More is counted, not less."""
    world = World()
    world.execute("bsb")
    world.ledger.set_state(PREFIX + "NVDA", value)
    world.restart()
    assert world.flips.changes() == {"NVDA": 2}
