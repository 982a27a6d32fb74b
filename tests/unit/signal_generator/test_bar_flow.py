"""Live bars and history, joined: when a gap may be closed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from signal_generator.bar_flow import Ask, BarFlow
from signal_generator.bars import Bar, Timeframe

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
    (five,) = answer(flow, asked(flow, START + 20 * MINUTE), *minutes)
    assert (five.timestamp, five.volume) == (START + 5 * MINUTE, 500)
    assert flow.settled(START + 15 * MINUTE) == []
    (last,) = flow.settled(START + 15 * MINUTE + SETTLE)
    assert (last.timestamp, last.volume) == (START + 10 * MINUTE, 200)
    assert flow.live(bar(13)) == []
    assert flow.live(bar(12)) == []


def test_the_clock_settles_nothing_of_which_something_is_missing() -> None:
    """Its last minutes may be just those."""
    flow = flowing(Timeframe.FIVE_MINUTES)
    assert flow.live(bar(1)) == []
    flow.lost(crypto=False)
    assert flow.settled(START + 6 * MINUTE) == []


def test_what_is_dropped_is_counted() -> None:
    """Repetitions, corrections after delivery, and minutes behind their longer bar's end."""
    flow = flowing()
    flow.live(bar(0))
    flow.correction(bar(0))
    assert (flow.repeated, flow.updated) == (1, 1)


class Market:
    """A server whose history lags and whose clock is not ours."""

    def __init__(self, traded: Iterable[int], lag: timedelta, skew: timedelta) -> None:
        self.bars = [bar(minute) for minute in sorted(traded)]
        self._lag = lag
        self._skew = skew
        self.now = START

    def ours(self) -> datetime:
        """Our idea of the time."""
        return self.now + self._skew

    def history(self) -> list[Bar]:
        """With a bar of the running minute, as Alpaca's has."""
        known = [one for one in self.bars if one.timestamp + MINUTE + self._lag <= self.now]
        running = [one for one in self.bars if one.timestamp <= self.now < one.timestamp + MINUTE]
        return known + [Bar("NVDA", one.timestamp, 1, 1, 1, 1, 1) for one in running]


@settings(max_examples=60, deadline=None)
@given(
    traded=st.sets(st.integers(1, 14), max_size=14),
    lag=st.integers(0, 5),
    skew=st.integers(-4, 4),
    data=st.data(),
)
def test_whatever_happens_each_bar_comes_once_and_in_order(
    traded: set[int], lag: int, skew: int, data: st.DataObject
) -> None:
    """Second by second: connections come and go, history is slow, fails and lags."""
    market = Market(traded, lag * SECOND, skew * SECOND)
    flow = BarFlow(Timeframe.MINUTE, {"NVDA": START}, SETTLE)
    changes = data.draw(st.lists(st.integers(0, 900), max_size=8))
    swallowed = data.draw(st.sets(st.integers(1, 13), max_size=3))
    thinking = data.draw(st.integers(0, 20))
    failing = data.draw(st.sets(st.integers(0, 900), max_size=30))
    delivered: list[Bar] = []
    question: tuple[Ask, datetime, list[Bar]] | None = None
    connected = False
    for second in range(1200):
        market.now = START + second * SECOND
        if second in changes or (second == 901 and not connected):
            connected = not connected
            if connected:
                flow.subscribed(market.ours(), crypto=False)
            else:
                flow.lost(crypto=False)
        number = second // 60 - 1
        if connected and second % 60 == 0 and number in traded and number not in swallowed:
            delivered += flow.live(bar(number))
        if question is not None and market.now >= question[1]:
            if second in failing:
                flow.failed()
            else:
                delivered += answer(flow, question[0], *question[2])
            question = None
        ask = flow.ask(market.ours())
        if ask is not None:
            question = (ask, market.now + thinking * SECOND, market.history())
    # A message that the server swallowed is only missed when a later one comes.
    assert delivered == market.bars[: len(delivered)]
    last = max(traded - swallowed, default=0)
    assert len(delivered) >= sum(minute <= last for minute in traded)
