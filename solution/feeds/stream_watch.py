"""Alerts for what Redis lost, noticed by comparing where streams stand with what was read."""

import logging
from collections import Counter
from collections.abc import Mapping

from solution.domain.reasons import RedisFault
from solution.domain.records import EntryKey, entry_key
from solution.feeds.stream_group import Tail

log = logging.getLogger(__name__)

FUTURE_MS = 5_000
"""An entry id further ahead of Redis's clock than this lies in the future."""
LAST_MS = 2**64 - 1
"""The last milliseconds that an entry id can have: behind it nothing can be added."""


def ahead_of_clock(last: EntryKey, now_ms: int) -> str:
    """What is wrong where a stream's last id lies in the future of Redis's clock, or ""."""
    ahead_ms = last[0] - now_ms
    if ahead_ms <= FUTURE_MS:
        return ""
    if last[0] == LAST_MS:
        return "its last id is the last there is: nothing can be added any more"
    return f"its last id is {ahead_ms / 1000:.0f} s ahead of Redis's clock"


class StreamWatch:
    """Judges the tails of streams, once per finding; for one thread.

    Nothing here changes what is traded. A lost tail is harmless for entries that were read, which
    the ledger recognises; what nobody had read is gone, and only an alert can tell.

    Attributes:
        alerts: how often each fault was found, also by the listener itself.
    """

    def __init__(self) -> None:
        self.alerts: Counter[RedisFault] = Counter()
        self._newest_read: dict[str, str] = {}
        self._missed: dict[str, int] = {}
        self._deleted: dict[str, EntryKey] = {}
        self._in_future: set[str] = set()
        self._erased: dict[str, EntryKey] = {}
        self._cut: set[str] = set()
        self._waits: dict[str, EntryKey] = {}
        self._gone: dict[str, tuple[EntryKey, EntryKey]] = {}

    def saw(self, stream: str, entry_id: str) -> None:
        """This entry was read as a new one."""
        self._newest_read[stream] = entry_id
        waits = self._waits.get(stream)
        if waits is not None and (read := entry_key(entry_id)) >= waits:
            del self._waits[stream]
            if read > waits:
                self._unread_lost(stream, f"entry {_text(waits)} waited unread, and is gone")

    def reconnected(self) -> None:
        """What waited may have been delivered in a reply that was lost: it is pending then, and
        read again from there, not as new."""
        self._waits.clear()

    def judge(self, tails: Mapping[str, Tail], now_ms: int) -> list[str]:
        """Look at every stream.

        Args:
            now_ms: Redis's clock.

        Returns:
            streams whose group stands beyond their end: new entries would be skipped until their
            ids have caught up, so it must be set back.
        """
        ahead = []
        for stream, tail in tails.items():
            if tail.last_delivered > tail.last_generated:
                ahead.append(stream)
            self._judge_end(stream, tail)
            self._judge_unread(stream, tail)
            self._judge_clock(stream, tail, now_ms)
        return ahead

    def newest_read(self, stream: str) -> EntryKey | None:
        """The newest entry that was read as new in this life."""
        read = self._newest_read.get(stream)
        return entry_key(read) if read else None

    def take_lost(self) -> dict[str, tuple[EntryKey, EntryKey]]:
        """By stream, the ends that were lost since the last call: above the first key, up to the
        second."""
        gone, self._gone = self._gone, {}
        return gone

    def _judge_end(self, stream: str, tail: Tail) -> None:
        read = self._newest_read.get(stream)
        newest = max(entry_key(read) if read else (0, 0), tail.last_delivered)
        if newest > tail.last_generated:
            self._newest_read.pop(stream, None)
            self._gone[stream] = tail.last_generated, newest
            self.alert(
                "stream_tail_lost",
                RedisFault.TAIL_LOST,
                stream,
                f"read up to {_text(newest)}, the stream ends at {_text(tail.last_generated)}",
            )

    def _judge_unread(self, stream: str, tail: Tail) -> None:
        deleted = tail.max_deleted or (0, 0)
        if deleted > max(tail.last_delivered, self._deleted.get(stream, (0, 0))):
            self._deleted[stream] = deleted
            self._unread_lost(stream, f"entry {_text(deleted)} was deleted before it was read")
        if tail.entries_added is None or tail.entries_read is None:
            self._judge_uncounted(stream, tail)
        elif not tail.waiting:  # the counters compare only where nothing waits
            self._judge_counted(stream, tail.entries_added - tail.entries_read)

    def _judge_counted(self, stream: str, missed: int) -> None:
        before = self._missed.get(stream, 0)
        self._missed[stream] = missed
        if missed > before:
            detail = f"{missed - before} entries were added and never read, {missed} in all"
            self._unread_lost(stream, detail)

    def _judge_uncounted(self, stream: str, tail: Tail) -> None:
        """Redis 6.2 counts nothing, so that how many are gone cannot be told.

        Seen is what nobody reads any more although its id was given out; what waited at the last
        look and was passed over (:meth:`saw`); and that the entry read last is gone, which our own
        trimming never takes. Not seen: what came and went between two looks, behind nothing that
        waited, when a newer entry has been read since.
        """
        known = max(tail.last_delivered, self._erased.get(stream, (0, 0)))
        if tail.last_generated > known and not tail.waiting:
            self._erased[stream] = tail.last_generated
            self._cut.add(stream)  # one finding, not two
            gone = f"{_text(tail.last_delivered)} and up to {_text(tail.last_generated)}"
            self._unread_lost(stream, f"entries after {gone} were removed unread")
        if tail.waiting and tail.last is not None:
            self._waits.setdefault(stream, tail.last)
        self._judge_cut(stream, tail)

    def _judge_cut(self, stream: str, tail: Tail) -> None:
        mark, first = tail.last_delivered, tail.first
        nothing_read = mark == (0, 0) or mark > tail.last_generated
        if nothing_read or (first is not None and first <= mark):
            self._cut.discard(stream)
        elif stream not in self._cut:
            self._cut.add(stream)
            detail = f"entry {_text(mark)}, read last, is gone; so may be unread ones behind it"
            self._unread_lost(stream, detail)

    def _unread_lost(self, stream: str, detail: str) -> None:
        self.alert("stream_entries_lost", RedisFault.UNREAD_LOST, stream, detail)

    def _judge_clock(self, stream: str, tail: Tail, now_ms: int) -> None:
        detail = ahead_of_clock(tail.last_generated, now_ms)
        if not detail:
            self._in_future.discard(stream)
        elif stream not in self._in_future:
            self._in_future.add(stream)
            self.alert("stream_id_in_future", RedisFault.ID_IN_FUTURE, stream, detail)

    def alert(self, event: str, fault: RedisFault, stream: str, detail: str) -> None:
        """Count it and log it as an error."""
        self.alerts[fault] += 1
        log.error(event, extra={"stream": stream, "reason": str(fault), "detail": detail})


def _text(key: EntryKey) -> str:
    return f"{key[0]}-{key[1]}"
