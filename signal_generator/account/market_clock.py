"""The time at the market: this machine's, or the broker's where that is another one.

An exchange that replays a day has its own date, may run fast, or stands still between two steps.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any

from signal_generator import sessions
from signal_generator.account.broker_http import BrokerHttp
from signal_generator.connection import Connection
from signal_generator.hosting import BrokerRefused, BrokerUnavailable, Session

log = logging.getLogger(__name__)

ASK_EVERY = 10.0
"""Seconds; six requests a minute of the account's two hundred."""


class WallClock:
    """This machine's time, and the New York Stock Exchange's sessions from the shipped table."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now().astimezone(UTC)

    def session(self) -> Session | None:
        """Today's in New York, a half day's with its early close; None on a day without one.

        Raises:
            OutsideTableError: the shipped table does not cover today.
        """
        found = sessions.session_on(self.now().astimezone(sessions.NEW_YORK).date())
        return None if found is None else Session(found.open, found.close)


class BrokerClock:
    """The broker's time and sessions; for one thread.

    ``/v2/clock`` is asked at most once in `every` seconds, and between two answers the time goes on
    at the pace they showed. An exchange whose clock stands still therefore stands still here, and
    one that runs sixty times as fast is followed. Time never goes back.

    Args:
        every: seconds of real time; 0 asks each time, for a clock that is moved by hand.
        http: made from the connection where not given.
        report: told once when the broker begins to refuse keys that had worked.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        every: float = ASK_EVERY,
        http: BrokerHttp | None = None,
        report: Callable[[str], object] = log.warning,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = connection.trading_url
        self._http = BrokerHttp(connection) if http is None else http
        self._every = every
        self._report = report
        self._refused = False
        self._monotonic = monotonic
        self._told: datetime | None = None
        self._told_at = 0.0
        self._asked_at = 0.0
        self._pace = 1.0
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._session: tuple[date, Session | None] | None = None

    def now(self) -> datetime:
        """Aware UTC.

        Raises:
            BrokerRefused: the keys are wrong, and were from the beginning.
            BrokerUnavailable: it has never answered yet; once it has, the time goes on without it.
        """
        told = self._told
        if told is None:
            told = self._ask()
        elif self._monotonic() - self._asked_at >= self._every:
            told = self._ask_again(told)
        # A clock that is asked each time is one that somebody moves: it has no pace.
        passed = self._monotonic() - self._told_at if self._every else 0.0
        self._latest = max(self._latest, told + timedelta(seconds=passed * self._pace))
        return self._latest

    def session(self) -> Session | None:
        """Today's in New York from ``/v2/calendar``, which is asked once a day.

        Raises:
            BrokerUnavailable: it has not answered for today yet.
        """
        today = self.now().astimezone(sessions.NEW_YORK).date()
        if self._session is None or self._session[0] != today:
            self._session = (today, self._ask_session(today))
        return self._session[1]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask_again(self, told: datetime) -> datetime:
        """What the broker says now, or what it said last."""
        try:
            told = self._ask()
        except BrokerRefused as error:
            if not self._refused:
                self._report(f"the time goes on as it was told last: {error}; asking again")
            self._refused = True
        except BrokerUnavailable:
            pass
        else:
            self._refused = False
        return told

    def _ask(self) -> datetime:
        # Before the answer: a broker that cannot be reached is not asked more often for that.
        self._asked_at = self._monotonic()
        told = _moment(self._http.get(self._base, "/v2/clock"))
        at = self._monotonic()
        if self._told is not None and at > self._told_at:
            seconds = (told - self._told).total_seconds()
            self._pace = max(0.0, seconds / (at - self._told_at))
        self._told, self._told_at = told, at
        return told

    def _ask_session(self, day: date) -> Session | None:
        path = "/v2/calendar"
        days = self._http.get(self._base, path, {"start": day.isoformat(), "end": day.isoformat()})
        try:
            row = next((row for row in days if row["date"] == day.isoformat()), None)
            return None if row is None else Session(*(_local(day, row[n]) for n in _HOURS))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokerUnavailable(f"GET {path}: not understood: {error!r}") from None


_HOURS = ("open", "close")


def _local(day: date, text: str) -> datetime:
    """``09:30`` in New York, in UTC: the same text is 13:30 or 14:30."""
    local = datetime.combine(day, clock_time.fromisoformat(text), sessions.NEW_YORK)
    return local.astimezone(UTC)


def _moment(answer: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(answer["timestamp"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokerUnavailable(f"GET /v2/clock: not understood: {error!r}") from None
    if moment.tzinfo is None:
        raise BrokerUnavailable("GET /v2/clock: the time has no zone")
    return moment.astimezone(UTC)
