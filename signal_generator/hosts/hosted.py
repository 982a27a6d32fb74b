"""One strategy as its host sees it: callbacks, windows of bars, ids of signals, memory."""

import asyncio
import inspect
import json
import logging
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from signal_generator.bars import Bar, Quote, Timeframe
from signal_generator.executions import Execution
from signal_generator.hosting import Context
from signal_generator.hosts.execution_reader import entry_order
from signal_generator.hosts.kept import Fields, Kept
from signal_generator.signals import Signal
from signal_generator.strategy import Strategy

#: Executions of its own that a strategy is remembered to have seen: more than the 500 that the
#: service may tell twice after an unclear answer.
SEEN = 600
#: Bars of a strategy's window at most.
LONGEST_WINDOW = 100_000
#: Bytes of a strategy's state at most: it is written with each change, and one that Redis does not
#: take would be tried again for ever, while all strategies of the host wait.
MOST_STATE = 16 * 1024 * 1024
_TOLD = 500

current: ContextVar[Strategy | None] = ContextVar("current", default=None)
"""The strategy whose callback runs; None outside of one."""


class WrongStrategy(ValueError):
    """What a strategy says of itself, returns, or keeps cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one callback led to: signals to publish, and what to keep with them."""

    kept: Kept
    signals: Sequence[Fields] = ()
    urgent: bool = False
    """False where nothing but progress changed: doing it again would lead to the same."""


