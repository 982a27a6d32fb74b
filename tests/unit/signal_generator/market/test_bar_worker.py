"""The thread that owns the flow of bars."""

from datetime import UTC, datetime, timedelta

import pytest

from signal_generator.bars import Bar, Timeframe
from signal_generator.hosting import BrokerUnavailable
from signal_generator.market.bar_flow import Ask, BarFlow
from signal_generator.market.bar_worker import BarWorker
from tests.helpers.clocks import ManualClock, eventually

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def bar(minute: int) -> Bar:
    return Bar("NVDA", START + minute * MINUTE, 1, 1, 1, 1, 1)


def test_from_the_first_question_to_bars_that_come_live() -> None:
    """Events of all threads are worked on in one."""
    clock = ManualClock(START + 5 * MINUTE)
    bars: list[Bar] = []
    asks: list[Ask] = []
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, timedelta(seconds=5))
    worker = BarWorker(flow, clock.now, bars.append, asks.append, print)
    worker.start()
    assert eventually(lambda: len(asks) == 1)
    worker.failed()
    assert eventually(lambda: len(asks) == 2)
    worker.told(asks[1], {"NVDA": [bar(1)]}, True)
    worker.lost(crypto=False)
    worker.subscribed(crypto=False)
    worker.live(bar(3))
    assert eventually(lambda: len(asks) == 3)
    worker.told(asks[2], {}, True)
    clock.advance(10)
    assert eventually(lambda: len(asks) == 4)
    assert list(asks[3].closes) == ["NVDA"]
    worker.told(asks[3], {"NVDA": [bar(2)]}, True)
    worker.correction(bar(3))
    worker.live(bar(4))
    assert eventually(lambda: len(bars) == 4)
    assert bars == [bar(n) for n in (1, 2, 3, 4)]
    assert flow.updated == 1
    worker.ask_stop()
    assert worker.join(5)


def test_a_defect_is_told_and_not_only_a_silent_end(caplog: pytest.LogCaptureFixture) -> None:
    """No bars would look like a quiet market."""

    def broken(_bar: Bar) -> None:
        raise LookupError("a defect")

    told: list[str] = []
    asks: list[Ask] = []
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, timedelta(seconds=5))
    worker = BarWorker(flow, lambda: START + 5 * MINUTE, broken, asks.append, told.append)
    worker.start()
    assert eventually(lambda: len(asks) == 1)
    worker.told(asks[0], {"NVDA": [bar(1)]}, True)
    assert worker.join(5)
    assert told == ["a defect of the program ended the delivery of bars; the log has it"]
    assert "LookupError: a defect" in caplog.text


def test_it_waits_for_a_clock_that_is_out_of_reach() -> None:
    """At the beginning; later the time goes on from the last answer."""
    answers = iter([BrokerUnavailable("away"), START, BrokerUnavailable("away again")])

    def now() -> datetime:
        answer = next(answers, START + MINUTE)
        if isinstance(answer, BrokerUnavailable):
            raise answer
        return answer

    asks: list[Ask] = []
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, timedelta(seconds=5))
    worker = BarWorker(flow, now, print, asks.append, print)
    worker.start()
    assert eventually(lambda: len(asks) == 1)
    assert asks[0].asked_at == START
    worker.failed()
    assert eventually(lambda: worker.market_time == START + MINUTE)
    worker.ask_stop()
    assert worker.join(5)
