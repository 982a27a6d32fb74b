"""What was read and is not acknowledged yet, and where each entry goes."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from solution import failpoints
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.records import EntryKey, EntryRef, entry_key
from solution.errors import LedgerError, SignalError
from solution.feeds.arrival import Arrival, EntryJudge, Fields
from solution.feeds.reading import Reading
from solution.feeds.stream_group import Entry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerPorts:
    """What the listener hands work to and asks of others.

    Args:
        room: how many more signals the queue takes; ``wait_room`` blocks up to its argument.
        deliver: takes a valid signal; never blocks; False when there is no room for it.
        dead_letter: takes an entry that is no valid signal: ref, fields, error.
        acknowledge: an entry whose end is on record already.
        has_dead_letter: whether the entry was dead-lettered before, with these fields (None: they
            are gone). Redis may give an id again that it lost.
        leave_to_row: whether the entry's signal has a row in the ledger; the entry is then
            acknowledged with the row's outcome. None for fields that are gone.
        is_known: whether the ledger has a row for the identity.
        find_asset: by any spelling.
        is_dead: whether a consumer of the group can no longer be alive.
        reading: counts what the process died of while it read pending entries.
        compare: has the ledger compared with the broker, because Redis lost data: takes what is
            gone by stream (above the first key, up to the second; nothing when only a group is),
            and returns what tells whether it is done.
    """

    room: Callable[[], int]
    wait_room: Callable[[float], int]
    deliver: Callable[[Arrival], bool]
    dead_letter: Callable[[EntryRef, Fields, SignalError], None]
    acknowledge: Callable[[EntryRef], None]
    has_dead_letter: Callable[[EntryRef, Fields | None], bool]
    leave_to_row: Callable[[EntryRef, Fields | None], bool]
    is_known: Callable[[str], bool]
    find_asset: Callable[[str], AssetView | None]
    is_dead: Callable[[str], bool]
    reading: Reading
    compare: Callable[[Mapping[str, tuple[EntryKey, EntryKey]]], Callable[[], bool]]


class InHand:
    """Takes entries to a lane, to the dead letters or to their acknowledgement, each once.

    The listener's thread takes; :meth:`released` comes from whoever acknowledges.

    Args:
        streams: that are read.
        judge: whether an entry is a signal, and what is wrong with it.

    Attributes:
        read: entries taken so far.
    """

    def __init__(self, streams: Sequence[str], ports: ListenerPorts, judge: EntryJudge) -> None:
        self._ports = ports
        self._judge = judge
        self._mutex = threading.Lock()
        self._held: dict[str, dict[str, Fields | None]] = {s: {} for s in streams}
        self._anew: dict[str, int] = {}
        self.read = 0

    def released(self, refs: Iterable[EntryRef]) -> None:
        """These entries are acknowledged in Redis."""
        with self._mutex:
            for ref in refs:
                held = self._held.get(ref.stream)
                if held is not None:
                    held.pop(ref.entry_id, None)

    def holding(self) -> int:
        """Entries in hand: read here and not acknowledged yet."""
        with self._mutex:
            return sum(len(h) for h in self._held.values())

    def of(self, stream: str) -> set[str]:
        """Entry ids of one stream."""
        with self._mutex:
            return set(self._held[stream])

    def begins_anew(self, stream: str, at_ms: int) -> None:
        """Entries up to then may have been read before: its group was made anew or set back, by us
        or, as of our start, by a process that died since."""
        self._anew[stream] = at_ms

    def take(self, stream: str, entry: Entry, *, redelivered: bool) -> bool:
        """One entry to where it belongs; False when there was no room for it."""
        entry_id, fields = entry
        ref = EntryRef(stream, entry_id)
        with self._mutex:
            held = self._held[stream]
            in_hand = entry_id in held
            reused = in_hand and fields is not None and held[entry_id] != fields
            if reused or not in_hand:
                held[entry_id] = fields
        if reused:
            self._reused(ref, fields or ())
        if in_hand:
            return True
        self.read += 1
        failpoints.hit("listener.taken", entry_id)
        handed_on = False
        try:
            handed_on = self._hand_on(ref, fields, redelivered=redelivered)
        finally:
            if not handed_on:
                self.released((ref,))  # in nobody's hands: the sweep must find it again
        return handed_on

    def _reused(self, ref: EntryRef, fields: Fields) -> None:
        """Redis lost an entry that is in hand here and gave its id to another signal.

        The first one's acknowledgement will take the second one out of the pending list, so it
        gets its end now, on record, and is never traded.
        """
        message = f"entry id {ref.entry_id} was given before, to a signal that is still in hand"
        log.error("entry_id_reused", extra={"stream": ref.stream, "entry_id": ref.entry_id})
        self._ports.dead_letter(ref, fields, SignalError(Reason.ENTRY_ID_REUSED, message))

    def _hand_on(self, ref: EntryRef, fields: Fields | None, *, redelivered: bool) -> bool:
        """To a lane, or to the dead letters; False when there is no room."""
        again = redelivered or self._may_be_old(ref)
        # Rows are found by their identity; a dead letter has none, and its entry must not trade
        # now. (Redelivered, the pipeline asks.)
        if again and not redelivered and self._ports.has_dead_letter(ref, fields):
            self._ports.acknowledge(ref)
            return True
        try:
            self._ports.reading.check(ref)
            arrival = self._judge.judge(ref, fields, redelivered=redelivered)
        except SignalError as e:
            error = e
        except LedgerError:
            raise
        except Exception as e:  # a mistake of ours must cost this entry, not all that follow it
            log.exception("entry_crashed", extra={"stream": ref.stream, "entry_id": ref.entry_id})
            error = SignalError(Reason.INTERNAL_ERROR, f"{type(e).__name__} while reading it")
        else:
            return self._ports.deliver(arrival)
        # Whoever sees the future may have seen it before: a failover can set Redis's clock back.
        again |= fields is None or error.reason == Reason.FUTURE_TIMESTAMP
        if not (again and self._is_settled(ref, fields)):
            self._ports.dead_letter(ref, fields or (), error)
        return True

    def _may_be_old(self, ref: EntryRef) -> bool:
        """A group made anew, or set back, reads everything as for the first time."""
        made = self._anew.get(ref.stream)
        return made is not None and entry_key(ref.entry_id)[0] <= made

    def _is_settled(self, ref: EntryRef, fields: Fields | None) -> bool:
        """Whether an entry has its end, or an order that will come to one: it gets no second."""
        if self._ports.has_dead_letter(ref, fields):
            self._ports.acknowledge(ref)
            return True
        return self._ports.leave_to_row(ref, fields)
