"""Keeps the price book fresh: one snapshots request for all watched symbols of a class per period.

Shares and crypto pairs are asked for side by side, each at a place of its own; what fails for one
class neither delays nor stops the other.
"""

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from solution.book.prices import PriceBook, Quote
from solution.clock import Clock
from solution.domain.crypto import is_pair
from solution.errors import BrokerError, RateLimited, Rejected
from solution.runtime.service import Service

log = logging.getLogger(__name__)

Fetch = Callable[[Sequence[str]], Mapping[str, Any]]
"""``{symbol: {"latestTrade": {"t", "p", …}, "latestQuote": {"t", "bp", "ap", …}}}``, prices as
``Decimal``: the answer of ``GET /v2/stocks/snapshots``, and for pairs what
``GET /v1beta3/crypto/us/snapshots`` wraps. The symbols of one call are of one class. Raises
:class:`BrokerError`."""

SYMBOLS_PER_REQUEST = 500
"""Keeps the URL near 3 KB; servers refuse one beyond 8 KB."""

FETCH_NOW_SECONDS = 2.0

_LONGEST_PAUSE = 10.0
_LONGEST_LIMITED_PAUSE = 60.0
_SHORTEST_GAP = 0.1
_BARRED_SECONDS = 300.0
_DIVISIONS = 12
_QUIET_SECONDS = 60.0
_TEXTS_KEPT = 100


def quotes_from_snapshots(payload: Mapping[str, Any], received: float) -> dict[str, Quote]:
    """The quotes in one answer of the data API.

    Args:
        payload: as described at :data:`Fetch`. A symbol with ``null``, or with neither trade nor
            quote, gives no quote; so does anything that is no object. Absent, zero, negative and
            unreadable prices become None, unreadable times too.
        received: monotonic seconds.
    """
    quotes = {}
    for symbol, snapshot in payload.items():
        if not isinstance(snapshot, Mapping):
            continue
        trade, quote = _part(snapshot, "latestTrade"), _part(snapshot, "latestQuote")
        if not trade and not quote:
            continue
        quotes[symbol] = Quote(
            symbol=symbol,
            bid=_price(quote.get("bp")),
            ask=_price(quote.get("ap")),
            last=_price(trade.get("p")),
            quote_at=_time(quote.get("t")),
            trade_at=_time(trade.get("t")),
            received=received,
        )
    return quotes


