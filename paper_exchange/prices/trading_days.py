"""The stretches of a day in which an asset trades, on the grid of minutes since the epoch.

Crypto trades through UTC days; stocks through New York days, or, with the
sessions of the New York Stock Exchange, from 04:00 to 20:00 of its trading
days in three legs: pre-market, core session, post-market.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from paper_exchange import sessions
from paper_exchange.clock import NEW_YORK, new_york_midnight, to_datetime, to_ns
from paper_exchange.prices.tape import MINUTE_NS

_PRE = time(4)
_POST = time(20)
#: No gap between two sessions is longer (11 September 2001 made one of a week).
_LONGEST_GAP = 15
_REMEMBERED = 512
_LAST_ORDINAL = date.max.toordinal() - 1


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a day without a break; minutes since the epoch, ``stop`` is not included.

    ``kind`` is ``crypto``, ``core``, ``pre`` or ``post``; ``day`` the ordinal of its date.
    """

    day: int
    kind: str
    start: int
    stop: int


class TradingDays:
    """Which minutes an asset trades in.

    Attributes:
        crypto: UTC days instead of New York days.
    """

    def __init__(self, *, crypto: bool, nyse: bool) -> None:
        self.crypto = crypto
        self._nyse = nyse and not crypto
        self._kept: dict[int, tuple[Leg, ...]] = {}
        self._midnights: dict[int, int] = {}
        self._today = (0, 0, 0)

    def midnight(self, day: int) -> int:
        """The minute in which a day begins."""
        found = self._midnights.get(day)
        if found is None:
            if len(self._midnights) >= _REMEMBERED:
                self._midnights.clear()
            found = self._midnights[day] = self._make_midnight(date.fromordinal(day))
        return found

    def _make_midnight(self, day: date) -> int:
        if self.crypto:
            at = to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC))
        else:
            at = new_york_midnight(day)
        return at // MINUTE_NS

    def day_of(self, minute: int) -> int:
        """The ordinal of the date that a minute belongs to."""
        day, start, stop = self._today
        if not start <= minute < stop:
            at = to_datetime(minute * MINUTE_NS)
            day = (at if self.crypto else at.astimezone(NEW_YORK)).toordinal()
            self._today = (day, self.midnight(day), self.midnight(day + 1))
        return day

    def legs(self, day: int) -> tuple[Leg, ...]:
        """The legs of a day, empty when nothing trades."""
        found = self._kept.get(day)
        if found is None:
            if len(self._kept) >= _REMEMBERED:
                self._kept.clear()
            found = self._kept[day] = self._make(day)
        return found

    def _make(self, day: int) -> tuple[Leg, ...]:
        if not self._nyse:
            kind = "crypto" if self.crypto else "core"
            return (Leg(day, kind, self.midnight(day), self.midnight(day + 1)),)
        when = date.fromordinal(day)
        first, last = sessions.covered()
        session = sessions.session_on(when) if first <= when <= last else None
        if session is None:
            return ()
        opening, close = to_ns(session.open) // MINUTE_NS, to_ns(session.close) // MINUTE_NS
        return (
            Leg(day, "pre", _new_york_minute(when, _PRE), opening),
            Leg(day, "core", opening, close),
            Leg(day, "post", close, _new_york_minute(when, _POST)),
        )

    def core(self, day: int) -> tuple[int, int] | None:
        """First minute and end of what a daily bar covers."""
        for leg in self.legs(day):
            if leg.kind in {"core", "crypto"}:
                return leg.start, leg.stop
        return None

    def latest(self, minute: int) -> Leg | None:
        """The leg that a minute lies in, or else the one before it."""
        day = self.day_of(minute)
        for one in range(day, max(day - _LONGEST_GAP, 1), -1):
            for leg in reversed(self.legs(one)):
                if leg.start <= minute:
                    return leg
        return None

    def following(self, minute: int) -> Leg | None:
        """The leg that a minute lies in, or else the one after it."""
        day = self.day_of(minute)
        for one in range(day, min(day + _LONGEST_GAP, _LAST_ORDINAL)):
            for leg in self.legs(one):
                if minute < leg.stop:
                    return leg
        return None

    def legs_between(self, first: int, stop: int) -> list[Leg]:
        """The legs that share minutes with ``first`` to ``stop`` (not included)."""
        if first >= stop:
            return []
        days = range(self.day_of(first), self.day_of(stop - 1) + 1)
        return [
            leg for day in days for leg in self.legs(day) if leg.start < stop and first < leg.stop
        ]


def _new_york_minute(day: date, clock: time) -> int:
    return to_ns(datetime.combine(day, clock, tzinfo=NEW_YORK).astimezone(UTC)) // MINUTE_NS
