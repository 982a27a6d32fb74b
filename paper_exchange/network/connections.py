"""Who is connected by a websocket, as the page shows it."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

#: What is kept of a User-Agent; the rest helps nobody.
_LONGEST_AGENT = 200
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a client when it connects.

    Attributes:
        number: unique among the connections of a process.
        since_ns: when, in nanoseconds since the epoch.
        agent: the User-Agent it named; whatever the client chose to send.
    """

    number: int
    since_ns: int
    agent: str

    @classmethod
    def of(cls, scope: Scope, now_ns: int) -> "Arrival":
        """Read from the handshake."""
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
        return cls(next(_numbers), now_ns, agent.decode("latin-1")[:_LONGEST_AGENT])


@dataclass(frozen=True, slots=True)
class Connection:
    """One connected client.

    Attributes:
        endpoint: what it is connected to, for example ``trade_updates``.
        account_id: of the account it authenticated as, None before that.
        subjects: what it listens to.
        waiting: messages that it has not taken yet.
    """

    arrival: Arrival
    endpoint: str
    account_id: str | None
    subjects: tuple[str, ...]
    waiting: int


class Hub(Protocol):
    """Something that clients connect to."""

    def connected(self) -> Iterable[Connection]:
        """Those connected now, oldest first."""
        ...
