"""StreamWatch: what it says of each pair of tails, and how often."""

from dataclasses import replace

import pytest

from solution.domain.reasons import RedisFault
from solution.feeds.stream_group import Tail
from solution.feeds.stream_watch import FUTURE_MS, StreamWatch

NOW = 1_700_000_000_000
CALM = Tail((NOW, 0), (NOW, 0), (0, 0), 10, 10, first=(NOW - 9_000, 0), last=(NOW, 0))
UNCOUNTED = replace(CALM, max_deleted=None, entries_added=None, entries_read=None)
"""What Redis 6.2 tells."""


@pytest.fixture
def watch() -> StreamWatch:
    """One that has read up to NOW-0."""
    made = StreamWatch()
    made.saw("nvda", f"{NOW}-0")
    return made


@pytest.mark.parametrize(
    "tail",
    [
        CALM,
        replace(CALM, max_deleted=(NOW - 9, 3)),  # removed after it was read
        replace(CALM, last_delivered=(NOW - 5, 0), entries_read=4),  # some still wait
        replace(CALM, entries_read=None),  # a group whose counter Redis has given up
        UNCOUNTED,
        replace(UNCOUNTED, first=(NOW, 0)),  # a producer that keeps one entry
        replace(UNCOUNTED, last_delivered=(NOW - 5, 0)),  # some still wait
        replace(UNCOUNTED, last_delivered=(0, 0), first=(NOW, 0)),  # nobody has read yet
        replace(CALM, last_generated=(NOW + FUTURE_MS, 0)),
    ],
)
def test_calm_streams_are_no_news(watch: StreamWatch, tail: Tail) -> None:
    """Nothing counted, nothing to set back."""
    assert watch.judge({"nvda": tail}, NOW) == []
    assert watch.alerts == {}


@pytest.mark.parametrize(
    ("tail", "fault"),
    [
        (replace(CALM, last_generated=(NOW - 1, 9)), RedisFault.TAIL_LOST),
        (replace(CALM, max_deleted=(NOW, 1)), RedisFault.UNREAD_LOST),
        (replace(CALM, entries_added=13), RedisFault.UNREAD_LOST),
        (replace(CALM, last_generated=(NOW + FUTURE_MS + 1, 0)), RedisFault.ID_IN_FUTURE),
    ],
)
def test_each_finding_is_counted_once(watch: StreamWatch, tail: Tail, fault: RedisFault) -> None:
    """However often it is looked at; the first one of a stream that starts anew counts again."""
    settled = replace(tail, last_delivered=min(tail.last_generated, tail.last_delivered))
    for _ in range(3):
        watch.judge({"nvda": settled}, NOW)
    assert watch.alerts == {fault: 1}


def test_more_of_the_same_is_news(watch: StreamWatch) -> None:
    """Another gap, another deleted entry, and the future again after it had passed."""
    for added, deleted, ahead in ((12, NOW + 1, 9000), (12, 0, 0), (15, NOW + 2, 9000)):
        tail = Tail((NOW + ahead, 0), (NOW + ahead, 0), (deleted + ahead, 0), added, 10)
        watch.judge({"nvda": tail}, NOW)
    assert watch.alerts == {RedisFault.UNREAD_LOST: 4, RedisFault.ID_IN_FUTURE: 2}


def test_a_group_beyond_the_end_is_named(watch: StreamWatch) -> None:
    """Only that one; its stream has lost its tail, too."""
    ahead = replace(CALM, last_generated=(NOW - 1, 0))
    assert watch.judge({"nvda": ahead, "aapl": CALM}, NOW) == ["nvda"]
    assert watch.alerts == {RedisFault.TAIL_LOST: 1}
    assert watch.take_lost() == {"nvda": ((NOW - 1, 0), (NOW, 0))}
    assert watch.take_lost() == {}


def judged(watch: StreamWatch, *tails: Tail) -> int:
    """How many losses were told after looks at these."""
    for tail in tails:
        watch.judge({"nvda": tail}, NOW)
    return watch.alerts[RedisFault.UNREAD_LOST]


def erased(at: int, *, first: int | None = None) -> Tail:
    """A stream whose entries were removed up to NOW+at, of which the group had read up to NOW."""
    there = None if first is None else (NOW + first, 0)
    return replace(UNCOUNTED, last_generated=(NOW + at, 0), first=there, last=there)


def test_what_was_removed_before_it_was_read_is_told_without_counters(watch: StreamWatch) -> None:
    """`MAXLEN 0`: an id was given out, and nobody can read its entry. Once for each."""
    assert judged(watch, UNCOUNTED, erased(1), erased(1)) == 1
    assert judged(watch, erased(2)) == 2


def test_with_counters_it_is_told_at_once(watch: StreamWatch) -> None:
    """Not only when the next entry has been read; and how many."""
    gone = replace(CALM, last_generated=(NOW + 1, 0), entries_added=14, first=None, last=None)
    assert judged(watch, gone, gone) == 1
    assert judged(watch, replace(CALM, entries_added=15, entries_read=11)) == 1


def test_the_entry_read_last_is_gone(watch: StreamWatch) -> None:
    """Somebody trims up to what nobody has read yet; told once, until it is well again."""
    assert judged(watch, UNCOUNTED, erased(9, first=5), erased(9, first=5)) == 1
    caught_up = replace(erased(9, first=5), last_delivered=(NOW + 9, 0))
    assert judged(watch, caught_up, caught_up) == 1
    assert judged(watch, replace(caught_up, first=None, last=None)) == 2


def test_trimming_of_what_was_read_is_no_loss(watch: StreamWatch) -> None:
    """However much of it, as long as the entry read last is there."""
    later = replace(erased(9, first=8), last_delivered=(NOW + 9, 0), last=(NOW + 9, 0))
    assert judged(watch, UNCOUNTED, later) == 0


def test_our_own_trimming_is_no_loss(watch: StreamWatch) -> None:
    """It takes what is old and was read, never the newest entry that was."""
    old = replace(UNCOUNTED, last_delivered=(NOW - 9 * 86_400_000, 0), last_generated=(NOW, 0))
    old = replace(old, first=old.last_delivered)
    assert judged(watch, old, replace(UNCOUNTED, first=(NOW, 0))) == 0


@pytest.mark.parametrize(("read", "told"), [([4, 5], 0), ([5], 0), ([6], 1), ([4, 6], 1)])
def test_an_entry_that_waited_and_is_passed_over(
    watch: StreamWatch, read: list[int], told: int
) -> None:
    """It stood at the end of the stream when that was looked at; order would have read it."""
    judged(watch, replace(UNCOUNTED, last_generated=(NOW + 5, 0), last=(NOW + 5, 0)))
    for number in read:
        watch.saw("nvda", f"{NOW + number}-0")
    assert watch.alerts[RedisFault.UNREAD_LOST] == told


def test_what_waited_before_a_connection_was_lost_may_be_pending(watch: StreamWatch) -> None:
    """Its reply may have been lost on the way: it is no longer expected as new."""
    judged(watch, replace(UNCOUNTED, last_generated=(NOW + 5, 0), last=(NOW + 5, 0)))
    watch.reconnected()
    watch.saw("nvda", f"{NOW + 6}-0")
    assert watch.alerts == {}


def test_the_last_id_there_is_has_words_of_its_own(
    watch: StreamWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every XADD is refused from now on."""
    end = (2**64 - 1, 2**64 - 1)
    watch.judge({"nvda": replace(CALM, last_generated=end, last=end)}, NOW)
    [record] = caplog.records
    assert "nothing can be added any more" in record.__dict__["detail"]
