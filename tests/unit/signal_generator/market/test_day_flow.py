"""Daily bars after the close."""

from datetime import UTC, datetime, timedelta

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.day_flow import DayFlow

SETTLE = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
#: A half day: the day after Thanksgiving, closed at 13:00 in New York.
HALF = datetime(2026, 11, 27, 5, tzinfo=UTC)
CLOSE = datetime(2026, 11, 27, 18, tzinfo=UTC)
BEFORE = datetime(2026, 11, 25, 5, tzinfo=UTC)


def day(start: datetime, symbol: str = "NVDA") -> Bar:
    return Bar(symbol, start, 1, 1, 1, 1, 1)


def test_a_running_day_is_not_delivered() -> None:
    """History tells of it all day long."""
    flow = DayFlow({"NVDA": BEFORE - timedelta(days=1)}, SETTLE)
    ask = flow.ask(CLOSE)
    assert ask is not None
    assert ask.timeframe is Timeframe.DAY
    told = {"NVDA": [day(BEFORE), day(HALF)]}
    assert flow.told(ask, told, last=True) == [day(BEFORE)]


def test_the_question_is_asked_after_an_early_close() -> None:
    """A minute after it, and twice again for what history learns late."""
    flow = DayFlow({"NVDA": BEFORE}, SETTLE)
    first = flow.ask(CLOSE - timedelta(hours=1))
    assert first is not None
    assert flow.told(first, {}, last=True) == []
    assert flow.ask(CLOSE + MINUTE - timedelta(seconds=1)) is None
    second = flow.ask(CLOSE + MINUTE)
    assert second is not None
    assert flow.ask(CLOSE + MINUTE) is None
    assert flow.told(second, {}, last=True) == []
    third = flow.ask(CLOSE + 5 * MINUTE)
    assert third is not None
    assert flow.told(third, {"NVDA": [day(HALF)]}, last=True) == [day(HALF)]
    fourth = flow.ask(CLOSE + 20 * MINUTE)
    assert fourth is not None
    assert flow.told(fourth, {"NVDA": [day(HALF)]}, last=True) == []
    assert flow.ask(CLOSE + timedelta(hours=9)) is None


def test_cryptos_day_is_utcs() -> None:
    """It ends at midnight there."""
    midnight = datetime(2026, 11, 28, tzinfo=UTC)
    flow = DayFlow({"BTC/USD": midnight - timedelta(days=2)}, SETTLE)
    first = flow.ask(midnight)
    assert first is not None
    running = {"BTC/USD": [day(midnight - timedelta(days=1), "BTC/USD")]}
    assert flow.told(first, running, last=True) == []
    second = flow.ask(midnight + MINUTE)
    assert second is not None
    assert flow.told(second, running, last=True) == running["BTC/USD"]


def test_no_answer_is_asked_for_again() -> None:
    """At once: the pause is somebody else's."""
    flow = DayFlow({"NVDA": BEFORE}, SETTLE)
    assert flow.ask(CLOSE) is not None
    flow.failed()
    assert flow.ask(CLOSE) is not None


def test_minutes_and_websockets_do_not_matter() -> None:
    """It speaks as the flow of minutes does."""
    flow = DayFlow({"NVDA": BEFORE}, SETTLE)
    flow.subscribed(CLOSE, crypto=False)
    flow.lost(crypto=False)
    flow.correction(day(HALF))
    assert flow.live(day(HALF)) == []
    assert flow.whole()
