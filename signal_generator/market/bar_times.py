"""When bars begin and when they are over, as Alpaca counts.

Minutes and hours are those of the clock, extended hours included; New York is whole hours from UTC,
so its hours are UTC's. A day of shares is New York's and over at the close, early ones too; a day
of crypto is UTC's.
"""

from datetime import UTC, date, datetime, time, timedelta

from signal_generator.bars import Timeframe
from signal_generator.sessions import NEW_YORK, OutsideTableError, session_on

ONE_DAY = timedelta(days=1)
ONE_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_crypto(symbol: str) -> bool:
    """Whether the symbol is a pair such as ``BTC/USD``, which has no sessions."""
    return "/" in symbol


def floor(moment: datetime, length: timedelta) -> datetime:
    """The start of the bar of minutes or hours in which the moment lies."""
    return moment - (moment - _EPOCH) % length


def bar_end(symbol: str, start: datetime, timeframe: Timeframe) -> datetime:
    """The moment at which the bar that begins at `start` is over, in UTC."""
    if timeframe is not Timeframe.DAY or is_crypto(symbol):
        return start + timeframe.length
    return day_end(start.astimezone(NEW_YORK).date())


def day_end(day: date) -> datetime:
    """The close of shares on this day; the end of the calendar day where there is no session."""
    try:
        session = session_on(day)
    except OutsideTableError:
        session = None
    if session is not None:
        return session.close
    return datetime.combine(day + ONE_DAY, time(), NEW_YORK).astimezone(UTC)
