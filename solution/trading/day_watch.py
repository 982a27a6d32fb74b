"""The day's loss: what the account began with, the most it had, and whether it lost too much.

The day is New York's calendar day. It opens with the broker's ``last_equity``, the equity at the
last session's close, or where that is not stated with the first equity seen. Until the day's
session opens a ``last_equity`` that the broker changes is taken over: when after midnight it does
so is written nowhere. Money that is paid in or out counts as a gain or a loss.

A trip lasts to the end of the session that the day's loss falls into: until the open after it, also
where it tripped before that session began. One that was judged by an opening that is taken over
ends with the next open, for the loss was that of the session before.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, Protocol

from solution import failpoints
from solution.book.positions import Account
from solution.clock import Clock
from solution.domain.day import Day
from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.errors import LedgerError
from solution.session import NEW_YORK, OutsideTableError, session_on
from solution.trading.next_session import NOBODY_KNOWS, next_session_ms
from solution.trading.restricting import Restricts

log = logging.getLogger(__name__)

KEY = "day"
ALMOST_OVER_MS = 1_000
"""A restriction that is gone this shortly before its end was not lifted by a person."""


class DayLedger(Protocol):
    """Where the day is kept."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...


class AccountBook(Protocol):
    """Where snapshots of the account arrive."""

    @property
    def snapshot_at(self) -> float:
        """Monotonic seconds."""
        ...

    def account(self) -> Account | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRules:
    """Fractions of the day's opening equity; None = no such limit."""

    max_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    trips_to: TradingState = TradingState.REDUCING

    @property
    def limited(self) -> bool:
        return self.max_loss is not None or self.max_drawdown is not None


class _Limit(NamedTuple):
    source: str
    reason: Reason
    fraction: Decimal | None
    reached: Callable[[Day, Decimal, Decimal], str | None]


@dataclass(frozen=True, slots=True)
class _Standing:
    """The row: a day, its figures, and which limits tripped in it until when (epoch ms)."""

    on: str
    day: Day
    stated: str = ""
    """The ``last_equity`` that the opening was taken from."""
    trips: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        shown: dict[str, Any] = {
            "date": self.on,
            "opening": f"{self.day.opening:f}",
            "peak": f"{self.day.peak:f}",
            "stated": self.stated,
            "trips": dict(self.trips),
        }
        return json.dumps(shown)