def _part(snapshot: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = snapshot.get(name)
    return part if isinstance(part, Mapping) else {}


def _price(value: object) -> Decimal | None:
    if value is None:
        return None
    try:
        price = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and price > 0 else None


def _time(value: object) -> datetime | None:
    """RFC 3339 with up to nine fractional digits, cut to microseconds, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):  # the year 1 or 9999, moved to UTC
        return None


class PricePoller(Service):
    """Polls all watched symbols, and fetches one on the spot when asked.

    A symbol that joins the book without a quote wakes the thread at once. The period is kept: the
    time a poll takes is not added to it, and a poll longer than the period is counted in
    :attr:`overruns`. Errors of the broker are counted in :attr:`failures` and never end the thread;
    the pause of that class doubles up to 10 s, or is what a 429 asks for (at most 60 s).

    Args:
        book: where the quotes go, and where the symbols come from.
        fetch: one request; called by this thread and by those in :meth:`fetch_now`.
        interval: seconds from the start of one poll to the start of the next.
        fetch_soon: like ``fetch``, but bounds itself to :data:`FETCH_NOW_SECONDS`; ``fetch`` when
            not given.
        clock: where now comes from.
    """

    def __init__(
        self,
        book: PriceBook,
        fetch: Fetch,
        *,
        interval: float = 1.0,
        fetch_soon: Fetch | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("price-poller", clock=clock)
        self._book = book
        self._fetch = fetch
        self._fetch_soon = fetch_soon or fetch
        self._interval = interval
        self._paces = {False: _Pace(), True: _Pace()}
        """By whether it is crypto."""
        self._barred: dict[str, float] = {}
        self._seldom = _Seldom(self._clock)
        self._mutex = threading.Lock()
        self._calls: dict[str, _Call] = {}
        self.polls = 0
        self.failures = 0
        """Failed polls and on-the-spot fetches since the start."""
        self.overruns = 0
        book.on_watch(self._joined)

    def _joined(self, symbol: str) -> None:
        if self._book.get(symbol) is None:  # fetch_now() prices a symbol before it joins
            self._paces[is_pair(symbol)].wanted = True
            self.wake()

    def step(self) -> float:
        """Ask for every watched symbol of the classes that are due.

        Returns:
            seconds until the next poll is due.
        """
        started = self._clock.monotonic()
        watched = self._book.symbols()
        paces = {crypto: self._paces[crypto] for crypto in {is_pair(s) for s in watched}}
        due = [crypto for crypto, pace in sorted(paces.items()) if pace.next_at <= started]
        if due:
            self.polls += 1
            self._barred = {s: until for s, until in self._barred.items() if until > started}
            for crypto in due:
                mine = [s for s in watched if is_pair(s) is crypto and s not in self._barred]
                self._poll(paces[crypto], mine, started)
            self._count_overrun(started)
        at = min((pace.next_at for pace in paces.values()), default=started + self._interval)
        return max(0.0, at - self._clock.monotonic())

    def _poll(self, pace: "_Pace", symbols: Sequence[str], started: float) -> None:
        """One class of symbols, and when it is due again."""
        # A burst of new symbols becomes a few polls, not one each.
        pace.asked(started + _SHORTEST_GAP, started + self._interval)
        try:
            self._ask_all(symbols, started)
        except BrokerError as error:
            self._failed("price_poll_failed", error)
            pace.in_a_row += 1
            pace.pause_until(self._clock.monotonic() + self._back_off(pace, error))
        else:
            pace.in_a_row = 0

    def _count_overrun(self, started: float) -> None:
        late = self._clock.monotonic() - started - self._interval
        if late <= 0 or any(pace.in_a_row for pace in self._paces.values()):
            return  # what waits for an error is late on purpose
        self.overruns += 1
        if self._seldom.due("overrun"):
            log.warning(
                "price_poll_overrun",
                extra={"seconds_late": round(late, 3), "overruns": self.overruns},
            )

    def _ask_all(self, symbols: Sequence[str], now: float) -> None:
        if not symbols:
            return
        poll = _Round(self._fetch, self._store)
        failure: BrokerError | None = None
        for start in range(0, len(symbols), SYMBOLS_PER_REQUEST):
            try:
                poll.ask(symbols[start : start + SYMBOLS_PER_REQUEST])
            except BrokerError as error:
                failure = error  # the other requests may still succeed
        refusal = self._bar(poll, now)
        failure = failure or refusal
        if failure is not None:
            raise failure

    def _bar(self, poll: "_Round", now: float) -> BrokerError | None:
        """Leave out for five minutes what the server refused alone.

        When it answered nothing at all it did not refuse those symbols but us, so then the
        refusal is the failure of the poll.
        """
        if poll.refused and not poll.answered:
            return next(iter(poll.refused.values()))
        for symbol, error in poll.refused.items():
            self._barred[symbol] = now + _BARRED_SECONDS
            log.warning("price_symbol_refused", extra={"symbol": symbol, "why": str(error)})
        return None

    def _store(self, payload: Mapping[str, Any]) -> dict[str, Quote]:
        quotes = quotes_from_snapshots(payload, self._clock.monotonic())
        self._book.replace(quotes)
        return quotes

    def _back_off(self, pace: "_Pace", error: BrokerError) -> float:
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(_LONGEST_LIMITED_PAUSE, max(self._interval, error.retry_after))
        longest = max(self._interval, _LONGEST_PAUSE)
        return min(longest, self._interval * 2.0 ** min(pace.in_a_row - 1, 30))

    def fetch_now(self, symbol: str) -> Quote | None:
        """Ask for one symbol at once, on the calling thread; it joins the poll when it has a price.

        Callers that want the same symbol meanwhile wait for that one answer, at most 2 s. No lock
        is held during the request. An error is counted and logged.

        Returns:
            the quote, None when there was none in time.
        """
        with self._mutex:
            call = self._calls.get(symbol)
            leading = call is None
            if call is None:
                call = self._calls[symbol] = _Call()
        if not leading:
            call.done.wait(FETCH_NOW_SECONDS)
            return call.quote
        try:
            call.quote = self._fetch_one(symbol)
        finally:
            with self._mutex:
                del self._calls[symbol]
            call.done.set()
        return call.quote

    def _fetch_one(self, symbol: str) -> Quote | None:
        try:
            quote = self._store(self._fetch_soon((symbol,))).get(symbol)
        except BrokerError as error:
            self._failed("price_fetch_failed", error)
            return None
        if quote is not None:
            self._book.watch(symbol)
        return quote

    def _failed(self, event: str, error: BrokerError) -> None:
        with self._mutex:
            self.failures += 1
        if self._seldom.due(f"{event} {error}"):
            log.warning(event, extra={"why": str(error), "failures": self.failures})


class _Pace:
    """When one class of symbols is asked for: monotonic seconds, and failures in a row.

    ``wanted``: a symbol has joined that has no price, so that the period is not waited for.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.in_a_row = 0
        self._not_before = self._due_at = -math.inf

    @property
    def next_at(self) -> float:
        return self._not_before if self.wanted else self._due_at

    def asked(self, not_before: float, due_at: float) -> None:
        self.wanted = False
        self._not_before, self._due_at = not_before, due_at

    def pause_until(self, at: float) -> None:
        """Nobody gets a price sooner, new or not."""
        self._not_before = self._due_at = at


class _Call:
    """One request in :meth:`PricePoller.fetch_now` that several threads may wait for."""

    __slots__ = ("done", "quote")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.quote: Quote | None = None


class _Round:
    """The requests of one poll.

    One symbol that the server does not take makes it refuse the whole request, which would leave
    every other symbol without a price. Such a request is halved until the culprit stands alone.
    """

    def __init__(self, fetch: Fetch, store: Callable[[Mapping[str, Any]], object]) -> None:
        self._fetch = fetch
        self._store = store
        self._divisions = 0
        self.answered = False
        self.refused: dict[str, Rejected] = {}

    def ask(self, symbols: Sequence[str]) -> None:
        """Raises :class:`BrokerError` for what halving cannot help, or not within its limit."""
        try:
            payload = self._fetch(symbols)
        except Rejected as error:
            if error.status not in {400, 422}:
                raise
            if len(symbols) == 1:
                self.refused[symbols[0]] = error
                return
            self._divisions += 1
            if self._divisions > _DIVISIONS:
                raise
        else:
            self.answered = True
            self._store(payload)
            return
        half = len(symbols) // 2
        self.ask(symbols[:half])
        self.ask(symbols[half:])


class _Seldom:
    """Says whether a text may be logged: once a minute each, and not too many texts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._logged: dict[str, float] = {}

    def due(self, text: str) -> bool:
        now = self._clock.monotonic()
        with self._mutex:
            if len(self._logged) >= _TEXTS_KEPT:
                self._logged = {
                    t: at for t, at in self._logged.items() if now - at < _QUIET_SECONDS
                }
            at = self._logged.get(text)
            if at is not None and now - at < _QUIET_SECONDS:
                return False
            if at is None and len(self._logged) >= _TEXTS_KEPT:
                return False
            self._logged[text] = now
            return True
