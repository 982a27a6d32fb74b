"""Fakes around a host of strategies: a scripted market, a store with a memory, made-up bars."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from signal_generator.bars import Bar, Quote, Timeframe
from signal_generator.hosting import BrokerUnavailable, Market, Session
from signal_generator.hosts.host import Host
from signal_generator.hosts.hosted import Hosted
from signal_generator.hosts.inbox import Inbox
from signal_generator.hosts.kept import Fields, Kept
from signal_generator.market.recorded_market import NoBroker
from signal_generator.strategy import Strategy

OPEN = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
DAY_OF_BARS = Path(__file__).parents[2] / "examples" / "bars" / "day.csv"


def bar(minute: int, close: float = 100.0, symbol: str = "NVDA") -> Bar:
    """The bar of this minute of the session."""
    at = OPEN + timedelta(minutes=minute)
    return Bar(symbol, at, close, close, close, close, 1000.0)


@dataclass
class FakeStore:
    """Keeps in this object, which outlives a host as Redis does."""

    kept: dict[str, Kept] = field(default_factory=dict)
    signals: list[Fields] = field(default_factory=list)
    commits: list[tuple[str, int]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def open(self, name: str) -> Kept:
        return self.kept.get(name, Kept())

    def commit(self, name: str, kept: Kept, signals: Sequence[Fields]) -> Kept:
        self.before()
        self.kept[name] = replace(kept, version=kept.version + 1)
        self.signals += signals
        self.commits.append((name, len(signals)))
        return self.kept[name]

    def close(self, name: str) -> None:
        self.closed.append(name)

    def ids(self) -> list[str]:
        """The ids of what was published."""
        return [fields["signal_id"] for fields in self.signals]


@dataclass
class FakeSource:
    """A market whose bars are all there when somebody follows; puts them at once."""

    bars: Sequence[Bar] = ()
    past: Sequence[Bar] = ()
    quotes_: Sequence[Quote] = ()
    fails: int = 0
    followed: Mapping[str, datetime] = field(default_factory=dict)
    asked: list[tuple[Sequence[str], int, datetime | None]] = field(default_factory=list)

    def history(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        count: int,
        until: datetime | None = None,
    ) -> Mapping[str, Sequence[Bar]]:
        if self.fails:
            self.fails -= 1
            raise BrokerUnavailable("no answer")
        self.asked.append((tuple(symbols), count, until))
        known = [b for b in self.past if until is None or b.timestamp <= until]
        return {s: [b for b in known if b.symbol == s][-count:] for s in symbols}

    def quotes(self, symbols: Sequence[str], put: Callable[[Quote], None]) -> None:
        for quote in self.quotes_:
            put(quote)

    def follow(
        self, timeframe: Timeframe, after: Mapping[str, datetime], put: Callable[[Bar], None]
    ) -> None:
        self.followed = dict(after)
        for one in self.bars:
            if one.symbol in after and one.timestamp > after[one.symbol]:
                put(one)

    def exhausted(self) -> bool:
        return True

    def stop(self) -> None:
        pass


class FakeClock:
    """Set by hand."""

    def __init__(self) -> None:
        self.time = OPEN
        self.away = False

    def now(self) -> datetime:
        if self.away:
            raise BrokerUnavailable("clock away")
        return self.time

    def session(self) -> Session | None:
        return None


def hosted(strategy: Strategy, symbols: Sequence[str] = ("NVDA",), **options: Any) -> Hosted:
    """A strategy as a host sees it, called by its class's name."""
    name = options.pop("name", type(strategy).__name__)
    made = {"frame": lambda bars: ("frame", bars), **options}
    return Hosted(strategy, name, symbols, Timeframe.MINUTE, **made)


def make_host(
    strategies: Sequence[Hosted],
    source: Any,
    store: Any = None,
    *,
    clock: Any = None,
    live: bool = True,
    stop: threading.Event | None = None,
    executions: Any = None,
    inbox: Inbox | None = None,
) -> Host:
    """A host among fakes."""
    market = Market(source, clock or FakeClock(), NoBroker(), live=live)
    return Host(
        strategies,
        Timeframe.MINUTE,
        market,
        store=store or FakeStore(),
        inbox=inbox or Inbox(),
        stop=stop or threading.Event(),
        executions=executions,
    )
