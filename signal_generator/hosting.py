"""What a host gives its strategies, and what it needs itself: the seams between the parts."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from signal_generator.bars import Bar, Quote, Timeframe


class MarketClock(Protocol):
    """The time at the market: the wall clock, or that of an exchange with a clock of its own."""

    def now(self) -> datetime:
        """Aware UTC."""

    def session(self) -> "Session | None":
        """Today's session in New York, over or not; None when there is none today."""


@dataclass(frozen=True, slots=True)
class Session:
    """Open and close of one day, aware UTC; half days close early."""

    opens: datetime
    closes: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """What the account holds of one symbol; negative when short."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that rests at the broker; prices None where it has none."""

    symbol: str
    order_id: str
    client_order_id: str
    side: str
    order_type: str
    qty: Decimal
    filled_qty: Decimal
    limit_price: Decimal | None
    submitted_at: datetime


class BrokerReader(Protocol):
    """Reads the account; never writes to it. Every call takes one of the account's requests.

    Raises (every method):
        BrokerUnavailable: no answer, or none that can be used.
    """

    def positions(self) -> Sequence[Position]:
        """All positions."""

    def open_orders(self) -> Sequence[OpenOrder]:
        """All orders that are not at their end."""

    def last_trade(self, symbol: str) -> Decimal:
        """The price of the last trade."""


class BrokerUnavailable(Exception):
    """The broker could not be asked; asking again later is safe.

    Args:
        status: HTTP's, where it answered with another one than 200.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class BrokerRefused(BrokerUnavailable):
    """The broker answers, and says no to these keys: asked again it says so again.

    Ends a start. Once the same keys have worked it is told and borne, as an outage is: keys are
    renewed and plans are paid late, and what is open meanwhile should still be looked after.
    """


class BarSource(Protocol):
    """Where completed bars come from. Each symbol's bars arrive in order, each exactly once."""

    def history(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        count: int,
        until: datetime | None = None,
    ) -> Mapping[str, Sequence[Bar]]:
        """The last `count` completed bars of each, none later than `until`, oldest first."""

    def follow(
        self,
        timeframe: Timeframe,
        after: Mapping[str, datetime],
        put: Callable[[Bar], None],
    ) -> None:
        """Begin to deliver every completed bar whose start is later than ``after[symbol]``.

        Returns at once; `put` is called from the source's own thread and only enqueues.
        """

    def quotes(self, symbols: Sequence[str], put: Callable[[Quote], None]) -> None:
        """Begin to deliver quotes as they come; to be called before `follow`."""

    def exhausted(self) -> bool:
        """Whether no bar will follow any more, as at the end of a file; never of a live source."""

    def stop(self) -> None:
        """End within 2 seconds."""


class History(Protocol):
    """Bars that were, for a strategy that wants others than ``on_bar`` brings it."""

    def __call__(self, symbol: str, count: int, until: datetime) -> Sequence[Bar]:
        """The last `count` completed bars of the host's timeframe, none later than `until`.

        Raises:
            BrokerUnavailable: they could not be had now.
        """


def no_history(symbol: str, count: int, until: datetime) -> Sequence[Bar]:
    """Of a host that has none."""
    del symbol, count, until
    return ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy may use.

    Args:
        history: asks the bar source, from the host's thread.
        fail: ends the host too, with exit code 1 and this sentence.
        log: its own logger, named by strategy (and symbol where it likes: ``log.getChild``).
        ask_stop: ends the whole host after this callback, as at the session's close.
    """

    clock: MarketClock
    broker: BrokerReader
    log: logging.Logger
    ask_stop: Callable[[], None]
    history: History = no_history
    fail: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Market:
    """Where bars, the time and the account come from.

    Args:
        ticked: told each bar before the strategies are, for a clock that goes by bars.
        live: False for a recording, which begins at its beginning and has nothing before it.
    """

    source: BarSource
    clock: MarketClock
    broker: BrokerReader
    ticked: Callable[[Bar], None] = lambda _: None
    live: bool = True
