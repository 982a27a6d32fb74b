"""What the broker says about the request budget, set beside our own count. No locks, no I/O.

``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` come with the broker's answers (ALPACA.md
section 1; how its window moves is not documented). *Remaining* never gives us more than our own
count does: a fixed window that has just begun says 199 while our requests of the minute before
still stand in a sliding one. It takes away when it proves that somebody else spends.

- **The race.** Answers overtake each other; requests under way may or may not be counted in the
  number that we read; old ones may have left our count while the answer travelled. So every
  request remembers, from the moment its slot was taken, how many slots had ended (``done_before``)
  and how many had left the window (``expired_before``). Then ``acquired - expired_before`` is the
  most of ours that the broker can have counted, and ``acquired - done_before - 1`` the most that it
  may not have counted yet. An answer to an older request than the last one used is ignored.
- **The evidence.** What ``limit - remaining`` has beyond the first number, somebody else spent. A
  429 is evidence, too. Without evidence in the last two windows our own count is the stricter of
  the two and the only one that counts.
- **The restriction.** From each answer until its Reset (one window at most) we take no more than
  ``remaining`` less the second number, and entries and polls leave the reserve in that, too. It is
  one integer, a ceiling on the slots ever taken; each newer answer replaces it. Two windows and not
  one answer long, because a hundred of our own requests may leave the window together, and without
  a ceiling they would all be spent again before the first answer tells what the other client took.
- **The urgent.** Cancels, look-ups and exits take the kinder reading, that the broker had counted
  all that was under way: with eight parallel answers the strict one is seven too low, and nothing
  refreshes it while nobody may ask. At worst that costs a 429, which changes nothing at the broker;
  the strict reading has kept an exit waiting for a whole window beside an idle budget.
- **No deadlock.** At Reset the broker forgets everything (fixed window) or perhaps one request
  (sliding), so one entry asks and its answer decides for the rest; cancels, look-ups and exits may
  use the reserve. Before Reset one entry or poll may ask every twelfth of a window, while half of
  the reserve is left, because a sliding window gives back without waiting for Reset. A broker that
  sends no such headers lifts the restriction with its first answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_NAMES = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after", "date")


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """The fields of one answer that concern the budget; None = absent or nonsense."""

    limit: int | None
    remaining: int | None
    reset: int | None  #: epoch seconds
    retry_after: int | None  #: seconds; the date form counts as absent
    date: str | None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "RateHeaders":
        """From any mapping, names in any case."""
        found: Mapping[str, str] = headers
        if _NAMES[1] not in headers:
            found = {low: value for name, value in headers.items() if (low := name.lower())}
        limit, remaining, reset, retry_after = (_whole(found.get(name)) for name in _NAMES[:4])
        return cls(limit, remaining, reset, retry_after, found.get("date"))

    def reset_in(self, epoch: float) -> float | None:
        """Seconds until Reset, negative when it has passed.

        Args:
            epoch: our wall clock, used only when the answer carries no usable Date: the broker's
                own clock is the better one to subtract from its Reset.
        """
        if self.reset is None:
            return None
        sent = _http_date(self.date)
        return self.reset - (epoch if sent is None else sent)


class BrokerCount:
    """The restriction that follows from the broker's count. Guarded by its owner's lock.

    "Taken" below is the number of slots ever taken, less those given back unused.

    Args:
        window: seconds.
        reserve: what entries and polls leave.
    """

    __slots__ = (
        "_newest",
        "_probe_every",
        "_reset_at",
        "_shared_until",
        "_window",
        "active",
        "due",
        "high",
        "low",
        "reserve",
    )

    def __init__(self, window: float, reserve: int) -> None:
        self._window = window
        self._probe_every = window / 12
        self._shared_until = 0.0
        self._newest = 0
        self._reset_at = 0.0
        self.reserve = reserve
        self.active = False
        self.high = 0  #: what `taken` must stay below for cancels, look-ups and exits
        self.low = 0  #: the same for entries and polls; never above `high`
        self.due = 0.0  #: when :meth:`let_one_ask` is to be called, monotonic

    def compare(
        self,
        number: int,
        *,
        evidence: bool,
        ceiling: int,
        urgent_ceiling: int,
        now: float,
        reset_in: float,
    ) -> bool:
        """Use one answer.

        Args:
            number: of the request that was answered, in the order of the slots.
            evidence: whether somebody else spends.
            ceiling: what `taken` must stay below according to this answer.
            urgent_ceiling: the same if all that was under way had been counted already.
            now: monotonic.
            reset_in: seconds until the broker's Reset.

        Returns:
            Whether there is more to take, or sooner, than before.
        """
        if number < self._newest:
            return False
        self._newest = number
        was_active, old = self.active, (self.high, self.low, -self.due)
        if evidence:
            self._shared_until = now + 2 * self._window
        self.active = now < self._shared_until
        if not self.active:
            return was_active
        self.high = max(ceiling, urgent_ceiling)
        self.low = ceiling - self.reserve
        self._reset_at = now + reset_in
        # A stream of answers must not put the next question off for ever.
        due = self.due if was_active else now + self._probe_every
        self.due = min(due, self._reset_at)
        new = (self.high, self.low, -self.due)
        return was_active and any(now_is > was for now_is, was in zip(new, old, strict=True))

    def lift(self, number: int) -> bool:
        """An answer without a count. Whether there is more to take than before."""
        was_active = self.active
        self.active = was_active and number < self._newest
        return was_active and not self.active

    def let_one_ask(self, now: float, taken: int) -> None:
        """Open the restriction by one request; called when ``due`` has come."""
        self.active = now < self._shared_until
        if now >= self._reset_at:
            self.high = max(self.high, taken + self.reserve + 1)
            self.low = taken + 1
            self.due = now + self._probe_every
            return
        if self.high - taken > self.reserve // 2:
            self.low = max(self.low, taken + 1)
        self.due = min(now + self._probe_every, self._reset_at)

    def close(self, until: float, taken: int, number: int) -> None:
        """Nothing more until then, and no answer to a request up to `number` lifts that."""
        self.active = True
        self.high = self.low = taken
        self._reset_at = self.due = until
        self._shared_until = until + 2 * self._window
        self._newest = number + 1


def _whole(text: str | None) -> int | None:
    """A number from 0 up, or None for anything else."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 16 else None


def _http_date(text: str | None) -> float | None:
    """Epoch seconds of a Date header."""
    try:
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
