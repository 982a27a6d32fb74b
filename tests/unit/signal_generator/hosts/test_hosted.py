"""Tests of signal_generator.hosts.hosted: one strategy, called directly."""

import asyncio
import logging
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from signal_generator import Execution, Quote, Signal, Strategy
from signal_generator.hosting import Context
from signal_generator.hosts.hosted import MOST_STATE, SEEN, Hosted, WrongStrategy
from signal_generator.hosts.kept import Kept
from signal_generator.market.recorded_market import NoBroker
from tests.helpers.strategy_hosts import OPEN, FakeClock, bar, hosted

BUY = Signal(symbol="NVDA", side="buy")


def begin(one: Hosted, kept: Kept | None = None) -> Hosted:
    """As the host does."""
    context = Context(FakeClock(), NoBroker(), one.log, lambda: None)
    one.begin(kept or Kept(), context)
    return one


class Scripted(Strategy):
    """Does in every callback what it is told."""

    quotes = True

    def __init__(self, act: Any = None) -> None:
        super().__init__()
        self.act = act
        self.heard: list[Any] = []

    def _do(self, *what: Any) -> Any:
        self.heard.append(what)
        return self.act(self, *what) if callable(self.act) else self.act

    def on_start(self) -> Any:
        return self._do("start")

    def on_bar(self, symbol: str, bars: Any) -> Any:
        return self._do("bar", symbol, bars)

    def on_quote(self, quote: Quote) -> Any:
        return self._do("quote", quote)

    def on_execution(self, update: Execution) -> Any:
        return self._do("execution", update)

    def checkup(self) -> Any:
        return self._do("checkup")


def told(event_id: int, **fields: Any) -> Execution:
    """One execution of a signal of Scripted."""
    given = {"signal_id": "Scripted:x", "client_order_id": "sp-1", "own": {}, **fields}
    return Execution(event_id=event_id, event="fill", **given)


def test_a_bars_signals_are_named_after_it() -> None:
    """The same bar gives the same fields, whenever it is run through; numbered in a call."""
    for _ in range(2):
        step = begin(hosted(Scripted([BUY, BUY]))).bar(bar(5))
        assert step is not None
        assert [dict(fields) for fields in step.signals] == [
            {
                "ticker": "NVDA",
                "direction": "b",
                "strategy": "Scripted",
                "signal_id": f"Scripted:NVDA:1Min:20260306T143500Z:{number}",
                "ts": "2026-03-06T14:36:00.000Z",
            }
            for number in (0, 1)
        ]


def test_what_a_signal_says_itself_is_kept() -> None:
    """Its id, its time and its label win over the host's."""
    own = Signal(symbol="NVDA", side="s", signal_id="mine", strategy="label", ts=OPEN)
    step = begin(hosted(Scripted(own))).bar(bar(0))
    assert step is not None
    fields = step.signals[0]
    assert (fields["signal_id"], fields["strategy"]) == ("mine", "label")
    assert fields["ts"] == "2026-03-06T14:30:00.000Z"


def test_without_a_stamp_there_is_no_ts() -> None:
    """For exchanges whose day is not today."""
    step = begin(hosted(Scripted(BUY), stamp=False)).bar(bar(0))
    assert step is not None
    assert "ts" not in step.signals[0]


def test_a_bar_is_run_through_once_and_only_its_own() -> None:
    """One of before, and one of a symbol it does not hear of, lead to nothing."""
    strategy = Scripted()
    one = begin(hosted(strategy))
    for each in (bar(1), bar(1), bar(0), bar(2, symbol="F"), bar(2)):
        step = one.bar(each)
        one.kept = step.kept if step else one.kept
    assert [bars[-1].timestamp for _, _, bars in strategy.heard] == [
        OPEN + timedelta(minutes=n) for n in (1, 2)
    ]


def test_the_window_holds_the_required_history() -> None:
    """Not called with fewer bars, and never with more; oldest first."""

    class Three(Scripted):
        def required_history(self) -> int:
            return 3

    strategy = Three()
    one = begin(hosted(strategy))
    for minute in range(5):
        step = one.bar(bar(minute, minute + 1.0))
        assert step is not None
        one.kept = step.kept
    assert [[b.close for b in bars] for _, _, bars in strategy.heard] == [
        [1, 2, 3],
        [2, 3, 4],
        [3, 4, 5],
    ]


