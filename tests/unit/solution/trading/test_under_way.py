"""While a flatten is under way, nothing opens what it closes, whatever else was lifted."""

import pytest

from solution.domain.flattening import Flattening
from solution.domain.trading_state import TradingState
from solution.trading.states import TradingStates
from tests.helpers.clocks import ManualClock
from tests.unit.solution.trading.test_operator import Ledger


class Scene:
    """States over rows; a request in them."""

    def __init__(self, *symbols: str, **more: object) -> None:
        self.clock, self.ledger = ManualClock(), Ledger()
        self.states = TradingStates(self.ledger, self.clock)
        self.request = Flattening("one", symbols, "a test", 1, **more)  # type: ignore[arg-type]
        self.write()

    def write(self) -> None:
        self.ledger.rows[self.request.key] = self.request.to_json()
        self.states.refresh()

    def restricted(self, *symbols: str) -> list[str]:
        """Which of them may not be opened."""
        return [s for s in symbols if self.states.denied(s, opens=True)]


def test_a_request_for_all_restricts_all_until_it_is_done() -> None:
    """Its own row is enough; exits go on."""
    scene = Scene()
    assert scene.restricted("NVDA", "BTC/USD") == ["NVDA", "BTC/USD"]
    assert scene.states.denied("NVDA", opens=False) is None
    account = scene.states.account()
    assert account is not None
    assert account.state is TradingState.REDUCING
    shown = scene.states.picture()
    assert shown["trading_state"] == "REDUCING"
    assert shown["restrictions"]["flatten:one"]["message"] == "flatten:one is under way: a test"
    scene.request.done_ms = 5
    scene.write()
    assert scene.restricted("NVDA", "BTC/USD") == []
    assert scene.states.account() is None


@pytest.mark.parametrize("named", ["btcusd", "BTC/USD"])
def test_a_request_for_a_ticker_restricts_that_one(named: str) -> None:
    """In whatever spelling."""
    scene = Scene(named)
    assert scene.restricted("NVDA", "BTC/USD") == ["BTC/USD"]
    assert set(scene.states.picture()["reducing"]) == {named}
    assert scene.states.account() is None


def test_a_sessions_end_restricts_stocks_until_its_time_is_over() -> None:
    """Crypto trades on."""
    clock = ManualClock()
    scene = Scene(stocks_only=True, until_ms=clock.epoch_ms() + 60_000)
    assert scene.restricted("NVDA", "BTC/USD") == ["NVDA"]
    scene.clock.advance(61)
    scene.states.refresh()
    assert scene.restricted("NVDA") == []


def test_a_row_that_is_no_request_restricts_nothing() -> None:
    """It is never carried out."""
    scene = Scene()
    scene.ledger.rows = {"flatten:bad": "nonsense"}
    scene.states.refresh()
    assert scene.restricted("NVDA") == []
