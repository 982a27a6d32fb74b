"""The market of a recording: its time is that of its bars, and there is no account."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from signal_generator import sessions
from signal_generator.bars import Bar, Timeframe
from signal_generator.hosting import BrokerUnavailable, OpenOrder, Position, Session


class BarClock:
    """The end of the newest bar that was run through."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._timeframe = timeframe
        self._now = datetime.fromtimestamp(0, UTC)

    def bar(self, bar: Bar) -> None:
        """Time goes on to the bar's end."""
        self._now = max(self._now, bar.timestamp + self._timeframe.length)

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now

    def session(self) -> Session | None:
        """New York's on that day, from the shipped table; None also on days it does not cover."""
        day = self._now.astimezone(sessions.NEW_YORK).date()
        first, last = sessions.covered()
        found = sessions.session_on(day) if first <= day <= last else None
        return None if found is None else Session(found.open, found.close)


class NoBroker:
    """Stands where an account would."""

    def positions(self) -> Sequence[Position]:
        """There are none to be known."""
        raise BrokerUnavailable("recorded bars come without an account")

    def open_orders(self) -> Sequence[OpenOrder]:
        """There are none to be known."""
        raise BrokerUnavailable("recorded bars come without an account")

    def last_trade(self, symbol: str) -> Decimal:
        """There is none to be known."""
        raise BrokerUnavailable(f"recorded bars come without trades of {symbol}")
