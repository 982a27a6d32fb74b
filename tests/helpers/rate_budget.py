"""Taking from a request budget, and what a broker says of it."""

from solution.rate_limiter import Priority, RateLimiter, Slot

CANCEL, LOOKUP, EXIT, ENTRY, POLL = Priority


def take(limiter: RateLimiter, priority: Priority, number: int) -> list[Slot]:
    """Take as many as there are, at most `number`."""
    slots = (limiter.try_acquire(priority) for _ in range(number))
    return [slot for slot in slots if slot is not None]


def spend(limiter: RateLimiter, priority: Priority, number: int) -> int:
    """Take and end at once; returns how many there were."""
    slots = take(limiter, priority, number)
    for slot in slots:
        slot.done()
    return len(slots)


def headers(limit: int, remaining: int, reset: float) -> dict[str, str]:
    return {
        "X-Ratelimit-Limit": str(limit),
        "X-Ratelimit-Remaining": str(remaining),
        "X-Ratelimit-Reset": str(int(reset)),
    }