class Hosted:
    """For the thread that calls strategies.

    Args:
        symbols: what it hears of.
        frame: bars as the DataFrame that a strategy with ``frames`` asks for.
        stamp: whether a bar's signals carry the bar's end as ``ts``.
        calling: told before a callback what is called, and after it the empty text.
    """

    def __init__(
        self,
        strategy: Strategy,
        name: str,
        symbols: Sequence[str],
        timeframe: Timeframe,
        *,
        frame: Callable[[Sequence[Bar]], Any],
        stamp: bool = True,
        calling: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.strategy = strategy
        self.name = name
        self.symbols = frozenset(symbols)
        self.history = _history(strategy, name)
        self.log = logging.getLogger(f"signal_generator.strategies.{name}")
        self.disabled = False
        self.tally: Counter[str] = Counter()
        self.kept = Kept()
        self._timeframe = timeframe
        self._frame = frame
        self._stamp = stamp
        self._calling = calling
        self._windows = {s: deque[Bar](maxlen=self.history) for s in self.symbols}
        self._runner: asyncio.Runner | None = None

    # --- beginning and end ------------------------------------------------------------------

    def begin(self, kept: Kept, context: Context) -> None:
        """Give it what was kept, before its first callback; else its state stays as it was made.

        Raises:
            WrongStrategy: that one is no state.
        """
        self.strategy.context = context
        if json.loads(kept.state):
            self.strategy.state = json.loads(kept.state)
        try:
            self.kept = replace(kept, state=_state_text(getattr(self.strategy, "state", {})))
        except WrongStrategy as error:
            raise WrongStrategy(f"{self.name}: {error}") from None
        self.strategy.state = json.loads(self.kept.state)

    def close(self) -> None:
        """End what its coroutines ran on."""
        if self._runner is not None:
            self._runner.close()

    # --- bars -------------------------------------------------------------------------------

    def last_bar(self, symbol: str) -> datetime | None:
        """Start of the last bar that was run through."""
        text = self.kept.bars.get(self._place(symbol))
        return None if text is None else datetime.fromisoformat(text)

    def warm_up(self, symbol: str, bars: Sequence[Bar]) -> None:
        """Older bars into the window; without a memory, they are behind it from now on."""
        self._windows[symbol].extend(bars)
        if bars and self.last_bar(symbol) is None:
            self.kept = self._after(bars[-1])

    def bar(self, bar: Bar) -> Step | None:
        """Run one bar through; None where it was before, or is another's."""
        last = self.last_bar(bar.symbol) if bar.symbol in self.symbols else bar.timestamp
        if last is not None and bar.timestamp <= last:
            self._fill(bar)
            return None
        window = self._windows[bar.symbol]
        window.append(bar)
        self.tally["bars"] += 1
        kept = self._after(bar)
        if self.disabled or len(window) < self.history:
            return Step(kept)
        prefix = f"{self.name}:{bar.symbol}:{self._timeframe.value}:{bar.timestamp:%Y%m%dT%H%M%SZ}"
        ts = bar.timestamp + self._timeframe.length if self._stamp else None

        def finish(number: int, signal: Signal) -> Signal:
            return replace(
                signal, signal_id=signal.signal_id or f"{prefix}:{number}", ts=signal.ts or ts
            )

        about = f"on_bar {bar.symbol} {bar.timestamp:%Y-%m-%dT%H:%M:%SZ} {bar}"
        return self._call(about, kept, finish, self._on_bar, bar.symbol)

    def _on_bar(self, symbol: str) -> Any:
        bars = tuple(self._windows[symbol])
        given = self._frame(bars) if self.strategy.frames else bars
        return self.strategy.on_bar(symbol, given)

    def _fill(self, bar: Bar) -> None:
        """A bar that another strategy asked for may still belong into this one's window."""
        window = self._windows.get(bar.symbol)
        if window is not None and (not window or window[-1].timestamp < bar.timestamp):
            window.append(bar)

    def _after(self, bar: Bar) -> Kept:
        bars = {**self.kept.bars, self._place(bar.symbol): bar.timestamp.isoformat()}
        return replace(self.kept, bars=bars)

    def _place(self, symbol: str) -> str:
        return f"{symbol}|{self._timeframe.value}"

    # --- everything else --------------------------------------------------------------------

    def quote(self, quote: Quote) -> Step | None:
        """Hand on a quote, where the strategy wants any."""
        if not self.strategy.quotes or quote.symbol not in self.symbols or self.disabled:
            return None
        return self._counted(f"on_quote {quote}", self.kept, self.strategy.on_quote, quote)

    def at_execution(self, entry_id: str) -> Step:
        """Begin behind this entry."""
        return Step(replace(self.kept, execution=entry_id), urgent=True)

    def execution(self, entry_id: str, update: Execution) -> Step | None:
        """Hand on what became of one of its own signals, once."""
        if entry_order(entry_id) <= entry_order(self.kept.execution):
            return None  # another strategy's memory reaches less far
        mine = update.strategy == self.name or update.signal_id.startswith(f"{self.name}:")
        kept = replace(self.kept, execution=entry_id)
        mark = f"{update.event_id}:{update.client_order_id or update.entry_id}"
        if not mine or mark in kept.seen or self.disabled:
            return Step(kept)
        self.tally["executions"] += 1
        kept = replace(kept, seen=(*kept.seen, mark)[-SEEN:])
        about = f"on_execution {update.event} {update.ticker} {update.signal_id}"
        step = self._counted(about, kept, self.strategy.on_execution, update)
        return replace(step, urgent=True)

    def event(self, callback: str) -> Step | None:
        """``on_start``, ``checkup`` or ``on_stop``."""
        if self.disabled:
            return None
        step = self._counted(callback, self.kept, getattr(self.strategy, callback))
        # One whose beginning failed has not got what its other callbacks rely on.
        self.disabled = callback == "on_start" and bool(self.tally["wrong"])
        return step

    # --- calling ----------------------------------------------------------------------------

    def _counted(
        self, about: str, kept: Kept, callback: Callable[..., Any], *arguments: Any
    ) -> Step:
        """A callback that is about no bar: its signals are numbered by a counter that is kept."""
        first = kept.counter

        def finish(number: int, signal: Signal) -> Signal:
            own = f"{self.name}:{about.partition(' ')[0]}:{first + number}"
            return replace(signal, signal_id=signal.signal_id or own)

        step = self._call(about, kept, finish, callback, *arguments)
        counter = first + len(step.signals)
        return replace(step, kept=replace(step.kept, counter=counter))

    def _call(
        self,
        about: str,
        kept: Kept,
        finish: Callable[[int, Signal], Signal],
        callback: Callable[..., Any],
        *arguments: Any,
    ) -> Step:
        """Call it; whatever it does wrong is told, counted and undone."""
        token = current.set(self.strategy)
        self._calling(f"{self.name} {about}")
        try:
            returned = callback(*arguments)
            if inspect.iscoroutine(returned):
                returned = self._run(returned)
            signals = [self._fields(finish(n, s)) for n, s in enumerate(_signals(returned))]
            state = _state_text(self.strategy.state)
        except BaseException as error:  # noqa: BLE001  # the user's own code: a cancelled task too
            self._tell(about, error)
            # The objects of before the callback are changed by now; their text is not.
            self.strategy.state = json.loads(self.kept.state)
            return Step(kept)
        finally:
            self._calling("")
            current.reset(token)
        self.tally["signals"] += len(signals)
        return Step(
            replace(kept, state=state), signals, urgent=bool(signals) or state != self.kept.state
        )

    def _run(self, coroutine: Any) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(coroutine)

    def _fields(self, signal: Signal) -> Fields:
        return replace(signal, strategy=signal.strategy or self.name).fields()

    def _tell(self, about: str, error: BaseException) -> None:
        self.tally["wrong"] += 1
        self.log.error("%s: %s failed:\n%s", self.name, about, _user_traceback(error))


def _history(strategy: Strategy, name: str) -> int:
    try:
        wanted = strategy.required_history()
    except Exception as error:  # the user's own code
        raise WrongStrategy(f"{name}: required_history failed: {error!r}") from error
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise WrongStrategy(f"{name}: required_history returned {wanted!r}, which is no number")
    if not 1 <= wanted <= LONGEST_WINDOW:
        raise WrongStrategy(
            f"{name}: required_history returned {wanted}: must be from 1 to {LONGEST_WINDOW}"
        )
    return wanted


def _signals(returned: Any) -> Sequence[Signal]:
    if returned is None:
        return ()
    found = returned if isinstance(returned, list | tuple) else (returned,)
    wrong = next((one for one in found if not isinstance(one, Signal)), None)
    if wrong is not None:
        raise WrongStrategy(
            f"returned {_short(returned)}: must be a Signal, a list of Signals, or None"
        )
    return found


def _state_text(state: Mapping[str, Any]) -> str:
    """The state as JSON, where it would come back as it is."""
    if not isinstance(state, dict):
        raise WrongStrategy(f"state is {_short(state)}: must be a dict")
    try:
        text = json.dumps(state, allow_nan=False)
        same = json.loads(text) == state
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongStrategy(f"state cannot be kept as JSON: {error}") from None
    if not same:
        raise WrongStrategy(
            "state would come back different from JSON: keys must be text, and lists no tuples"
        )
    if len(text) > MOST_STATE:
        raise WrongStrategy(f"state is {len(text)} bytes of JSON: must be {MOST_STATE} at most")
    return text


def _short(value: Any) -> str:
    """What was given, in a line that a log can hold."""
    text = repr(value)
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"


def _user_traceback(error: BaseException) -> str:
    """Without this module's own frames, which tell the user nothing."""
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename) == Path(__file__):
        trace = trace.tb_next
    told = traceback.format_exception(type(error), error, trace)
    return "".join(told).rstrip()