class DayWatch:
    """Keeps the day's figures and trips its limits; :meth:`step` belongs to one thread.

    Args:
        book: asked at each step; a snapshot that was judged is not judged again.
        states: restricted when a limit is reached, until the next session's open.

    Raises:
        LedgerError: the day of before the start cannot be read.
    """

    def __init__(
        self, rules: DayRules, book: AccountBook, ledger: DayLedger, states: Restricts, clock: Clock
    ) -> None:
        self._rules = rules
        self._book = book
        self._ledger = ledger
        self._states = states
        self._clock = clock
        self._judged_at = float("-inf")
        self._written = ledger.get_state(KEY)
        self._standing = _standing_of(self._written)
        self._limits = (
            _Limit("daily_loss", Reason.DAILY_LOSS, rules.max_loss, Day.loss_reaches),
            _Limit("drawdown", Reason.DRAWDOWN, rules.max_drawdown, Day.drawdown_reaches),
        )

    @property
    def day(self) -> Day | None:
        """The figures of today; None before the first snapshot of the day."""
        standing = self._standing
        return standing.day if standing and standing.on == self._today().isoformat() else None

    @property
    def limited(self) -> bool:
        """Whether a limit is set."""
        return self._rules.limited

    def step(self) -> None:
        """Judge the newest snapshot; called each second. A failing ledger is tried again."""
        account, taken = self._book.account(), self._book.snapshot_at
        if account is None:
            return
        try:
            self._resume(account)
            lapsed = self._lapse()
            if taken > self._judged_at or self.day is None or lapsed:
                self._renew(account)
                self._trip(account)
                self._judged_at = taken
            self._write()
        except LedgerError as error:
            log.error("day_not_kept", extra={"detail": str(error)})  # noqa: TRY400 - one line

    def status(self) -> Mapping[str, Any] | None:
        """For the status page."""
        day, account = self.day, self._book.account()
        if day is None or account is None:
            return None
        return {
            "opening": f"{day.opening:.2f}",
            "peak": f"{day.peak:.2f}",
            "change": f"{account.equity - day.opening:.2f}",
            "change_pct": _percent(account.equity - day.opening, day.opening),
            "below_peak_pct": _percent(day.peak - account.equity, day.opening),
            "limits": {
                x.source: _percent(x.fraction, Decimal(1)) for x in self._limits if x.fraction
            },
        }

    # --- the figures ------------------------------------------------------------------------------

    def _renew(self, account: Account) -> None:
        """A new day, a ``last_equity`` that changed before the session, or a new peak."""
        today, standing = self._today(), self._standing
        stated = "" if account.last_equity is None else f"{account.last_equity:f}"
        opening = account.equity if account.last_equity is None else account.last_equity
        if standing is None or standing.on != today.isoformat():
            standing = _Standing(today.isoformat(), Day(opening, opening), stated)
        elif stated not in {"", standing.stated} and self._before_session(today):
            standing = self._taken_over(standing, Day(opening, opening), stated)
        if account.equity > standing.day.peak:
            standing = replace(standing, day=Day(standing.day.opening, account.equity))
        self._standing = standing

    def _taken_over(self, standing: _Standing, day: Day, stated: str) -> _Standing:
        """The broker's own figure of the last close; what tripped by the one before it trips anew.

        The row first: a process that ends in between restricts for longer, and forgets nothing.
        """
        taken = replace(standing, day=day, stated=stated, trips={})
        self._standing = taken
        self._write()
        if until := next_session_ms(self._clock.now()):
            for source in standing.trips:
                self._states.shorten(source, until)
        return taken

    def _before_session(self, today: date) -> bool:
        try:
            session = session_on(today)
        except OutsideTableError:
            return False
        return session is None or self._clock.now() < session.open

    def _lapse(self) -> bool:
        """A trip whose time is over shadows nothing: its limit is judged again, and at once."""
        standing, now = self._standing, self._clock.epoch_ms()
        if standing is None:
            return False
        ahead = {s: until for s, until in standing.trips.items() if not until or now < until}
        lapsed = len(ahead) < len(standing.trips)
        if lapsed:
            self._standing = replace(standing, trips=ahead)
        return lapsed

    def _until_ms(self) -> int:
        """The open after today's session, also before that one began; 0 = nobody knows."""
        now = self._clock.now()
        try:
            session = session_on(self._today())
        except OutsideTableError:
            return NOBODY_KNOWS
        return next_session_ms(max(now, session.open) if session else now)

    def _trip(self, account: Account) -> None:
        """Once per limit while it stands; equity that recovers lifts nothing."""
        for limit in self._limits:
            standing, fraction = self._standing, limit.fraction
            if standing is None or fraction is None or limit.source in standing.trips:
                continue
            fallen = limit.reached(standing.day, fraction, account.equity)
            if fallen is None:
                continue
            until = self._until_ms()
            self._states.restrict(
                limit.source, self._rules.trips_to, limit.reason, fallen, until_ms=until
            )
            failpoints.hit("day.restricted")
            self._standing = replace(standing, trips={**standing.trips, limit.source: until})
            log.error(
                "limit_tripped",
                extra={"reason": limit.reason, "state": self._rules.trips_to, "detail": fallen},
            )

    def _resume(self, account: Account) -> None:
        """Whoever resumes trading accepts the loss so far: the day begins again from here."""
        standing, now = self._standing, self._clock.epoch_ms()
        if standing is None or not standing.trips:
            return
        lasting = self._states.lasting()
        resumed = [
            source
            for source, until in standing.trips.items()
            if source not in lasting and (not until or now < until - ALMOST_OVER_MS)
        ]
        if resumed:
            self._standing = replace(standing, day=Day(account.equity, account.equity), trips={})
            log.warning("day_begins_again", extra={"equity": f"{account.equity:f}"})

    # --- the row ----------------------------------------------------------------------------------

    def _write(self) -> None:
        """Only what changed; a trip survives a power loss, a peak the end of the process."""
        standing = self._standing
        if standing is None or (text := standing.text()) == self._written:
            return
        self._ledger.set_state(KEY, text, sync=bool(standing.trips))
        self._written = text

    def _today(self) -> date:
        return self._clock.now().astimezone(NEW_YORK).date()


def _standing_of(text: str | None) -> _Standing | None:
    """What the row says; one that cannot be read is as none, and the day begins with the broker's
    own figure."""
    if text is None:
        return None
    try:
        found: Any = json.loads(text)
        day = Day(_decimal(found["opening"]), _decimal(found["peak"]))
        trips = {str(source): int(until) for source, until in found["trips"].items()}
        return _Standing(str(found["date"]), day, str(found["stated"]), trips)
    except (ValueError, TypeError, LookupError, AttributeError, InvalidOperation) as error:
        log.warning("day_not_read", extra={"detail": f"{error!r}"})
        return None


def _decimal(text: Any) -> Decimal:
    number = Decimal(str(text))
    if not number.is_finite():
        raise ValueError(f"{text} is no amount")
    return number


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole * 100:.2f}" if whole else "0.00"
