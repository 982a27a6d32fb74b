"""Tests of signal_generator.hosts.host: the loop among fakes."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signal_generator import Execution, Quote, Signal, Strategy
from signal_generator.hosting import BrokerRefused
from signal_generator.hosts.hosted import WrongStrategy
from signal_generator.hosts.kept import Interrupted, Kept
from signal_generator.market.market_history import HistoryRefused
from tests.helpers.strategy_hosts import (
    OPEN,
    FakeClock,
    FakeSource,
    FakeStore,
    bar,
    hosted,
    make_host,
)


class Every(Strategy):
    """Buys on every bar and writes down what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def on_start(self) -> Any:
        self.heard.append("start")

    def on_bar(self, symbol: str, bars: Any) -> Signal:
        self.heard.append((symbol, int((bars[-1].timestamp - OPEN).total_seconds() // 60)))
        return Signal(symbol=symbol, side="buy")

    def checkup(self) -> Any:
        self.heard.append("checkup")

    def on_stop(self) -> Any:
        self.heard.append("stop")


class Two(Every):
    def required_history(self) -> int:
        return 2


BARS = [bar(n, symbol=s) for n in range(4) for s in ("F", "NVDA")]


def test_bars_in_order_between_start_and_stop() -> None:
    """Each strategy gets each bar of its symbols once; a file without a past begins at once."""
    one, other = Every(), Two()
    store = FakeStore()
    host = make_host(
        [hosted(one, ("NVDA", "F")), hosted(other)], FakeSource(BARS), store, live=False
    )
    host.run()
    host.close()
    both = [(s, n) for n in range(4) for s in ("F", "NVDA")]
    assert one.heard == ["start", *both, "stop"]
    assert other.heard == ["start", ("NVDA", 1), ("NVDA", 2), ("NVDA", 3), "stop"]
    assert len(store.signals) == 11
    assert store.closed == ["Every", "Two"]


def test_a_first_start_warms_up_and_follows_what_comes_after() -> None:
    """The bars of before fill the window, and the first new one is the first that is called."""
    strategy = Two()
    source = FakeSource([bar(1), bar(2)], past=[bar(0), bar(1)])
    make_host([hosted(strategy)], source).run()
    assert source.asked == [(("NVDA",), 2, None)]
    assert source.followed == {"NVDA": OPEN + timedelta(minutes=1)}
    assert strategy.heard == ["start", ("NVDA", 2), "stop"]


def test_a_restart_goes_on_behind_the_last_bar() -> None:
    """The window is that of before, and every bar that was missed is run through."""
    store = FakeStore()
    make_host([hosted(Two())], FakeSource([bar(0), bar(1)]), store, live=False).run()
    again = Two()
    source = FakeSource([bar(n) for n in range(5)], past=[bar(n) for n in range(5)])
    make_host([hosted(again)], source, store).run()
    assert source.asked == [(("NVDA",), 2, OPEN + timedelta(minutes=1))]
    assert again.heard == ["start", ("NVDA", 2), ("NVDA", 3), ("NVDA", 4), "stop"]
    assert len(set(store.ids())) == len(store.ids()) == 4


def test_without_any_bar_of_before_the_market_is_followed_from_now() -> None:
    """A live market has no beginning to go back to."""
    source = FakeSource()
    make_host([hosted(Every())], source).run()
    assert source.followed == {"NVDA": OPEN - timedelta(minutes=1)}


def test_two_memories_of_one_symbol() -> None:
    """The one that reaches less far gets what it missed, the other nothing twice."""
    store = FakeStore()
    make_host([hosted(Every(), name="a")], FakeSource([bar(0)]), store, live=False).run()
    far = FakeSource([bar(0), bar(1), bar(2)])
    make_host([hosted(Every(), name="b")], far, store, live=False).run()
    one, other = Every(), Every()
    source = FakeSource([bar(n) for n in range(4)], past=[bar(n) for n in range(4)])
    make_host([hosted(one, name="a"), hosted(other, name="b")], source, store).run()
    assert one.heard == ["start", ("NVDA", 1), ("NVDA", 2), ("NVDA", 3), "stop"]
    assert other.heard == ["start", ("NVDA", 3), "stop"]


def test_a_crash_before_the_commit_gives_the_same_ids() -> None:
    """The bar is run through again, and what it says has the same name and content."""
    store = FakeStore()

    def crash() -> None:
        raise KeyboardInterrupt

    store.before = crash
    with pytest.raises(KeyboardInterrupt):
        make_host([hosted(Every())], FakeSource([bar(0)]), store, live=False).run()
    assert store.signals == []
    store.before = lambda: None
    make_host([hosted(Every())], FakeSource([bar(0)]), store, live=False).run()
    assert store.ids() == ["Every:NVDA:1Min:20260306T143000Z:0"]


def test_interrupted_while_redis_is_away() -> None:
    """It ends without a word more, and nothing counts as done."""
    store = FakeStore()

    def away() -> None:
        raise Interrupted("no answer")

    store.before = away
    make_host([hosted(Every())], FakeSource([bar(0)]), store, live=False).run()
    assert (store.kept, store.signals) == ({}, [])


def test_one_that_fails_does_not_stop_the_others() -> None:
    """The other gets all of its bars."""

    class Wrong(Strategy):
        def on_bar(self, symbol: str, bars: Any) -> Signal:
            raise RuntimeError("no")

    wrong, right = hosted(Wrong()), Every()
    make_host([wrong, hosted(right)], FakeSource([bar(0), bar(1)]), live=False).run()
    assert right.heard == ["start", ("NVDA", 0), ("NVDA", 1), "stop"]
    assert wrong.tally["wrong"] == 2


def test_none_left_to_call_ends_it() -> None:
    """Where every start has failed, nothing is followed, and it is no good end."""

    class Wrong(Strategy):
        def on_start(self) -> Any:
            raise RuntimeError("no")

    source = FakeSource([bar(0)])
    with pytest.raises(WrongStrategy, match="on_start has failed: Wrong"):
        make_host([hosted(Wrong())], source).run()
    assert source.followed == {}


def test_progress_without_signals_is_kept_when_there_is_time() -> None:
    """One transaction for all bars that led to nothing, at the latest at the end."""

    class Quiet(Strategy):
        pass

    store = FakeStore()
    make_host([hosted(Quiet())], FakeSource([bar(n) for n in range(9)]), store, live=False).run()
    assert store.commits == [("Quiet", 0)]
    assert store.kept["Quiet"].bars == {"NVDA|1Min": "2026-03-06T14:38:00+00:00"}


def test_progress_is_kept_in_a_long_run_too() -> None:
    """A recording of years does not begin anew because its last day failed."""

    class Quiet(Strategy):
        pass

    store = FakeStore()
    bars = [bar(n) for n in range(600)]
    make_host([hosted(Quiet())], FakeSource(bars), store, live=False).run()
    assert len(store.commits) == 3


def test_a_checkup_every_thirty_seconds_of_the_market() -> None:
    """Once, however far its clock has jumped; and none while the clock does not answer."""
    clock, strategy = FakeClock(), Every()
    host = make_host([hosted(strategy)], FakeSource(), clock=clock)
    steps: list[tuple[bool, float]] = [
        (False, 0),
        (False, 29),
        (False, 30),
        (True, 90),
        (False, 400),
    ]
    for away, seconds in steps:
        clock.away, clock.time = away, OPEN + timedelta(seconds=seconds)
        host._checkup()
    assert strategy.heard == ["checkup", "checkup"]


def test_a_clock_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Four looks a second would fill the log."""
    clock = FakeClock()
    clock.away = True
    host = make_host([hosted(Every())], FakeSource(), clock=clock)
    with caplog.at_level(logging.WARNING):
        host._checkup()
        host._checkup()
    assert caplog.text.count("no checkup while the clock does not answer") == 1


@pytest.mark.parametrize("why", ["", "not all is sold"])
def test_a_strategy_may_end_the_host(why: str) -> None:
    """After this callback, with what it returned; on_stop follows, and no other bar."""

    class Once(Every):
        def on_bar(self, symbol: str, bars: Any) -> Signal:
            if why:
                self.context.fail(why)
                self.context.fail("and something else")
            else:
                self.context.ask_stop()
            return super().on_bar(symbol, bars)

    strategy, store = Once(), FakeStore()
    host = make_host([hosted(strategy)], FakeSource([bar(0), bar(1)]), store, live=False)
    host.run()
    assert host.failure == why
    assert strategy.heard == ["start", ("NVDA", 0), "stop"]
    assert len(store.signals) == 1


def test_stop_lets_what_waits_wait() -> None:
    """Bars that were not run through are not marked; the next start gets them."""
    stop = threading.Event()

    class Stops(Every):
        def on_bar(self, symbol: str, bars: Any) -> Signal:
            stop.set()
            return super().on_bar(symbol, bars)

    store = FakeStore()
    make_host([hosted(Stops())], FakeSource([bar(0), bar(1)]), store, live=False, stop=stop).run()
    assert store.kept["Stops"].bars == {"NVDA|1Min": "2026-03-06T14:30:00+00:00"}


def test_history_is_asked_for_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    """A host that starts while the network is away waits for it."""

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return False

    source = FakeSource([bar(0)], fails=2)
    make_host([hosted(Every())], source, stop=Impatient()).run()
    assert len(source.asked) == 1
    assert caplog.text.count("the bars of before: no answer; trying again") == 2


@pytest.mark.parametrize("refusal", [HistoryRefused, BrokerRefused])
def test_a_refusal_ends_the_start(refusal: type[BrokerRefused]) -> None:
    """Wrong keys are no outage, whichever question they were sent with."""

    class Refusing(FakeSource):
        def history(self, *_: Any, **__: Any) -> Any:
            raise refusal("unauthorized")

    store = FakeStore()
    host = make_host([hosted(Every())], Refusing(), store)
    with pytest.raises(refusal):
        host.run()
    host.close()
    assert store.closed == ["Every"]


def test_a_strategy_may_ask_for_bars_of_before() -> None:
    """From its own thread, of any length."""

    class Asks(Strategy):
        def on_start(self) -> Any:
            self.state["closes"] = [b.close for b in self.context.history("F", 2, OPEN)]

    store = FakeStore()
    source = FakeSource(past=[bar(-1, 3.0, "F"), bar(0, 4.0, "F"), bar(1, 5.0, "F")])
    make_host([hosted(Asks())], source, store, live=False).run()
    assert store.kept["Asks"].state == '{"closes": [3.0, 4.0]}'


def test_history_that_never_answers_does_not_delay_a_stop() -> None:
    """The wait ends with the stop flag."""
    stop = threading.Event()
    stop.set()
    source = FakeSource([bar(0)], fails=10**6)
    make_host([hosted(Every())], source, stop=stop).run()
    assert source.followed == {}


def test_quotes_are_handed_on() -> None:
    """To who wants them, from before the first bar."""

    class Quoted(Every):
        quotes = True

        def on_quote(self, quote: Quote) -> Any:
            self.heard.append(quote.bid)

    strategy = Quoted()
    quotes = [Quote("NVDA", OPEN, float(n), 9.0) for n in (1, 2)]
    make_host([hosted(strategy)], FakeSource([bar(0)], quotes_=quotes), live=False).run()
    assert strategy.heard == ["start", 2.0, ("NVDA", 0), "stop"]


class FakeExecutions:
    """A stream that ends at 9-9, and tells one entry when somebody follows."""

    def __init__(self, put: Callable[[str, Execution], None]) -> None:
        self.put = put
        self.after = ""

    def end(self) -> str:
        return "9-9"

    def start(self, after: str) -> None:
        self.after = after
        self.put("10-0", Execution(event_id=1, event="fill", strategy="Told", own={}))


class Told(Strategy):
    def on_execution(self, update: Execution) -> Signal:
        return Signal(symbol="NVDA", side="sell")


def test_executions_are_followed_from_where_the_least_memory_ends() -> None:
    """A strategy without one begins at the end, which is kept at once."""
    from signal_generator.hosts.inbox import Inbox

    store, inbox = FakeStore({"Old": Kept(execution="3-1")}), Inbox()
    told = FakeExecutions(inbox.put_execution)
    strategies = [hosted(Told()), hosted(Every(), name="Old")]
    make_host(strategies, FakeSource(), store, executions=told, inbox=inbox).run()
    assert told.after == "3-1"
    assert store.commits[0] == ("Told", 0)
    assert store.ids() == ["Told:on_execution:0"]
    assert store.kept["Told"].execution == "10-0"
    assert store.kept["Old"].execution == "10-0"


def test_a_timeframe_is_part_of_the_position() -> None:
    """Five-minute bars do not go on behind one-minute bars."""
    store = FakeStore(
        {"Every": Kept(bars={"NVDA|5Min": datetime(2027, 1, 1, tzinfo=UTC).isoformat()})}
    )
    strategy = Every()
    make_host([hosted(strategy)], FakeSource([bar(0)]), store, live=False).run()
    assert ("NVDA", 0) in strategy.heard
