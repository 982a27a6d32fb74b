"""Reads signals from Redis into the lanes, and loses none.

At-least-once: an entry stays pending in its group until its outcome is durable. What this process
has in hand is remembered; anything pending beyond that (a reply lost on the way, a dead peer's
work) is found by a sweep and read again. New entries are read only as far as the queue has room.

Whatever Redis says or fails to say has a code (:class:`solution.domain.reasons.RedisFault`): it
stands in the log and in :attr:`SignalListener.trouble`, and the connection is made anew until Redis
serves again. A stream that cannot be read leaves the others alone.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import redis

from solution import failpoints
from solution.clock import Clock
from solution.domain.reasons import RedisFault
from solution.domain.records import EntryKey, EntryRef, entry_key
from solution.domain.signing import Verifier
from solution.errors import LedgerError
from solution.feeds.arrival import Arrival, EntryJudge, Fields
from solution.feeds.in_hand import InHand, ListenerPorts
from solution.feeds.stream_group import Entry, StreamGroup
from solution.feeds.stream_watch import StreamWatch
from solution.redis_client import describe, fault_of
from solution.runtime.service import Fatal, Service

__all__ = ["Arrival", "Fields", "ListenerPorts", "ListenerRules", "SignalListener"]

log = logging.getLogger(__name__)

READ_MOST = 256
SWEEP_EVERY = 1.0
ROOM_WAIT = 0.2
TRIM_EVERY = 3600.0
LOOK_EVERY = 5.0
BACKOFF_FIRST = 0.05
BACKOFF_MOST = 0.25
COMPARE_WAIT = 0.05
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRules:
    """Settings. Ages in seconds; ``retention_days`` 0 keeps entries for ever.

    ``verifier`` has the keys that signals must be signed with.
    """

    streams: tuple[str, ...]
    group: str
    consumer: str
    max_signal_age: float = 60.0
    retention_days: int = 7
    verifier: Verifier = field(default_factory=Verifier)


class SignalListener(Service):
    """The thread between Redis and the lanes. Stops within one BLOCK (0.5 s).

    Args:
        connect: makes a client whose socket timeout lies above the BLOCK time; called again
            after every connection error.

    Attributes:
        recovered: set once everything pending at start is in its lane and new entries are read.
        connected: whether Redis serves us, as far as known.
        served_at: monotonic seconds when Redis last answered all of a step; None before.
        trouble: code and words of what is wrong with Redis or with a stream, empty for nothing.
        reconnects: connections given up so far.
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
        self._unburied: dict[str, set[str]] = {s: set() for s in rules.streams}
        self._watch = StreamWatch()
        judge = EntryJudge(
            max_signal_age=rules.max_signal_age,
            find_asset=ports.find_asset,
            is_known=ports.is_known,
            redis_ms=self.redis_ms,
            verifier=rules.verifier,
            clock=clock,
        )
        self._in_hand = InHand(rules.streams, ports, judge)
        self._had_group: set[str] = set()
        self._offset_ms = 0
        self._behind = True
        self._exact = True
        self._compared: Callable[[], bool] | None = None
        self._sweep_at = 0.0
        self._look_at = 0.0
        self._trim_at = 0.0
        self._backoff = BACKOFF_FIRST
        self._told: RedisFault | None = None
        self.recovered = threading.Event()
        self.connected = False
        self.served_at: float | None = None
        self.trouble = ""
        self.reconnects = 0

    # --- asked by others ---------------------------------------------------------------------

    def redis_ms(self) -> int:
        """Redis's clock by our own plus the measured offset; entry ids are made by that clock."""
        return self._clock.epoch_ms() + self._offset_ms

    def released(self, refs: Iterable[EntryRef]) -> None:
        """These entries are acknowledged in Redis."""
        self._in_hand.released(refs)

    def holding(self) -> int:
        """Entries in hand: read here and not acknowledged yet."""
        return self._in_hand.holding()

    @property
    def read(self) -> int:
        """Entries read so far."""
        return self._in_hand.read

    @property
    def alerts(self) -> Mapping[RedisFault, int]:
        """How often Redis was found to have lost or changed something, by fault."""
        return self._watch.alerts

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
            self.connected = True
            if self._rules.retention_days and now >= self._trim_at:
                self._trim(group)
            pause = self._go_on(group)
        except redis.RedisError as e:
            return self._failed(e)
        except LedgerError as e:
            raise Fatal(str(e)) from e  # as in the workers: without a ledger nothing is decided
        self._serves(group)
        return pause

    def _go_on(self, group: StreamGroup) -> float:
        """Read what is new, unless something comes before it; returns the pause after that."""
        if self._compared is not None:
            return COMPARE_WAIT
        if not group.active:
            return BACKOFF_MOST
        if self._behind:
            # What is pending comes before anything new, so that asset by asset the order of
            # the stream holds.
            self._ports.wait_room(ROOM_WAIT)
        else:
            self._read(group)
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
        if not self._had_group:
            # The process before may have made a group anew and died among what that gives again.
            for stream in self._rules.streams:
                self._in_hand.begins_anew(stream, self.redis_ms())
        self._ensure(group)
        self._group = group
        self._watch.reconnected()
        # The reply that was lost may have held entries, and Redis may have lost its tail.
        self._sweep_at, self._look_at, self._exact = 0.0, 0.0, True
        if self._told is None:
            log.info("listening", extra={"streams": ",".join(self._rules.streams)})
        return group

    def _ensure(self, group: StreamGroup, *, only_broken: bool = False) -> bool:
        """Groups where they are missing; whether anything changed."""
        before = dict(group.broken)
        created = group.ensure(tuple(before) if only_broken else None)
        for stream in created:
            self._in_hand.begins_anew(stream, self.redis_ms())
            if stream in self._had_group:
                # Made at 0, so that nothing is skipped; the ledger recognises what was handled.
                detail = f"group {self._rules.group} was gone and is made anew"
                self._watch.alert("group_lost", RedisFault.GROUP_LOST, stream, detail)
                self._lost_with_group(group, stream)
            else:
                log.warning("group_created", extra={"stream": stream, "group": self._rules.group})
        self._had_group.update(group.active)
        for stream, detail in group.broken.items():
            if before.get(stream) != detail:
                log.error("stream_broken", extra={"stream": stream, "detail": detail})
        for stream in before.keys() - group.broken.keys():
            log.info("stream_restored", extra={"stream": stream})
        return bool(created) or before != group.broken

    def _lost_with_group(self, group: StreamGroup, stream: str) -> None:
        """Have the ledger compared; a stream that began anew may be longer already than the old."""
        lost: dict[str, tuple[EntryKey, EntryKey]] = {}
        try:
            newest = self._watch.newest_read(stream)
            if newest and (left := group.newest_up_to(stream, newest)) < newest:
                lost[stream] = left, newest
        except redis.ResponseError as e:
            if fault_of(e) is not RedisFault.NOPERM:
                raise
        finally:  # if Redis fails now, the group is there next time, and nobody would ask again
            self._compared = self._ports.compare(lost)

    def _serves(self, group: StreamGroup) -> None:
        """A step went through."""
        self.served_at = self._clock.monotonic()
        self._backoff = BACKOFF_FIRST
        if self._told is not None:
            self._told = None
            log.info("listening", extra={"streams": ",".join(group.active)})
        if self._compared is not None:
            self.trouble = "Redis lost data: the ledger is compared with the broker first"
        elif self.trouble or group.broken:
            self.trouble = "; ".join(f"{name}: {why}" for name, why in group.broken.items())

    def _close(self) -> None:
        client, self._client, self._group = self._client, None, None
        self.connected = False
        if client is not None:
            client.close()

    def _failed(self, error: redis.RedisError) -> float:
        group, fault = self._group, fault_of(error)
        one_stream = {RedisFault.GROUP_LOST, RedisFault.WRONGTYPE, RedisFault.NOPERM}
        if group is not None and fault in one_stream:
            try:
                if self._ensure(group):
                    self._sweep_at = self._look_at = 0.0
                    return 0.0
            except redis.RedisError as e:
                error, fault = e, fault_of(e)
        return self._lost(error, fault)

    def _lost(self, error: redis.RedisError, fault: RedisFault) -> float:
        self.trouble = describe(error)
        if fault is not self._told:
            self._told = fault
            log.warning("redis_lost", extra={"reason": str(fault), "detail": self.trouble})
        self.reconnects += 1
        self._close()
        pause, self._backoff = self._backoff, min(self._backoff * 2, BACKOFF_MOST)
        return pause

    # --- reading -----------------------------------------------------------------------------

    def _read(self, group: StreamGroup) -> None:
        room = self._ports.room()
        if room <= 0:
            room = self._ports.wait_room(ROOM_WAIT)
            if room <= 0:
                return
        # COUNT holds per stream, so the room is shared out among them.
        count = max(1, min(READ_MOST, room // len(group.active)))
        for stream, entry in group.read_new(count):
            self._watch.saw(stream, entry[0])
            if not self._in_hand.take(stream, entry, redelivered=False):
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
        if group.broken:
            self._ensure(group, only_broken=True)
        if self._clock.monotonic() >= self._look_at:
            self._look(group)
        if self._compared is not None:
            if not self._compared():
                return False
            self._compared = None
        complete = True
        for stream in group.active:
            counts = group.pending_counts(stream)
            mine = counts.pop(group.consumer, 0)
            # After a lost connection a count deceives: an acknowledgement whose reply was lost is
            # still held here and not pending there, and would hide an entry whose reply was lost.
            # So would a dead peer's entry whose content is gone: held here, pending for the dead.
            dead = {consumer for consumer in counts if self._ports.is_dead(consumer)}
            if mine > len(self._in_hand.of(stream)) or (mine and (self._exact or dead)):
                complete &= self._reread(group, stream)
            if dead:
                complete &= self._take_over(group, stream, dead)
            self._bury(group, stream, dead)
        self._exact = False
        return complete

    def _look(self, group: StreamGroup) -> None:
        """For what Redis lost. Not every Redis, nor every user's rights, lets us look."""
        self._look_at = self._clock.monotonic() + LOOK_EVERY
        try:
            tails = group.tails()
        except redis.ResponseError as e:
            if fault_of(e) not in {RedisFault.NOPERM, RedisFault.REFUSED}:
                raise
            log.debug("streams_not_looked_at", extra={"detail": describe(e)})
            return
        for stream in self._watch.judge(tails, self.redis_ms()):
            group.rewind(stream)
            self._in_hand.begins_anew(stream, self.redis_ms())
            log.warning("group_set_back", extra={"stream": stream, "group": self._rules.group})
        if lost := self._watch.take_lost():
            self._compared = self._ports.compare(lost)

    def _reread(self, group: StreamGroup, stream: str) -> bool:
        held = self._in_hand.of(stream)
        lost = [i for i in group.pending_ids(stream, group.consumer) if i not in held]
        # An acknowledgement on its way makes an entry look lost for a moment: reading it again
        # is harmless, its row says that it has ended.
        room = max(0, self._ports.room())
        for entry_id in lost[:room]:
            log.warning("entry_read_again", extra={"stream": stream, "entry_id": entry_id})
        return self._one_by_one(stream, lost[:room], group.fetch) and len(lost) <= room

    def _take_over(self, group: StreamGroup, stream: str, consumers: set[str]) -> bool:
        """All dead peers' entries together: one that died while taking over left them mixed.

        An entry whose content is gone cannot be claimed. It stays the dead one's until its end is
        acknowledged, and in hand here meanwhile.
        """
        held = self._in_hand.of(stream)
        pending = (i for consumer in consumers for i in group.pending_ids(stream, consumer))
        ids = sorted((i for i in pending if i not in held), key=entry_key)
        room = max(0, self._ports.room())
        if ids[:room]:
            log.warning("entries_taken_over", extra={"stream": stream, "count": len(ids[:room])})
        return self._one_by_one(stream, ids[:room], group.claim) and len(ids) <= room

    def _one_by_one(
        self, stream: str, ids: Sequence[str], get: Callable[[str, Sequence[str]], list[Entry]]
    ) -> bool:
        """Read pending entries again; one of them may be what killed the process before.

        Args:
            get: their content.

        Returns:
            whether there was room for all of them.
        """
        if not ids:
            return True
        reading = self._ports.reading
        with reading.pending() as granted:
            if not granted:
                return False
            for entry_id in ids:
                whole = reading.begin(EntryRef(stream, entry_id))
                (entry,) = get(stream, [entry_id]) if whole else [(entry_id, None)]
                failpoints.hit("listener.reread", entry_id)
                if not self._in_hand.take(stream, entry, redelivered=True):
                    return False
        return True

    def _bury(self, group: StreamGroup, stream: str, dead: set[str]) -> None:
        """Forget dead peers once nothing of theirs is pending.

        Forgetting drops what is: of an entry whose content is gone, the last trace until its dead
        letter is on record.
        """
        unburied = self._unburied[stream]
        unburied |= dead
        for consumer in unburied - group.pending_counts(stream).keys() if unburied else ():
            try:
                group.forget_consumer(stream, consumer)
            except redis.ResponseError as e:
                if fault_of(e) is not RedisFault.NOPERM:
                    raise
                # Upkeep: a name too many in the group does no harm.
                log.warning("consumer_not_forgotten", extra={"stream": stream, "detail": str(e)})
            unburied.discard(consumer)

    def _trim(self, group: StreamGroup) -> None:
        """Upkeep: a Redis that forbids or lacks it must not keep signals from being read."""
        self._trim_at = self._clock.monotonic() + TRIM_EVERY
        before = self.redis_ms() - self._rules.retention_days * DAY_MS
        for stream in group.active:
            try:
                trimmed = group.trim(stream, before)
            except redis.ResponseError as e:
                log.warning("stream_not_trimmed", extra={"stream": stream, "detail": str(e)})
                continue
            if trimmed:
                log.info("stream_trimmed", extra={"stream": stream, "entries": trimmed})
