"""Runs strategies: one inbox, and one thread that calls them and keeps what came of it."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from signal_generator.bars import Bar, Quote, Timeframe
from signal_generator.hosting import BrokerRefused, BrokerUnavailable, Context, Market
from signal_generator.hosts.execution_reader import entry_order
from signal_generator.hosts.hosted import Hosted, Step, WrongStrategy
from signal_generator.hosts.inbox import Inbox, Item
from signal_generator.hosts.kept import Interrupted, Store
from signal_generator.runtime import Stop

log = logging.getLogger(__name__)

CHECKUP_EVERY = timedelta(seconds=30)
#: Callbacks that led to nothing may wait to be kept until nothing else is to be done, or there are
#: this many: done again after a crash, they lead to nothing again.
FLUSH_AFTER = 256
#: Seconds between two looks at the market's clock while nothing comes.
LOOK_EVERY = 0.25


class Executions(Protocol):
    """What the host needs of :class:`signal_generator.hosts.execution_reader.ExecutionReader`."""

    def end(self) -> str:
        """The position behind everything that stands there now."""

    def start(self, after: str) -> None:
        """Begin behind this entry id."""


_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Host:
    """Calls strategies, from the thread that calls :meth:`run`.

    Every bar reaches every strategy that wants it once and in order. What a callback returned and
    what it left in ``state`` are kept in one transaction before the next callback runs, however
    long that takes; a crash before it means that the same bar is run through again.

    Args:
        strategies: each with a name of its own.
        market: where bars, the time and the account come from.
        store: keeps and publishes.
        inbox: what the sources put.
        executions: reads what became of signals; None where nobody tells.
        stop: ends it.
    """

    def __init__(
        self,
        strategies: Sequence[Hosted],
        timeframe: Timeframe,
        market: Market,
        *,
        store: Store,
        inbox: Inbox,
        stop: Stop,
        executions: Executions | None = None,
    ) -> None:
        self._strategies = tuple(strategies)
        self._timeframe = timeframe
        self._market = market
        self._source = market.source
        self._store = store
        self._inbox = inbox
        self._stop = stop
        self._executions = executions
        self._ending = False
        self._opened: list[Hosted] = []
        self._unkept: dict[str, Hosted] = {}
        self._unkept_steps = 0
        self._checkup_at: datetime | None = None
        self._clock_away = False
        self.failure = ""
        """Why a strategy has ended the host, where that was no good end."""

    def run(self) -> None:
        """Until the stop flag is set, a strategy asks for it, or no bar will follow any more.

        Raises:
            PublishError: another host has a strategy, or Redis refuses.
            WrongStrategy: one cannot be started, or none is left after ``on_start``.
            BrokerRefused: keys, plan or symbol are wrong.
        """
        try:
            self._begin()
            while not self._over():
                self.step()
            self._finish()
        except Interrupted:
            pass  # it was asked to end; what was not kept is done anew at the next start
        finally:
            self._inbox.close()

    def close(self) -> None:
        """Let other hosts have the strategies; after `run`, and after nobody renews a lease."""
        for hosted in self._opened:
            hosted.close()
            self._store.close(hosted.name)

    def step(self) -> None:
        """One item of the inbox, or a short wait for one."""
        item = self._inbox.get(0)
        if item is None:
            self._flush()
            item = self._inbox.get(LOOK_EVERY)
        if item is not None:
            self._dispatch(item)
        self._checkup()

    # --- beginning and end ------------------------------------------------------------------

    def _begin(self) -> None:
        market = self._market
        for hosted in self._strategies:
            kept = self._store.open(hosted.name)
            self._opened.append(hosted)
            context = Context(
                market.clock,
                market.broker,
                hosted.log,
                self._ask_stop,
                self._bars_of_before,
                self._fail,
            )
            hosted.begin(kept, context)
        self._follow_executions()
        after = self._warm_up()
        for hosted in self._strategies:
            self._settle(hosted, hosted.event("on_start"))
        if all(hosted.disabled for hosted in self._strategies):
            names = ", ".join(hosted.name for hosted in self._strategies)
            raise WrongStrategy(f"on_start has failed: {names}; nothing is left to run")
        wanted = {s for h in self._strategies if h.strategy.quotes for s in h.symbols}
        if wanted:
            self._source.quotes(sorted(wanted), self._inbox.put_quote)
        self._source.follow(self._timeframe, after, self._inbox.put_bar)

    def _follow_executions(self) -> None:
        """From the earliest position that is kept; a strategy without one begins at the end."""
        if self._executions is None:
            return
        end = self._executions.end()
        for hosted in self._strategies:
            if not hosted.kept.execution:
                # At once: what happens between now and its first own transaction is its as well.
                self._settle(hosted, hosted.at_execution(end))
        positions = [hosted.kept.execution for hosted in self._strategies]
        self._executions.start(min(positions, key=entry_order))

    def _warm_up(self) -> Mapping[str, datetime]:
        """Fill the windows; returns the bar behind which each symbol is to be followed."""
        for hosted in self._strategies:
            together = defaultdict(list)
            for symbol in sorted(hosted.symbols):
                last = hosted.last_bar(symbol)
                if self._market.live or last is not None:
                    together[last].append(symbol)
            for last, symbols in together.items():
                self._fill(hosted, symbols, last)
        # Without any bar at all: from now on, or from a file's beginning.
        other = (
            self._market.clock.now() - self._timeframe.length if self._market.live else _BEGINNING
        )
        after: dict[str, datetime] = {}
        for hosted in self._strategies:
            for symbol in sorted(hosted.symbols):
                last = hosted.last_bar(symbol) or other
                after[symbol] = min(after.get(symbol, last), last)
        return after

    def _fill(self, hosted: Hosted, symbols: Sequence[str], last: datetime | None) -> None:
        found = self._history(symbols, hosted.history, last)
        for symbol in symbols:
            hosted.warm_up(symbol, found.get(symbol, ()))
        self._unkept[hosted.name] = hosted

    def _history(
        self, symbols: Sequence[str], count: int, until: datetime | None
    ) -> Mapping[str, Sequence[Bar]]:
        """Asked again until it answers: a host that is started while the network is away waits."""
        failures = 0
        while True:
            try:
                return self._source.history(symbols, self._timeframe, count, until=until)
            except BrokerRefused:
                raise
            except BrokerUnavailable as error:
                failures += 1
                log.warning("the bars of before: %s; trying again", error)
                if self._stop.wait(min(60.0, 2.0**failures)):
                    raise Interrupted(str(error)) from error

    def _bars_of_before(self, symbol: str, count: int, until: datetime) -> Sequence[Bar]:
        """For strategies, which decide themselves whether to ask again."""
        found = self._source.history([symbol], self._timeframe, count, until=until)
        return found.get(symbol, ())

    def _finish(self) -> None:
        for hosted in self._strategies:
            self._settle(hosted, hosted.event("on_stop"))
        self._flush()

    def _over(self) -> bool:
        if self._ending or self._stop.is_set():
            return True
        # In this order: a source that has ended puts nothing in between.
        return self._source.exhausted() and self._inbox.empty()

    def _ask_stop(self) -> None:
        self._ending = True

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self._ending = True

    # --- one item ---------------------------------------------------------------------------

    def _dispatch(self, item: Item) -> None:
        if isinstance(item, Bar):
            self._market.ticked(item)
        for hosted in self._strategies:
            if isinstance(item, Bar):
                step = hosted.bar(item)
            elif isinstance(item, Quote):
                step = hosted.quote(item)
            else:
                step = hosted.execution(*item)
            self._settle(hosted, step)
            if self._ending:
                return

    def _checkup(self) -> None:
        """Every 30 seconds of the market's time; once, however far that has jumped."""
        try:
            now = self._market.clock.now()
        except BrokerUnavailable as error:
            if not self._clock_away:
                log.warning("no checkup while the clock does not answer: %s", error)
            self._clock_away = True
            return
        self._clock_away = False
        if self._checkup_at is None:
            self._checkup_at = now + CHECKUP_EVERY
        if now >= self._checkup_at:
            self._checkup_at = now + CHECKUP_EVERY
            for hosted in self._strategies:
                self._settle(hosted, hosted.event("checkup"))

    def _settle(self, hosted: Hosted, step: Step | None) -> None:
        """Keep what a callback led to: at once where it matters, else with the next that does."""
        if step is None:
            return
        changed = step.kept != hosted.kept
        hosted.kept = step.kept
        if step.urgent:
            hosted.kept = self._store.commit(hosted.name, hosted.kept, step.signals)
            self._unkept.pop(hosted.name, None)
        elif changed:
            self._unkept[hosted.name] = hosted
            self._unkept_steps += 1
            if self._unkept_steps >= FLUSH_AFTER:
                self._flush()

    def _flush(self) -> None:
        self._unkept_steps = 0
        for name, hosted in list(self._unkept.items()):
            hosted.kept = self._store.commit(name, hosted.kept, ())
            del self._unkept[name]
