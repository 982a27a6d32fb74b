"""StreamWatch: what it says of each pair of tails, and how often."""

from dataclasses import replace

import pytest

from solution.domain.reasons import RedisFault
from solution.feeds.stream_group import Tail
from solution.feeds.stream_watch import FUTURE_MS, StreamWatch

NOW = 1_700_000_000_000
CALM = Tail((NOW, 0), (NOW, 0), (0, 0), 10, 10)


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
        Tail((NOW, 0), (NOW, 0), None, None, None),  # Redis 6.2
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
