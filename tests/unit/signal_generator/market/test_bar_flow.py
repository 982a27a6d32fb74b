"""Live bars and history, joined: when a gap may be closed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.bar_aggregate import BarAggregate
from signal_generator.market.bar_flow import Ask, BarFlow

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SETTLE = timedelta(seconds=5)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def bar(minute: int, symbol: str = "NVDA") -> Bar:
    return Bar(symbol, START + minute * MINUTE, 10, 11, 9, 10, 100, 1, 10)


def asked(flow: BarFlow, now: datetime) -> Ask:
    ask = flow.ask(now)
    assert ask is not None
    return ask


def answer(flow: BarFlow, ask: Ask, *bars: Bar) -> list[Bar]:
    by_symbol: dict[str, list[Bar]] = {}
    for one in bars:
        by_symbol.setdefault(one.symbol, []).append(one)
    return flow.told(ask, by_symbol, last=True)


def flowing(timeframe: Timeframe = Timeframe.MINUTE) -> BarFlow:
    """Subscribed in minute 1, and nothing is missing behind minute 0."""
    flow = BarFlow(timeframe, {"NVDA": START - timeframe.length}, SETTLE)
    at = START + MINUTE
    flow.subscribed(at, crypto=False)
    answer(flow, asked(flow, at))
    assert answer(flow, asked(flow, at + 2 * SETTLE), bar(0)) == (
        [bar(0)] if timeframe is Timeframe.MINUTE else []
    )
    return flow


def test_the_first_question_needs_no_websocket() -> None:
    """What is long over is delivered at once; what may still change or come live is not."""
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, SETTLE)
    ask = asked(flow, START + 4 * MINUTE + 3 * SECOND)
    assert ask.after == {"NVDA": START}
    assert flow.ask(START + 5 * MINUTE) is None
    assert answer(flow, ask, bar(1), bar(2), bar(3)) == [bar(1), bar(2)]


def test_a_gap_is_closed_some_time_after_the_subscription() -> None:
    """A question asked at once could not know of the minute that had just ended."""
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, SETTLE)
    at = START + 3 * MINUTE + 20 * SECOND
    flow.subscribed(at, crypto=False)
    assert answer(flow, asked(flow, at), bar(1)) == [bar(1)]
    assert flow.live(bar(3)) == []
    assert flow.ask(at + 2 * SETTLE - SECOND) is None
    assert not flow.whole()
    assert answer(flow, asked(flow, at + 2 * SETTLE), bar(1), bar(2)) == [bar(2), bar(3)]
    assert flow.whole()
    assert flow.live(bar(4)) == [bar(4)]


def test_an_answer_does_not_close_what_was_lost_since_it_was_asked() -> None:
    """The connection went and came while history was thinking."""
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, SETTLE)
    flow.subscribed(START, crypto=False)
    at = START + 2 * MINUTE
    ask = asked(flow, at)
    flow.lost(crypto=False)
    flow.subscribed(at + SECOND, crypto=False)
    assert answer(flow, ask, bar(1)) == []
    assert not flow.whole()
    late = at + SECOND + 2 * SETTLE
    assert answer(flow, asked(flow, late), bar(1)) == [bar(1)]
    assert flow.whole()


def test_without_a_websocket_bars_come_from_history() -> None:
    """A question a minute, some seconds after its end."""
    flow = flowing()
    flow.lost(crypto=False)
    assert flow.ask(START + 2 * MINUTE + 4 * SECOND) is None
    ask = asked(flow, START + 2 * MINUTE + 6 * SECOND)
    assert answer(flow, ask, bar(1)) == [bar(1)]
    assert flow.ask(START + 3 * MINUTE) is None


def test_a_skipped_minute_is_asked_about_at_once() -> None:
    """Also right after another question."""
    flow = flowing()
    assert flow.live(bar(4)) == []
    at = START + 5 * MINUTE
    assert answer(flow, asked(flow, at), bar(2)) == [bar(2), bar(4)]
    assert flow.live(bar(6)) == []
    assert answer(flow, asked(flow, at)) == [bar(6)]


def test_no_answer_is_asked_for_again() -> None:
    """Whoever waits in between is the one who asks."""
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, SETTLE)
    asked(flow, START)
    flow.failed()
    assert flow.ask(START) is not None


def test_shares_do_not_wait_for_cryptos_websocket() -> None:
    """Each kind has its own."""
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START, "BTC/USD": START}, SETTLE)
    flow.subscribed(START + MINUTE, crypto=False)
    answer(flow, asked(flow, START + 2 * MINUTE), bar(1))
    assert flow.live(bar(2)) == []
    assert flow.live(bar(2, "BTC/USD")) == []
    assert flow.ask(START + 2 * MINUTE) is not None


def test_longer_bars_are_whole_from_the_first_one_on() -> None:
    """Followed from within a bar, the next one is the first."""
    flow = BarFlow(Timeframe.FIVE_MINUTES, {"NVDA": START + 2 * MINUTE}, SETTLE)
    flow.subscribed(START, crypto=False)
    minutes = [bar(n) for n in range(12)]
    five, last = answer(flow, asked(flow, START + 20 * MINUTE), *minutes)
    assert (five.timestamp, five.volume) == (START + 5 * MINUTE, 500)
    assert (last.timestamp, last.volume) == (START + 10 * MINUTE, 200)


def test_a_longer_bar_is_not_over_by_the_clock_before_history_says_so() -> None:
    """Its last minutes were not traded, or the connection died without a word."""
    flow = flowing(Timeframe.FIVE_MINUTES)
    assert flow.live(bar(1)) == []
    end = START + 5 * MINUTE
    assert flow.ask(end + 2 * SETTLE - SECOND) is None
    ask = asked(flow, end + 2 * SETTLE)
    (five,) = answer(flow, ask, bar(1), bar(3))
    assert (five.timestamp, five.volume) == (START, 300)
    assert flow.ask(end + MINUTE) is None


def test_without_a_websocket_longer_bars_are_settled_by_history_too() -> None:
    """As far as it can know by then."""
    flow = flowing(Timeframe.FIVE_MINUTES)
    flow.lost(crypto=False)
    end = START + 5 * MINUTE
    assert answer(flow, asked(flow, end + SETTLE), bar(1)) == []
    (five,) = answer(flow, asked(flow, end + MINUTE + SETTLE), bar(1))
    assert (five.timestamp, five.volume) == (START, 200)


def test_what_is_dropped_is_counted() -> None:
    """Repetitions, corrections after delivery, and minutes behind their longer bar's end."""
    flow = flowing()
    flow.live(bar(0))
    flow.correction(bar(0))
    assert (flow.repeated, flow.updated) == (1, 1)


