"""A SignalListener to be stepped by hand, between a stream group in memory and lists."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from solution.domain.records import EntryRef
from solution.errors import SignalError
from solution.feeds import signal_listener as module
from solution.feeds.reading import Reading
from solution.feeds.signal_listener import Arrival, ListenerPorts, ListenerRules, SignalListener
from solution.feeds.stream_group import Entry, Tail
from solution.ledger.sqlite import SqliteLedger
from solution.trading.turnstile import Turnstile
from tests.helpers.clocks import ManualClock
from tests.helpers.trading import ASSETS

ME, DEAD = "me", "dead"
BUY = ((b"ticker", b"NVDA"), (b"direction", b"b"))


class Client:
    """A connection that can only be closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Group:
    """One stream's group: what is new, what is pending for whom, and what goes wrong next."""

    consumer = ME

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.new: list[Entry] = []
        self.pending: dict[str, list[str]] = {}
        self.content: dict[str, Any] = {}
        self.errors: list[Exception] = []
        self.counts: list[int] = []
        self.forgotten: list[str] = []
        self.forget_error: Exception | None = None
        self.claims = 0
        self.ensured = 0
        self.created: list[str] = []
        self.active: tuple[str, ...] = ("nvda",)
        self.broken: dict[str, str] = {}
        self.breaks: dict[str, str] = {}
        self.tail: Tail | None = None
        self.looks = 0
        self.look_error: Exception | None = None
        self.rewound: list[str] = []
        self.left: Any = (10**15, 0)
        self.trim_error: Exception | None = None
        self.trims = 0
        self.trimmed = 3
        self.ahead_ms = 0

    def add(self, entry_id: str, fields: Any = BUY, owner: str = "") -> str:
        """An entry; new, or pending for somebody."""
        self.content[entry_id] = fields
        if owner:
            self.pending.setdefault(owner, []).append(entry_id)
        else:
            self.new.append((entry_id, fields))
        return entry_id

    def ensure(self, streams: Sequence[str] | None = None) -> list[str]:
        self.ensured += 1
        self.broken = dict(self.breaks)
        self.active = () if self.broken else ("nvda",)
        created, self.created = self.created, []
        return created

    def tails(self) -> dict[str, Tail]:
        self.looks += 1
        if self.look_error is not None:
            raise self.look_error
        return {} if self.tail is None else {"nvda": self.tail}

    def rewind(self, stream: str) -> None:
        self.rewound.append(stream)

    def now_ms(self) -> int:
        return self._clock.epoch_ms() + self.ahead_ms

    def read_new(self, count: int) -> Iterator[tuple[str, Entry]]:
        if self.errors:
            raise self.errors.pop(0)
        self.counts.append(count)
        taken, self.new = self.new[:count], self.new[count:]
        self.pending.setdefault(ME, []).extend(entry_id for entry_id, _ in taken)
        for entry in taken:
            yield "nvda", entry

    def pending_counts(self, stream: str) -> dict[str, int]:
        return {name: len(ids) for name, ids in self.pending.items() if ids}

    def pending_ids(self, stream: str, consumer: str) -> Iterator[str]:
        yield from self.pending.get(consumer, [])

    def fetch(self, stream: str, ids: Sequence[str]) -> list[Entry]:
        return [(entry_id, self.content[entry_id]) for entry_id in ids]

    def claim(self, stream: str, ids: Sequence[str]) -> list[Entry]:
        self.claims += 1
        found = self.fetch(stream, ids)
        present = [entry_id for entry_id, fields in found if fields is not None]
        for owned in self.pending.values():
            owned[:] = [entry_id for entry_id in owned if entry_id not in present]
        self.pending.setdefault(ME, []).extend(present)
        return found

    def newest_up_to(self, stream: str, entry: Any) -> Any:
        if isinstance(self.left, Exception):
            raise self.left
        return self.left

    def forget_consumer(self, stream: str, consumer: str) -> None:
        assert not self.pending.get(consumer), "its pending entries would be dropped"
        if self.forget_error is not None:
            raise self.forget_error
        self.forgotten.append(consumer)
        self.pending.pop(consumer, None)

    def trim(self, stream: str, before_ms: int) -> int:
        self.trims += 1
        if self.trim_error is not None:
            raise self.trim_error
        return self.trimmed


class Fixture:
    """A listener between the group and lists that collect what it hands on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        self.group = Group(self.clock)
        self.room = 1000
        self.waited = self.freed = 0
        self.takes = True
        self.arrivals: list[Arrival] = []
        self.letters: list[tuple[str, str]] = []
        self.acknowledged: list[str] = []
        self.dead_before: set[str] = set()
        self.rows: set[str] = set()
        self.left: list[str] = []
        self.known: set[str] = set()
        self.comparisons: list[Any] = []
        self.is_compared = True
        self.clients: list[Client] = []
        self.ledger = SqliteLedger("sqlite://")
        self.turnstile = Turnstile()
        monkeypatch.setattr(module, "StreamGroup", lambda *_: self.group)
        # Whoever waits for the turn of a suspect would do so for real seconds.
        monkeypatch.setattr(Turnstile.enter, "__kwdefaults__", {"alone": False, "patience": 0.0})
        self.build()

    def build(self) -> None:
        """The listener, on what is there now."""
        ports = ListenerPorts(
            room=lambda: self.room,
            wait_room=self._wait_room,
            deliver=self._deliver,
            dead_letter=self._dead_letter,
            acknowledge=lambda ref: self.acknowledged.append(ref.entry_id),
            has_dead_letter=lambda ref, _fields: ref.entry_id in self.dead_before,
            leave_to_row=self._leave_to_row,
            is_known=lambda identity: identity in self.known,
            find_asset=ASSETS.get,
            is_dead=lambda consumer: consumer.startswith(DEAD),
            reading=Reading(self.ledger, self.turnstile),
            compare=self._compare,
        )
        rules = ListenerRules(streams=("nvda",), group="g", consumer=ME)
        self.listener = SignalListener(self._connect, rules, ports, self.clock)

    def now_id(self, ago: float = 0.0, sequence: int = 0) -> str:
        """An entry id made ``ago`` seconds ago."""
        return f"{self.clock.epoch_ms() - int(ago * 1000)}-{sequence}"

    def ids(self) -> list[str]:
        """Entry ids of the signals delivered so far."""
        return [arrival.ref.entry_id for arrival in self.arrivals]

    def _compare(self, lost: Any) -> Callable[[], bool]:
        self.comparisons.append(lost)
        return lambda: self.is_compared

    def _connect(self) -> Any:
        self.clients.append(Client())
        return self.clients[-1]

    def _wait_room(self, timeout: float) -> int:
        self.waited += 1
        self.clock.advance(timeout)
        self.room += self.freed
        return self.room

    def _deliver(self, arrival: Arrival) -> bool:
        if self.takes:
            self.arrivals.append(arrival)
        return self.takes

    def _leave_to_row(self, ref: EntryRef, _fields: Any) -> bool:
        found = ref.entry_id in self.rows
        self.left += [ref.entry_id] if found else []
        return found

    def _dead_letter(self, ref: EntryRef, _fields: Any, error: SignalError) -> None:
        self.letters.append((ref.entry_id, str(error.reason)))
