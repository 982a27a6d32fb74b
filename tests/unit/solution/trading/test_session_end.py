"""When the end of a session asks for a flatten, and what it restricts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain.flattening import PREFIX, Flattening, flattening_of
from solution.domain.market import Market
from solution.domain.trading_state import TradingState
from solution.ledger.sqlite import SqliteLedger
from solution.session import is_open, next_close, next_open
from solution.trading.session_end import SessionEnd
from solution.trading.states import TradingStates
from tests.helpers.clocks import ManualClock

NORMAL = datetime(2026, 11, 30, 21, 0, tzinfo=UTC)
HALF_DAY = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
SUMMER = datetime(2026, 7, 6, 20, 0, tzinfo=UTC)
BEFORE_CLOSE = 300.0


class Trigger:
    """The end of a session at a time of the broker's, which is not ours."""

    def __init__(self, at: datetime, *, told: datetime | None = None) -> None:
        self.clock = ManualClock()
        self.ledger = SqliteLedger("sqlite://", clock=self.clock)
        self.states = TradingStates(self.ledger, self.clock)
        self.market = Market(is_open(at), at)
        self.told = told
        self.restart()

    def restart(self) -> None:
        """Another process over the same ledger."""
        self.part = SessionEnd(
            ledger=self.ledger,
            states=self.states,
            market=lambda: self.market,
            closes_at=lambda: self.told,
            clock=self.clock,
            before_close=BEFORE_CLOSE,
        )

    def requests(self) -> list[Flattening]:
        self.part.step()
        rows = self.ledger.states(PREFIX)
        return [flattening_of(key.removeprefix(PREFIX), text) for key, text in rows.items()]


@pytest.mark.parametrize("close", [NORMAL, HALF_DAY, SUMMER])
def test_it_begins_so_long_before_the_real_close(close: datetime) -> None:
    """Also on a half day, and in summer, when New York is an hour nearer."""
    begins = close - timedelta(seconds=BEFORE_CLOSE)
    assert Trigger(begins - timedelta(seconds=1)).requests() == []
    (found,) = Trigger(begins).requests()
    assert found.id == f"eos-{close:%Y-%m-%d}"
    assert (found.symbols, found.stocks_only) == ((), True)
    assert Trigger(close).requests() == []


def test_times_are_counted_from_our_own_clock() -> None:
    """Until the close for the request, until the next open for signals."""
    made = Trigger(HALF_DAY - timedelta(minutes=2))
    now = made.clock.epoch_ms()
    (found,) = made.requests()
    assert found.until_ms == now + 120_000
    monday = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    seconds = (monday - made.market.at).total_seconds()
    made.clock.advance(seconds - 1)
    assert made.states.lasting()["session_end"].state is TradingState.REDUCING
    made.clock.advance(2)
    assert made.states.lasting() == {}


def test_crypto_may_open_all_the_same() -> None:
    """It has no session that ends."""
    made = Trigger(NORMAL - timedelta(minutes=2))
    made.requests()
    assert made.states.restriction("NVDA") is not None
    assert made.states.restriction("BTC/USD") is None


def test_once_a_session() -> None:
    """Neither again by the same process, nor by the next one, done or not."""
    made = Trigger(NORMAL - timedelta(minutes=2))
    (found,) = made.requests()
    found.done_ms = 5
    made.ledger.set_state(found.key, found.to_json())
    assert [one.done_ms for one in made.requests()] == [5]
    made.restart()
    assert [one.done_ms for one in made.requests()] == [5]


def test_an_earlier_close_that_the_broker_tells_counts() -> None:
    """Of a day that the table does not know as a half day; a later one does not."""
    noon = NORMAL - timedelta(hours=4)
    assert len(Trigger(noon - timedelta(minutes=3), told=noon).requests()) == 1
    late = NORMAL + timedelta(hours=1)
    assert len(Trigger(NORMAL - timedelta(minutes=3), told=late).requests()) == 1


@pytest.mark.parametrize("market_open", [False, None])
def test_nothing_ends_while_the_market_is_closed(market_open: bool | None) -> None:
    """Or while nobody knows."""
    made = Trigger(NORMAL - timedelta(minutes=2))
    made.market = Market(market_open, made.market.at)
    assert made.requests() == []


def test_beyond_the_table_of_sessions_nothing_is_closed() -> None:
    """It is told in the log."""
    made = Trigger(NORMAL)
    made.market = Market(True, datetime(2199, 1, 1, tzinfo=UTC))
    assert made.requests() == []


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)))  # noqa: DTZ001 - made aware below
def test_it_asks_within_the_window_and_at_no_other_time(at: datetime) -> None:
    """Any moment of two years."""
    moment = at.replace(tzinfo=UTC)
    close = next_close(moment)
    within = is_open(moment) and close - moment <= timedelta(seconds=BEFORE_CLOSE)
    made = Trigger(moment)
    found = made.requests()
    assert len(found) == within
    until = [one.until_ms - made.clock.epoch_ms() for one in found]
    assert until == [(close - moment) // timedelta(milliseconds=1)] * within
    assert next_open(moment) > moment