def in_fives(bars: list[Bar]) -> list[Bar]:
    aggregate = BarAggregate(Timeframe.FIVE_MINUTES)
    return [five for one in bars for five in aggregate.add(one)] + aggregate.finish()


@dataclass
class World:
    """A server whose history lags and thinks, a clock that is not ours, and the flow."""

    flow: BarFlow
    traded: set[int]
    swallowed: set[int]
    failing: set[int]
    lag: int
    skew: int
    thinking: int

    def __post_init__(self) -> None:
        self.bars = [bar(minute) for minute in sorted(self.traded)]
        self.delivered: list[Bar] = []
        self.connected = False
        self.question: tuple[Ask, int, list[Bar]] | None = None

    def second(self, second: int, *, changes: bool) -> None:
        """Let one pass; the connection may come or go at its beginning."""
        ours = START + (second + self.skew) * SECOND
        if changes:
            self.connected = not self.connected
            if self.connected:
                self.flow.subscribed(ours, crypto=False)
            else:
                self.flow.lost(crypto=False)
        ended = second // 60 - 1
        if self.connected and second % 60 == 0 and ended in self.traded - self.swallowed:
            self.delivered += self.flow.live(bar(ended))
        if self.question is not None and second >= self.question[1]:
            self._hear(second)
        ask = self.flow.ask(ours)
        if ask is not None:
            self.question = (ask, second + self.thinking, self._history(second))

    def _hear(self, second: int) -> None:
        assert self.question is not None
        if second in self.failing:
            self.flow.failed()
        else:
            self.delivered += answer(self.flow, self.question[0], *self.question[2])
        self.question = None

    def _history(self, second: int) -> list[Bar]:
        """With a bar of the running minute, as Alpaca's has."""
        known = [bar(minute) for minute in self.traded if (minute + 1) * 60 + self.lag <= second]
        running = [Bar("NVDA", bar(second // 60).timestamp, 1, 1, 1, 1, 1)]
        return known + (running if second // 60 in self.traded else [])


@settings(max_examples=50, deadline=None)
@given(
    timeframe=st.sampled_from([Timeframe.MINUTE, Timeframe.FIVE_MINUTES]),
    traded=st.sets(st.integers(1, 14), max_size=14),
    swallowed=st.sets(st.integers(1, 13), max_size=3),
    failing=st.sets(st.integers(0, 900), max_size=30),
    changes=st.sets(st.integers(0, 900), max_size=8),
    lag=st.integers(0, 5),
    skew=st.integers(-4, 4),
    thinking=st.integers(0, 20),
)
def test_whatever_happens_each_bar_comes_once_and_in_order(
    *, timeframe: Timeframe, changes: set[int], **how: Any
) -> None:
    """Second by second: connections come and go, history is slow, fails and lags."""
    flow = BarFlow(timeframe, {"NVDA": START - timeframe.length}, SETTLE)
    world = World(flow, **how)
    for second in range(1140):
        stays_away = second == 901 and not world.connected
        world.second(second, changes=second in changes or stays_away)
    wanted = world.bars if timeframe is Timeframe.MINUTE else in_fives(world.bars)
    assert world.delivered == wanted[: len(world.delivered)]
    # A message that the server itself swallowed is missed only when a later one comes.
    last = bar(max(world.traded - world.swallowed, default=-9)).timestamp
    assert len(world.delivered) >= sum(one.timestamp <= last for one in wanted)
