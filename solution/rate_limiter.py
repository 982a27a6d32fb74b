"""The account's request budget: never more than the limit in any window, as the broker counts.

**Own count.** A slot is taken before a request and counts until one window after its answer came
(or its deadline passed). The broker saw the request at some moment between the two, so whatever
60 seconds it looks at, sliding or fixed, holds at most ``limit`` of ours. Cancels, look-ups and
exits may use all of it; entries and polls leave a reserve alone.

**The broker's count** (``X-RateLimit-*``). Its limit is adopted, up and down; what remains by its
count restricts us where it proves that another client of the account is spending. The rule, the
race in it and why it cannot lock up stand in :mod:`solution.broker_count`.

A 429 pauses everything until Retry-After, else Reset, else for 1, 2, 4 … seconds, 60 at most; after
that one request asks before the others follow.

Locks: ``_mutex`` is a leaf. Nothing is called under it, so callers may hold their own locks
(lanes → limiter); subscribers are called after it is released.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType

from solution.broker_count import BrokerCount, RateHeaders
from solution.clock import Clock, Deadline, SystemClock

MAX_PAUSE = 60.0
#: A request of a process that died is taken to have been answered this long after it was sent.
UNANSWERED = 10.0
_FLOOR = 0.0005  # no timed wait is shorter, so rounding can never make one spin
_STOP_POLL = 0.1  # how often a waiter looks at a stop event, which cannot wake it


class Priority(IntEnum):
    """Who goes first. Entries and polls cannot reach the reserve."""

    CANCEL = 0
    LOOKUP = 1
    EXIT = 2
    ENTRY = 3
    POLL = 4


_FIRST_WITHOUT_RESERVE = int(Priority.ENTRY)


@dataclass(frozen=True, slots=True)
class RateView:
    """The budget at one moment, for status and metrics."""

    limit: int  #: per window; 0 = unlimited
    used: int  #: slots that count now, those under way included
    in_flight: int
    left_for_entries: int
    waiting: Mapping[Priority, int]
    throttled: int  #: answers with 429 since the start
    paused_for: float  #: seconds until a 429's pause ends
    shared: bool  #: the broker counted more than we sent, within the last two windows


class Slot:
    """The right to send one request. End it with :meth:`done` or :meth:`cancel`; the first counts.

    As a context manager it ends with ``done()``, also after an exception: what failed may have
    been sent.
    """

    __slots__ = ("_limiter", "_open", "done_before", "expired_before", "number", "taken")

    def __init__(
        self,
        limiter: "RateLimiter",
        number: int,
        done_before: int,
        expired_before: int,
        taken: int = 0,
    ) -> None:
        self._limiter = limiter
        self._open = True
        self.number = number
        self.done_before = done_before
        self.expired_before = expired_before
        self.taken = taken

    def done(self) -> None:
        """The answer came, or its deadline passed: free one window from now."""
        self._limiter._end(self, used=True)

    def cancel(self) -> None:
        """Nothing was sent: free at once."""
        self._limiter._end(self, used=False)

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done()


class _FreeSlot(Slot):
    """What an unlimited limiter hands out: nothing to give back."""

    __slots__ = ()

    def done(self) -> None:
        """Nothing to count."""

    def cancel(self) -> None:
        """Nothing to give back."""


class _Waiter:
    """One blocked acquire()."""

    __slots__ = ("event", "slot")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.slot: Slot | None = None


class RateLimiter:
    """Hands out slots; all methods may be called from any thread.

    Args:
        limit: requests per window; 0 = unlimited (a 429 still pauses).
        ceiling: the broker's headers raise the limit no further; 0 = as far as they say.
        window: seconds.
        reserve: requests out of reach of entries and polls; at most a twentieth of the limit.
        clock: where time comes from.
        on_change: the first subscriber, see :meth:`subscribe`.
    """

    def __init__(
        self,
        limit: int = 200,
        *,
        ceiling: int = 0,
        window: float = 60.0,
        reserve: int = 10,
        clock: Clock | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        if limit < 0 or window <= 0 or reserve < 0 or ceiling < 0:
            raise ValueError(
                "limit, ceiling and reserve must not be negative, window must be positive"
            )
        self._clock: Clock = clock or SystemClock()
        self._now = self._clock.monotonic
        self._window = window
        self._wanted_reserve = reserve
        self._subscribers = [on_change] if on_change else []
        self._mutex = threading.Lock()
        self._ceiling = ceiling
        self._limit = limit = min(limit or ceiling, ceiling) if ceiling else limit
        self._reserve = min(reserve, limit // 20)
        # Slots ever taken (less those cancelled) >= slots ended >= slots that left the window.
        self._acquired = 0
        self._done = 0
        self._expired = 0
        self._number = 0
        self._cooling: deque[float] = deque()  # when each ended slot leaves the window, sorted
        self._flying: dict[int, Slot] = {}
        self._lines: tuple[deque[_Waiter], ...] = tuple(deque() for _ in Priority)
        self._waiting = 0
        self._broker = BrokerCount(window, self._reserve)
        self._blocked_until = 0.0
        self._strikes = 0
        self._throttled = 0
        self._free = _FreeSlot(self, 0, 0, 0)

    # Taking

    def try_acquire(self, priority: Priority) -> Slot | None:
        """A slot, or None when none is free for this priority or somebody waits for it before.

        Never blocks. A refusal leaves no claim: only acquire() stands in line.
        """
        if not self._limit and not self._blocked_until:
            return self._free
        with self._mutex:
            now = self._refresh()
            if self._waiting:
                # Who then still waits at this priority or above left nothing for this one.
                self._serve(now)
            return self._take() if self._may(priority, now) else None

    def acquire(
        self, priority: Priority, timeout: float, stop: threading.Event | None = None
    ) -> Slot | None:
        """Wait for a slot: first come first served, higher priorities first.

        Args:
            timeout: seconds; 0 = try once.
            stop: ends the wait within 0.1 s when set.

        Returns:
            None when the time is over or `stop` is set.
        """
        slot = self.try_acquire(priority)
        if slot is not None or timeout <= 0:
            return slot
        deadline = Deadline(timeout, self._clock)
        waiter = _Waiter()
        line = self._lines[priority]
        with self._mutex:
            line.append(waiter)
            self._waiting += 1
        while True:
            with self._mutex:
                now = self._refresh()
                self._serve(now)
                if waiter.slot is not None:
                    return waiter.slot
                left = deadline.left()
                if left <= 0 or (stop is not None and stop.is_set()):
                    line.remove(waiter)
                    self._waiting -= 1
                    # Everybody behind has moved up and must count again.
                    self._wake_waiters()
                    break
                ahead = self._ahead(priority) - len(line) + line.index(waiter)
                pause = max(_FLOOR, min(left, self._wait_for(priority, ahead, now)))
                waiter.event.clear()
            waiter.event.wait(pause if stop is None else min(pause, _STOP_POLL))
        self._announce()
        return None

    def next_free(self, priority: Priority) -> float:
        """Seconds until a slot of this priority may be free, 0.0 = now; never infinite.

        A lower bound: it may turn out later. Subscribers hear when it turns out earlier. It is
        never smaller for a lower priority than for a higher one.
        """
        if not self._limit and not self._blocked_until:
            return 0.0
        with self._mutex:
            now = self._refresh()
            return self._wait_for(priority, self._ahead(priority), now)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, outside the lock, when a slot may be free before next_free()."""
        with self._mutex:
            self._subscribers.append(callback)

    # Corrections

    def observe(self, headers: Mapping[str, str], status: int, slot: Slot | None = None) -> None:
        """Learn from an answer. Call it before ``slot.done()``.

        Args:
            headers: of the answer; any mapping, names in any case. Nonsense in them is ignored.
            status: the HTTP status.
            slot: the request's. Without it the oldest request under way stands in, which only
                makes another client's spending visible later.
        """
        if status != 429 and not self._limit:
            return
        said = RateHeaders.read(headers)
        with self._mutex:
            now = self._refresh()
            if status == 429:
                self._throttle(said, now)
                return
            self._strikes = 0
            more = self._adopt_limit(said.limit)
            more |= self._compare(said, slot, now)
            if more:
                self._serve(now)
                self._wake_waiters()
        if more:
            self._announce()

    def restore(self, sent_ms: Sequence[int], now_ms: int) -> None:
        """Count what an earlier process sent.

        Args:
            sent_ms: when each request was sent, epoch milliseconds, in any order.
            now_ms: the same clock, now.
        """
        with self._mutex:
            now = self._refresh()
            ages = [max(0.0, (now_ms - sent) / 1000) for sent in sent_ms]
            # When each was answered is unknown: late, but not after now.
            free_at = [now - max(0.0, age - UNANSWERED) + self._window for age in ages]
            live = [at for at in free_at if at > now]
            if self._limit:
                self._cooling = deque(sorted([*self._cooling, *live]))
                self._acquired += len(live)
                self._done += len(live)

    def block_until(self, seconds: float) -> None:
        """Pause everything for `seconds` from now (a Retry-After), 60 at most."""
        with self._mutex:
            self._pause(seconds, self._refresh())

    def view(self) -> RateView:
        """The budget now."""
        with self._mutex:
            now = self._refresh()
            used = self._acquired - self._expired
            left = self._limit - self._reserve - used
            if self._broker.active:
                left = min(left, self._broker.low - self._acquired)
            return RateView(
                limit=self._limit,
                used=used,
                in_flight=self._acquired - self._done,
                left_for_entries=max(0, left),
                waiting={p: len(self._lines[p]) for p in Priority},
                throttled=self._throttled,
                paused_for=max(0.0, self._blocked_until - now),
                shared=self._broker.active,
            )

    # Below: everything requires holding ``_mutex``, except _announce and _end.

    def _refresh(self) -> float:
        """Let go of what has left the window; returns now."""
        now = self._now()
        cooling = self._cooling
        while cooling and cooling[0] <= now:
            cooling.popleft()
            self._expired += 1
        if self._broker.active and now >= self._broker.due:
            self._broker.let_one_ask(now, self._acquired)
        if self._blocked_until and now >= self._blocked_until:
            self._blocked_until = 0.0
        return now

    def _may(self, priority: int, now: float) -> bool:
        return self._wait_for(priority, 0, now) <= 0.0

    def _wait_for(self, priority: int, ahead: int, now: float) -> float:
        """Seconds until a slot may be free for a request with `ahead` others before it."""
        wait = self._blocked_until - now if self._blocked_until else 0.0
        if not self._limit:
            return wait
        low = priority >= _FIRST_WITHOUT_RESERVE
        room = self._limit - self._reserve if low else self._limit
        must_free = self._acquired - self._expired + ahead - room
        if must_free >= 0:
            cooling = self._cooling
            # Those under way leave the window no sooner than a window from now.
            frees = cooling[must_free] - now if must_free < len(cooling) else self._window
            wait = max(wait, frees)
        broker = self._broker
        if broker.active and self._acquired + ahead >= (broker.low if low else broker.high):
            wait = max(wait, broker.due - now)
        return wait

    def _take(self) -> Slot:
        if not self._limit:
            return self._free
        self._acquired += 1
        self._number += 1
        slot = Slot(self, self._number, self._done, self._expired, self._acquired)
        self._flying[self._number] = slot
        return slot

    def _ahead(self, priority: int) -> int:
        """How many stand in line at this priority or above."""
        return sum(len(self._lines[p]) for p in range(priority + 1)) if self._waiting else 0

    def _serve(self, now: float) -> None:
        """Hand slots to those in line. A line that gets none keeps all below it from any."""
        for priority, line in enumerate(self._lines):
            while line and self._may(priority, now):
                waiter = line.popleft()
                self._waiting -= 1
                waiter.slot = self._take()
                waiter.event.set()
            if line:
                return

    def _wake_waiters(self) -> None:
        for line in self._lines:
            for waiter in line:
                waiter.event.set()

    def _end(self, slot: Slot, *, used: bool) -> None:
        with self._mutex:
            if not slot._open:
                return
            slot._open = False
            del self._flying[slot.number]
            if used:
                self._done += 1
                self._cooling.append(self._now() + self._window)
                return
            self._acquired -= 1
            self._serve(self._refresh())
            self._wake_waiters()
        self._announce()

    def _announce(self) -> None:
        """Tell the subscribers. Requires *not* holding ``_mutex``."""
        for callback in tuple(self._subscribers):
            callback()

    def _adopt_limit(self, limit: int | None) -> bool:
        """Whether there is more to take than before."""
        if limit and self._ceiling:
            limit = min(limit, self._ceiling)
        if not limit or limit == self._limit:
            return False
        more = limit > self._limit
        self._limit = limit
        self._reserve = self._broker.reserve = min(self._wanted_reserve, limit // 20)
        return more

    def _compare(self, said: RateHeaders, slot: Slot | None, now: float) -> bool:
        """Set the broker's count beside ours. Whether there is more to take than before."""
        asked = slot or next(iter(self._flying.values()), None)
        if asked is None:
            return False
        if said.remaining is None:
            return self._broker.lift(asked.number)
        ours_at_most = self._acquired - asked.expired_before
        evidence = said.remaining < self._limit - ours_at_most
        reset_in = said.reset_in(self._clock.epoch_ms() / 1000) if evidence else None
        return self._broker.compare(
            asked.number,
            evidence=evidence,
            ceiling=said.remaining + asked.done_before + 1,
            urgent_ceiling=said.remaining + asked.taken,
            now=now,
            reset_in=self._window if reset_in is None else min(self._window, max(1.0, reset_in)),
        )

    def _throttle(self, said: RateHeaders, now: float) -> None:
        """A 429."""
        self._throttled += 1
        seconds: float | None = said.retry_after
        if seconds is None:
            seconds = said.reset_in(self._clock.epoch_ms() / 1000)
        if seconds is None:
            # One storm of refusals is one strike.
            if now < self._blocked_until:
                return
            seconds = 2.0**self._strikes
            self._strikes = min(self._strikes + 1, 6)
        self._pause(max(seconds, 1.0), now)

    def _pause(self, seconds: float, now: float) -> None:
        until = now + min(seconds, MAX_PAUSE)
        if seconds > 0 and until > self._blocked_until:
            self._blocked_until = until
            if self._limit:
                self._broker.close(until, self._acquired, self._number)
