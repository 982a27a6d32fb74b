"""The limits that trip, as the service builds and shows them."""

from decimal import Decimal

from solution.book.positions import Account, Portfolio
from solution.config import Settings, load_settings
from solution.domain.day import Day
from solution.domain.trading_state import TradingState
from solution.ledger.sqlite import SqliteLedger
from solution.trading.halts import Halts
from solution.trading.trips import Trips
from tests.helpers.clocks import ManualClock
from tests.helpers.ledger_rows import make_intent
from tests.helpers.restrictions import FakeStates


def settings_of(**changed: str) -> Settings:
    """As it ships, but for these."""
    env = {"ALPACA_API_KEY": "k", "ALPACA_SECRET_KEY": "s", **changed}
    return load_settings(env, environ={}, env_file=None)


class World:
    """An account that has lost four percent today."""

    def __init__(self, **changed: str) -> None:
        settings, self.clock = settings_of(**changed), ManualClock()
        self.ledger = SqliteLedger("sqlite://", clock=self.clock)
        self.states, self.halts = FakeStates(self.clock), Halts(self.ledger)
        book = Portfolio(self.clock)
        account = Account(
            "acc", Decimal(96_000), Decimal(0), Decimal(0), last_equity=Decimal(100_000)
        )
        book.apply_snapshot(account, {}, self.clock.monotonic())
        self.trips = Trips(
            settings.limits,
            settings.breaker,
            ledger=self.ledger,
            states=self.states,
            halts=self.halts,
            book=book,
            clock=self.clock,
            on_its_way=lambda _: False,
            trades_since=lambda _: (),
        )


def test_as_it_ships() -> None:
    """Five failures, thirty flips, five percent; the day is judged before the first signal is."""
    world = World()
    assert world.trips.day() == Day(Decimal(100_000), Decimal(100_000))
    assert world.trips.breaker("") is None
    assert world.trips.status() == {
        "breaker": {"state": "closed", "failures": 0, "limit": 5},
        "flips": {"limit": 30, "changes": {}},
        "day": {
            "opening": "100000.00",
            "peak": "100000.00",
            "change": "-4000.00",
            "change_pct": "-4.00",
            "below_peak_pct": "4.00",
            "limits": {"daily_loss": "5.00"},
        },
    }
    assert world.states.said == {}


def test_a_loss_of_before_the_start_trips_at_the_start() -> None:
    """HALT_ON_TRIP is for all of them."""
    world = World(MAX_DAILY_LOSS_PCT="0.04", HALT_ON_TRIP="true", CIRCUIT_BREAKER_FAILURES="1")
    world.trips.circuit.failed("a", "HTTP 500")
    assert {s: r.state for s, r in world.states.said.items()} == {
        "daily_loss": TradingState.HALTED,
        "breaker": TradingState.HALTED,
    }


def test_failing_reconnects_count_as_one_failure_each_ten() -> None:
    """Two tens, two failures."""
    world = World()
    world.trips.stream_failing("10 attempts to reach the order stream: refused")
    world.trips.stream_failing("20 attempts to reach the order stream: refused")
    assert world.trips.status()["breaker"]["failures"] == 2


def test_flips_halt_where_the_gates_look() -> None:
    """MAX_FLIPS and FLIP_WINDOW are those of the settings."""
    world = World(MAX_FLIPS="1")
    for number, side in enumerate(("buy", "sell", "buy")):
        intent = make_intent(number)
        intent.side = side
        world.trips.flips.executed(intent)
    assert "MAX_FLIPS=1" in str(world.halts.reason(make_intent(0).symbol))
