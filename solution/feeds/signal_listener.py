"""Reads signals from Redis into the lanes, and loses none.

At-least-once: an entry stays pending in its group until its outcome is durable. What this process
has in hand is remembered; anything pending beyond that (a reply lost on the way, a dead peer's
work) is found by a sweep and read again. New entries are read only as far as the queue has room.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import redis

from solution.clock import Clock
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef
from solution.domain.signal import Signal, parse
from solution.errors import LedgerError, SignalError
from solution.feeds.stream_group import Entry, StreamGroup, entry_key
from solution.runtime.service import Fatal, Service

log = logging.getLogger(__name__)

READ_MOST = 256
SWEEP_EVERY = 1.0
ROOM_WAIT = 0.2
TRIM_EVERY = 3600.0
BACKOFF_FIRST = 0.05
BACKOFF_MOST = 0.5
FUTURE_MS = 5_000
DAY_MS = 86_400_000

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A valid signal as it was read; ``fresh`` is False for anything delivered before."""

    signal: Signal
    asset: AssetView
    ref: EntryRef
    fields: Fields
    redelivered: bool
    received_at: float
    received_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRules:
    """Settings. Ages in seconds; ``retention_days`` 0 keeps entries for ever."""

    streams: tuple[str, ...]
    group: str
    consumer: str
    max_signal_age: float = 60.0
    retention_days: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerPorts:
    """What the listener hands work to and asks of others.

    Args:
        room: how many more signals the queue takes; ``wait_room`` blocks up to its argument.
        deliver: takes a valid signal; never blocks; False when there is no room for it.
        dead_letter: takes an entry that is no valid signal: ref, fields, error.
        acknowledge: an entry whose end is on record already.
        has_dead_letter: whether the entry was dead-lettered before.
        has_row: whether the ledger has a row made from the entry; asked when its content is gone.
        is_known: whether the ledger has a row for the identity.
        find_asset: by any spelling.
        is_dead: whether a consumer of the group can no longer be alive.
    """

    room: Callable[[], int]
    wait_room: Callable[[float], int]
    deliver: Callable[[Arrival], bool]
    dead_letter: Callable[[EntryRef, Fields, SignalError], None]
    acknowledge: Callable[[EntryRef], None]
    has_dead_letter: Callable[[EntryRef], bool]
    has_row: Callable[[EntryRef], bool]
    is_known: Callable[[str], bool]
    find_asset: Callable[[str], AssetView | None]
    is_dead: Callable[[str], bool]