def test_frames_come_where_they_are_asked_for() -> None:
    """A strategy that asks for frames gets what the frame builder makes of its window."""
    strategy = Scripted()
    strategy.frames = True
    begin(hosted(strategy)).bar(bar(0))
    assert strategy.heard == [("bar", "NVDA", ("frame", (bar(0),)))]


def test_warm_up_fills_the_window_and_calls_nothing() -> None:
    """Bars of before the first start are no occasion to trade."""
    strategy = Scripted()
    one = begin(hosted(strategy))
    one.warm_up("NVDA", [bar(0), bar(1)])
    assert one.last_bar("NVDA") == OPEN + timedelta(minutes=1)
    assert one.bar(bar(1)) is None
    assert strategy.heard == []


def raises(*_: Any) -> None:
    raise ZeroDivisionError("spread of nothing")


async def cancelled(*_: Any) -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (raises, "ZeroDivisionError: spread of nothing"),
        ("buy", "returned 'buy': must be a Signal"),
        ([BUY, 5], "must be a Signal"),
        (Signal(symbol="NVDA", side="buy", qty=-1), "qty: '-1' is not a number above 0"),
        (lambda s, *_: s.state.update(x={1: 2}), "state would come back different"),
        (lambda s, *_: s.state.update(x=float("nan")), "state cannot be kept as JSON"),
        (lambda s, *_: s.state.update(x=object()), "state cannot be kept as JSON"),
        (lambda s, *_: setattr(s, "state", []), "state is []: must be a dict"),
        (lambda *_: exit(3), "SystemExit: 3"),  # noqa: PLR1722  # what a user may write
        (cancelled, "CancelledError"),
        (interrupted, "KeyboardInterrupt"),
        (lambda s, *_: s.state.update(x="y" * MOST_STATE), "bytes of JSON: must be"),
    ],
)
def test_what_is_wrong_is_told_counted_and_undone(
    act: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With strategy, symbol, bar and the user's traceback; the bar counts as run through."""
    strategy = Scripted(act)
    one = begin(hosted(strategy), Kept(state='{"kept": [1]}'))
    strategy.state["kept"].append(2)
    with caplog.at_level(logging.ERROR):
        step = one.bar(bar(3))
    one.close()
    assert step is not None
    assert (step.signals, step.urgent) == ((), False)
    assert step.kept.bars == {"NVDA|1Min": "2026-03-06T14:33:00+00:00"}
    assert strategy.state == {"kept": [1]}
    assert one.tally["wrong"] == 1
    assert "Scripted: on_bar NVDA 2026-03-06T14:33:00Z" in caplog.text
    assert said in caplog.text
    traceback = caplog.text.partition("Traceback")[2]
    assert "signal_generator/hosts/hosted.py" not in traceback


def test_what_it_returned_is_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """However much it is: it comes again with each bar."""
    with caplog.at_level(logging.ERROR):
        begin(hosted(Scripted([5] * 100_000))).bar(bar(3))
    assert "returned [5, 5, 5" in caplog.text
    assert len(caplog.text) < 3000


def test_state_and_signals_are_one_step() -> None:
    """What a callback left in the state goes with its signals; progress alone may wait."""

    def count(strategy: Strategy, *_: Any) -> None:
        strategy.state["n"] = strategy.state.get("n", 0) + 1

    one = begin(hosted(Scripted(count)))
    step = one.bar(bar(0))
    assert step is not None
    assert (step.kept.state, step.urgent) == ('{"n": 1}', True)
    quiet = begin(hosted(Scripted())).bar(bar(0))
    assert quiet is not None
    assert not quiet.urgent


def test_a_first_state_stays_until_one_is_kept() -> None:
    """What the constructor put there is the state of a first start."""
    first, again = Scripted(), Scripted()
    first.state = {"a": 1}
    again.state = {"a": 1}
    assert begin(hosted(first)).kept.state == '{"a": 1}'
    begin(hosted(again), Kept(state='{"b": 2}'))
    assert again.state == {"b": 2}


def test_a_first_state_that_is_none_stops_the_start() -> None:
    """Before anything is published."""
    strategy = Scripted()
    strategy.state = {"at": OPEN}
    with pytest.raises(WrongStrategy, match="Scripted: state cannot be kept as JSON"):
        begin(hosted(strategy))


def test_executions_of_its_own_come_once() -> None:
    """By label or by id; not those of others, none twice, none from before its memory."""
    strategy = Scripted()
    one = begin(hosted(strategy), Kept(execution="5-0"))
    entries = [
        ("4-0", told(1)),
        ("6-0", told(2)),
        ("6-1", told(2)),
        ("7-0", told(3, signal_id="other:y", strategy="other")),
        ("8-0", told(4, signal_id="mine", strategy="Scripted", qty=Decimal(3))),
    ]
    for entry_id, update in entries:
        step = one.execution(entry_id, update)
        one.kept = step.kept if step else one.kept
    assert [update.event_id for _, update in strategy.heard] == [2, 4]
    assert one.kept.execution == "8-0"


def test_two_ledgers_may_count_alike() -> None:
    """An event's number alone is no identity: a ledger made anew begins at 1 again."""
    strategy = Scripted()
    one = begin(hosted(strategy))
    for number, coid in enumerate(("sp-1", "sp-2")):
        step = one.execution(f"{number + 1}-0", told(1, client_order_id=coid))
        assert step is not None
        one.kept = step.kept
    assert len(strategy.heard) == 2


def test_what_was_seen_has_an_end() -> None:
    """Memory is bounded."""
    one = begin(hosted(Scripted()), Kept(seen=tuple(f"{n}:x" for n in range(SEEN))))
    step = one.execution("1-0", told(10_000))
    assert step is not None
    assert len(step.kept.seen) == SEEN
    assert step.kept.seen[-1] == "10000:sp-1"


def test_other_callbacks_number_their_signals_by_a_counter() -> None:
    """It is kept, so that an id is never used for two wishes."""
    one = begin(hosted(Scripted([BUY, BUY])), Kept(counter=7))
    step = one.event("checkup")
    assert step is not None
    assert [f["signal_id"] for f in step.signals] == ["Scripted:checkup:7", "Scripted:checkup:8"]
    assert step.kept.counter == 9
    quote = one.quote(Quote("NVDA", OPEN, 1.0, 1.1))
    assert quote is not None
    assert quote.signals[0]["signal_id"] == "Scripted:on_quote:7"


def test_quotes_only_for_who_wants_them() -> None:
    """And only of its own symbols."""
    strategy = Scripted()
    one = begin(hosted(strategy))
    assert one.quote(Quote("F", OPEN, 1.0, 1.1)) is None
    strategy.quotes = False
    assert one.quote(Quote("NVDA", OPEN, 1.0, 1.1)) is None


def test_a_failed_start_disables_it() -> None:
    """What its other callbacks rely on is not there; its windows still go on."""
    strategy = Scripted(lambda _s, what, *_: raises() if what == "start" else BUY)
    one = begin(hosted(strategy))
    one.event("on_start")
    assert one.disabled
    step = one.bar(bar(0))
    assert step is not None
    assert step.signals == ()
    assert (one.event("checkup"), one.quote(Quote("NVDA", OPEN, 1.0, 1.1))) == (None, None)


def test_coroutines_run_to_completion() -> None:
    """All in this thread, one event loop for all of them."""

    class Slow(Strategy):
        async def on_bar(self, symbol: str, bars: Any) -> Signal:  # type: ignore[override]  # what a user may write
            self.state["thread"] = threading.current_thread().name
            return Signal(symbol=symbol, side="sell")

    one = begin(hosted(Slow()))
    steps = [one.bar(bar(n)) for n in (0, 1)]
    one.close()
    assert [step.signals[0]["direction"] for step in steps if step] == ["s", "s"]
    assert one.strategy.state == {"thread": threading.current_thread().name}


@pytest.mark.parametrize("wanted", [0, -1, 10**9, 2.5, True, "3", None])
def test_a_history_that_is_none(wanted: Any) -> None:
    """Refused before anything is started."""

    class Odd(Strategy):
        def required_history(self) -> int:
            return wanted  # type: ignore[no-any-return]

    with pytest.raises(WrongStrategy, match="Odd: required_history returned"):
        hosted(Odd())


def test_a_history_that_fails() -> None:
    """Its error is shown."""

    class Odd(Strategy):
        def required_history(self) -> int:
            raise KeyError("x")

    with pytest.raises(WrongStrategy, match=r"required_history failed: KeyError\('x'\)"):
        hosted(Odd())


def test_what_is_called_can_be_seen_from_outside() -> None:
    """Before and after, also where it fails."""
    seen: list[str] = []
    one = begin(hosted(Scripted(raises), calling=seen.append))
    one.bar(bar(0))
    one.event("checkup")
    assert seen[0].startswith("Scripted on_bar NVDA 2026-03-06T14:30:00Z")
    assert seen[1:] == ["", "Scripted checkup", ""]
