"""One signal into the stream, and what becomes of it out of ``executions``.

A signal that leaves here always carries a ``signal_id``, so an XADD whose answer was lost may be
sent again: the service recognises the second entry.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import AuthorizationError

from solution.clock import Clock, Deadline

RETRY_FOR = 5.0
"""Seconds an XADD is repeated: well below the age at which a signal no longer trades."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5
BLOCK_MS = 500

_PASSING = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError)
_FINAL = (redis.AuthenticationError, AuthorizationError)

Event = Mapping[str, str]


def add(
    client: "redis.Redis",
    stream: str,
    fields: Mapping[str, str],
    *,
    retry_for: float | None = None,
    clock: Clock | None = None,
) -> str:
    """XADD until Redis confirms it; the entry id.

    Args:
        fields: a valid signal with its ``signal_id``, without which nothing may be sent twice.
        retry_for: seconds; RETRY_FOR by default.

    Raises:
        redis.RedisError: refused, or no confirmation in time (then it may be in the stream).
        ValueError: no signal_id.
    """
    if not fields.get("signal_id"):
        raise ValueError("a signal without signal_id must not be sent twice")
    deadline = Deadline(RETRY_FOR if retry_for is None else retry_for, clock)
    pause, never = FIRST_PAUSE, threading.Event()
    while True:
        try:
            entry_id: Any = client.xadd(stream, dict(fields))  # type: ignore[arg-type]  # invariant
        except _FINAL:
            raise
        except _PASSING:
            if deadline.left() <= pause:
                raise
            never.wait(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        else:
            return str(entry_id.decode())


def newest(client: "redis.Redis", stream: str) -> str:
    """The id of the stream's last entry; what comes later is read from here."""
    found: Any = client.xrevrange(stream, count=1)
    return str(found[0][0].decode()) if found else "0-0"


def follow(
    client: "redis.Redis",
    executions: str,
    entry: tuple[str, str],
    *,
    after: str,
    deadline: Deadline,
) -> Iterator[Event]:
    """What happens to one entry, each event once, until its final one or the deadline.

    Args:
        entry: stream and entry id of the signal.
        after: id in ``executions`` from before the signal was published.
    """
    seen: set[str] = set()
    while not deadline.passed():
        block = max(1, min(BLOCK_MS, int(deadline.left() * 1000)))
        reply: Any = client.xread({executions: after}, count=500, block=block)
        for _stream, events in reply or ():
            for event_id, raw in events:
                after = event_id.decode()
                event = {name.decode(): text.decode() for name, text in raw.items()}
                mine = (event.get("stream", ""), event.get("entry_id", "")) == entry
                # At least once: an event that comes again has the same event_id.
                if not mine or event.get("event_id", "") in seen:
                    continue
                seen.add(event.get("event_id", ""))
                yield event
                if event.get("final") == "1":
                    return


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the events seen so far amount to."""

    word: str
    """``filled``, ``accepted``, ``dry_run``, ``refused``, ``dead_letter``, ``unknown``, ``none``"""
    final: bool

    @property
    def good(self) -> bool:
        """Whether the broker took the order, or a dry run would have sent it."""
        return self.word in {"filled", "accepted", "dry_run"}


_BAD = {
    "refused": "refused",
    "rejected": "refused",
    "dead_letter": "dead_letter",
    "unknown": "unknown",
    "expired_unconfirmed": "unknown",
}


def outcome_of(events: Sequence[Event]) -> Outcome:
    """Judge by the last event: filled, accepted by the broker, or why not."""
    if not events:
        return Outcome("none", final=False)
    last = events[-1]
    name, final = last.get("event", ""), last.get("final") == "1"
    if name in _BAD:
        return Outcome(_BAD[name], final)
    if name == "dry_run":
        return Outcome("dry_run", final)
    return Outcome("filled" if name == "fill" and final else "accepted", final)