class SignalListener(Service):
    """The thread between Redis and the lanes. Stops within one BLOCK (0.5 s).

    Args:
        connect: makes a client whose socket timeout lies above the BLOCK time; called again
            after every connection error.
    """

    def __init__(
        self,
        connect: Callable[[], "redis.Redis"],
        rules: ListenerRules,
        ports: ListenerPorts,
        clock: Clock,
    ) -> None:
        super().__init__("signal-listener")
        self._connect = connect
        self._rules = rules
        self._ports = ports
        self._clock = clock
        self._client: redis.Redis | None = None
        self._group: StreamGroup | None = None
        self._held_mutex = threading.Lock()
        self._held: dict[str, set[str]] = {s: set() for s in rules.streams}
        self._offset_ms = 0
        self._behind = True
        self._exact = True
        self._sweep_at = 0.0
        self._trim_at = 0.0
        self._backoff = BACKOFF_FIRST
        self.recovered = threading.Event()
        """Set once everything pending at start is in its lane and new entries are being read."""
        self.connected = False
        self.trouble = ""
        self.read = 0
        self.reconnects = 0

    # --- asked by others ---------------------------------------------------------------------

    def redis_ms(self) -> int:
        """Redis's clock by our own plus the measured offset; entry ids are made by that clock."""
        return self._clock.epoch_ms() + self._offset_ms

    def released(self, refs: Iterable[EntryRef]) -> None:
        """These entries are acknowledged in Redis."""
        with self._held_mutex:
            for ref in refs:
                held = self._held.get(ref.stream)
                if held is not None:
                    held.discard(ref.entry_id)

    def holding(self) -> int:
        """Entries in hand: read here and not acknowledged yet."""
        with self._held_mutex:
            return sum(len(h) for h in self._held.values())

    # --- the loop ----------------------------------------------------------------------------

    def step(self) -> float:
        try:
            group = self._group or self._open()
            now = self._clock.monotonic()
            if now >= self._sweep_at or self._behind:
                self._behind = not self._sweep(group)
                if not self._behind:
                    self.recovered.set()
                self._sweep_at = self._clock.monotonic() + SWEEP_EVERY
            if self._rules.retention_days and now >= self._trim_at:
                self._trim(group)
            if not self._behind:
                self._read(group)
            else:
                # What is pending comes before anything new, so that asset by asset the order of
                # the stream holds.
                self._ports.wait_room(ROOM_WAIT)
        except redis.ResponseError as e:
            return self._response_error(e)
        except redis.RedisError as e:
            return self._lost(e)
        self._backoff = BACKOFF_FIRST
        return 0.0

    def on_stop(self) -> None:
        self._close()

    def _open(self) -> StreamGroup:
        self._client = self._connect()
        group = StreamGroup(
            self._client, self._rules.streams, self._rules.group, self._rules.consumer
        )
        # The clock before the groups: a recreated group's entries are judged by age at once.
        self._offset_ms = group.now_ms() - self._clock.epoch_ms()
        for stream in group.ensure():
            log.warning("group_created", extra={"stream": stream, "group": self._rules.group})
        self._group, self.connected, self.trouble = group, True, ""
        self._sweep_at, self._exact = 0.0, True  # the reply that was lost may have held entries
        log.info("listening", extra={"streams": ",".join(self._rules.streams)})
        return group

    def _close(self) -> None:
        client, self._client, self._group = self._client, None, None
        self.connected = False
        if client is not None:
            client.close()

    def _lost(self, error: Exception) -> float:
        if self.connected or not self.trouble:
            log.warning("redis_lost", extra={"detail": f"{type(error).__name__}: {error}"})
        self.trouble = f"{type(error).__name__}: {error}"
        self.reconnects += 1
        self._close()
        pause, self._backoff = self._backoff, min(self._backoff * 2, BACKOFF_MOST)
        return pause

    def _response_error(self, error: redis.ResponseError) -> float:
        if str(error).startswith("NOGROUP") and self._group is not None:
            # Data loss at Redis. Created at 0, so that nothing is skipped; what was handled
            # before is recognised by the ledger.
            log.error("group_lost", extra={"group": self._rules.group})
            self._group.ensure()
            self._sweep_at = 0.0
            return 0.0
        return self._lost(error)

    # --- reading -----------------------------------------------------------------------------

    def _read(self, group: StreamGroup) -> None:
        room = self._ports.room()
        if room <= 0:
            room = self._ports.wait_room(ROOM_WAIT)
            if room <= 0:
                return
        # COUNT holds per stream, so the room is shared out among them.
        count = max(1, min(READ_MOST, room // len(self._rules.streams)))
        for stream, entry in group.read_new(count):
            if not self._take(stream, entry, redelivered=False):
                # A later entry of the asset must not pass it: the sweep reads all of them again,
                # in order, before anything new.
                self._behind = True
                return

    def _sweep(self, group: StreamGroup) -> bool:
        """Find what is pending and in nobody's hands: ours first, then dead peers'.

        Returns:
            whether there was room for all of it.
        """
        self._offset_ms = group.now_ms() - self._clock.epoch_ms()
        complete = True
        for stream in self._rules.streams:
            counts = group.pending_counts(stream)
            mine = counts.pop(group.consumer, 0)
            # After a lost connection a count deceives: an acknowledgement whose reply was lost is
            # still held here and not pending there, and would hide an entry whose reply was lost.
            if mine > self._held_of(stream) or (mine and self._exact):
                complete &= self._reread(group, stream)
            dead = [consumer for consumer in counts if self._ports.is_dead(consumer)]
            if dead:
                complete &= self._take_over(group, stream, dead)
        self._exact = False
        return complete

    def _held_of(self, stream: str) -> int:
        with self._held_mutex:
            return len(self._held[stream])

    def _reread(self, group: StreamGroup, stream: str) -> bool:
        with self._held_mutex:
            held = set(self._held[stream])
        lost = [i for i in group.pending_ids(stream, group.consumer) if i not in held]
        # An acknowledgement on its way makes an entry look lost for a moment: reading it again
        # is harmless, its row says that it has ended.
        room = max(0, self._ports.room())
        for entry in group.fetch(stream, lost[:room]):
            log.warning("entry_read_again", extra={"stream": stream, "entry_id": entry[0]})
            if not self._take(stream, entry, redelivered=True):
                return False
        return len(lost) <= room

    def _take_over(self, group: StreamGroup, stream: str, consumers: list[str]) -> bool:
        """All dead peers' entries together: one that died while taking over left them mixed."""
        ids = [i for consumer in consumers for i in group.pending_ids(stream, consumer)]
        ids.sort(key=entry_key)
        room = max(0, self._ports.room())
        if ids[:room]:
            log.warning("entries_taken_over", extra={"stream": stream, "count": len(ids[:room])})
            for entry in group.claim(stream, ids[:room]):
                if not self._take(stream, entry, redelivered=True):
                    return False
        if len(ids) > room:
            return False
        for consumer in consumers:
            group.forget_consumer(stream, consumer)
        return True

    def _trim(self, group: StreamGroup) -> None:
        """Upkeep: a Redis that forbids or lacks it must not keep signals from being read."""
        self._trim_at = self._clock.monotonic() + TRIM_EVERY
        before = self.redis_ms() - self._rules.retention_days * DAY_MS
        for stream in self._rules.streams:
            try:
                trimmed = group.trim(stream, before)
            except redis.ResponseError as e:
                log.warning("stream_not_trimmed", extra={"stream": stream, "detail": str(e)})
                continue
            if trimmed:
                log.info("stream_trimmed", extra={"stream": stream, "entries": trimmed})

    # --- one entry ---------------------------------------------------------------------------

    def _take(self, stream: str, entry: Entry, *, redelivered: bool) -> bool:
        """One entry to where it belongs; False when there was no room for it."""
        entry_id, fields = entry
        ref = EntryRef(stream, entry_id)
        with self._held_mutex:
            if entry_id in self._held[stream]:
                return True
            self._held[stream].add(entry_id)
        self.read += 1
        handed_on = False
        try:
            handed_on = self._hand_on(ref, fields, redelivered=redelivered)
        except LedgerError as e:
            raise Fatal(str(e)) from e  # as in the workers: without a ledger nothing is decided
        finally:
            if not handed_on:
                self.released((ref,))  # in nobody's hands: the sweep must find it again
        return handed_on

    def _hand_on(self, ref: EntryRef, fields: Fields | None, *, redelivered: bool) -> bool:
        """To a lane, or to the dead letters; False when there is no room."""
        try:
            arrival = self._judge(ref, fields, redelivered=redelivered)
        except SignalError as e:
            lost = fields is None and self._ports.has_row(ref)
            if lost or (redelivered and self._ports.has_dead_letter(ref)):
                self._ports.acknowledge(ref)
            else:
                self._ports.dead_letter(ref, fields or (), e)
            return True
        except LedgerError:
            raise
        except Exception as e:  # a mistake of ours must cost this entry, not all that follow it
            log.exception("entry_crashed", extra={"stream": ref.stream, "entry_id": ref.entry_id})
            error = SignalError(Reason.INTERNAL_ERROR, f"{type(e).__name__} while reading it")
            self._ports.dead_letter(ref, fields or (), error)
            return True
        return self._ports.deliver(arrival)

    def _judge(self, ref: EntryRef, fields: Fields | None, *, redelivered: bool) -> Arrival:
        if fields is None:
            raise SignalError(
                Reason.PAYLOAD_LOST, f"entry {ref.entry_id} is no longer in stream {ref.stream}"
            )
        signal = parse(ref.stream, ref.entry_id, fields)
        asset = self._ports.find_asset(signal.ticker)
        if asset is None:
            raise SignalError(
                Reason.UNKNOWN_TICKER, f"ticker {signal.ticker!r} is not listed by the broker"
            )
        if self._too_old(signal) and not redelivered:
            # First read here, yet maybe handled before: a group rebuilt after data loss.
            if not self._ports.is_known(signal.identity):
                age = (self.redis_ms() - signal.oldest_ms()) / 1000
                raise SignalError(
                    Reason.EXPIRED, f"{age:.1f} s old, the limit is {self._limit(signal):g} s"
                )
            redelivered = True
        return Arrival(
            signal=signal,
            asset=asset,
            ref=ref,
            fields=fields,
            redelivered=redelivered,
            received_at=self._clock.monotonic(),
            received_ms=self._clock.epoch_ms(),
        )

    def _limit(self, signal: Signal) -> float:
        own = signal.max_age
        return (
            self._rules.max_signal_age
            if own is None
            else min(self._rules.max_signal_age, float(own))
        )

    def _too_old(self, signal: Signal) -> bool:
        now = self.redis_ms()
        newest = max(signal.entry_ms, signal.ts_ms if signal.ts_ms is not None else 0)
        if newest > now + FUTURE_MS:
            raise SignalError(
                Reason.FUTURE_TIMESTAMP,
                f"the entry id or ts lies {(newest - now) / 1000:.1f} s in the future",
            )
        return now - signal.oldest_ms() > self._limit(signal) * 1000
