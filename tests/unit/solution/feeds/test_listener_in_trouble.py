"""SignalListener over a Redis that fails, lies, or lost what it had."""

from typing import Any

import pytest
import redis

from solution.domain.reasons import RedisFault
from solution.domain.records import entry_key
from solution.feeds import signal_listener as module
from solution.feeds.stream_group import Tail
from tests.helpers.stepped_listener import BUY, ME, Fixture


@pytest.fixture
def fix(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """A listener that has not stepped yet."""
    return Fixture(monkeypatch)


def test_a_lost_connection_is_made_anew_with_a_bounded_pause(fix: Fixture) -> None:
    """50 ms, doubling to a quarter of a second; then what is pending is looked for at once."""
    assert fix.listener.served_at is None
    fix.listener.step()
    served = fix.listener.served_at
    assert served == fix.clock.monotonic()
    fix.clock.advance(1.0)
    fix.group.errors = [redis.ConnectionError("reset")] * 6
    pauses = [fix.listener.step() for _ in range(6)]
    assert pauses == [0.05, 0.1, 0.2, 0.25, 0.25, 0.25]
    assert fix.clients[0].closed
    assert not fix.listener.connected
    assert "reset" in fix.listener.trouble
    assert fix.listener.reconnects == 6
    assert fix.listener.served_at == served
    entry = fix.group.add(fix.now_id(), owner=ME)
    assert fix.listener.step() == 0.0
    assert fix.ids() == [entry]
    assert fix.listener.connected
    assert fix.listener.served_at == fix.clock.monotonic()
    assert fix.listener.trouble == ""


def test_a_lost_acknowledgement_does_not_hide_a_lost_entry(fix: Fixture) -> None:
    """One reply lost with an entry, another with an XACK: as many pending as held, not the same.

    The lost entry must come before anything new, or a later signal of its asset passes it.
    """
    acknowledged = fix.group.add(fix.now_id(3))
    fix.listener.step()
    fix.group.pending[ME].remove(acknowledged)
    lost = fix.group.add(fix.now_id(2), owner=ME)
    new = fix.group.add(fix.now_id(1))
    fix.group.errors = [redis.ConnectionError("reset")]
    fix.listener.step()
    fix.listener.step()
    assert fix.ids() == [acknowledged, lost, new]


def test_a_group_that_vanished_is_made_anew(fix: Fixture) -> None:
    """NOGROUP: created again, everything looked at again, no pause."""
    fix.listener.step()
    fix.group.errors = [redis.ResponseError("NOGROUP No such key 'nvda'")]
    fix.group.created = ["nvda"]
    assert fix.listener.step() == 0.0
    assert fix.group.ensured == 2
    assert fix.listener.alerts == {RedisFault.GROUP_LOST: 1}
    assert fix.comparisons == [{}]
    entry = fix.group.add(fix.now_id(), owner=ME)
    fix.listener.step()
    assert fix.ids() == [entry]


@pytest.mark.parametrize(
    ("left", "lost"),
    [
        ((1, 0), True),
        (None, False),
        (redis.exceptions.NoPermissionError("no permissions to run xrevrange"), False),
    ],
)
def test_a_group_that_vanished_with_its_entries_is_told(
    fix: Fixture, left: Any, lost: bool
) -> None:
    """The newest one that was read is gone: all above what is left. Where nobody may look, none."""
    read = entry_key(fix.group.add(fix.now_id(1)))
    fix.listener.step()
    fix.group.left = left or read
    fix.group.errors = [redis.ResponseError("NOGROUP No such key 'nvda'")]
    fix.group.created = ["nvda"]
    fix.listener.step()
    assert fix.comparisons == [{"nvda": (left, read)} if lost else {}]


def test_the_comparison_stands_although_redis_fails_again(fix: Fixture) -> None:
    """Before anybody knows what else is gone: the group is there now and nobody would ask again."""
    fix.group.add(fix.now_id(1))
    fix.listener.step()
    fix.group.left = redis.ResponseError("MASTERDOWN Link with MASTER is down")
    fix.group.errors = [redis.ResponseError("NOGROUP No such key 'nvda'")]
    fix.group.created = ["nvda"]
    fix.is_compared = False
    fix.listener.step()
    assert fix.comparisons == [{}]
    new = fix.group.add(fix.now_id())
    fix.listener.step()
    assert new not in fix.ids()


def test_a_start_among_what_a_new_group_gives_again_decides_nothing_twice(fix: Fixture) -> None:
    """The process that made the group anew died; to this one the entries look new.

    A dead letter has no row that would keep its entry from trading.
    """
    buried = fix.group.add(fix.now_id(2))
    fix.dead_before.add(buried)
    older = fix.group.add(fix.now_id(1))
    fix.listener.step()
    assert (fix.ids(), fix.acknowledged, fix.letters) == ([older], [buried], [])


def test_a_group_that_is_refused_and_stands_is_no_busy_loop(fix: Fixture) -> None:
    """NOPERM on reading alone: making the group anew changes nothing, so it pauses, and says so."""
    fix.listener.step()
    fix.group.errors = [redis.exceptions.NoPermissionError("no permissions to run xreadgroup")] * 3
    assert [fix.listener.step() for _ in range(3)] == [0.05, 0.1, 0.2]
    assert fix.listener.trouble.startswith("REDIS_NOPERM: ")
    fix.listener.step()
    assert fix.listener.trouble == ""


def test_a_fault_while_the_group_is_made_anew_counts_as_its_own(fix: Fixture) -> None:
    """NOGROUP, and then the connection breaks: reconnect with a pause."""
    fix.listener.step()
    fix.group.errors = [redis.ResponseError("NOGROUP No such key 'nvda'")]

    def breaks(streams: Any = None) -> list[str]:
        raise redis.ReadOnlyError("You can't write against a read only replica.")

    ensure, fix.group.ensure = fix.group.ensure, breaks  # type: ignore[method-assign]
    assert fix.listener.step() == 0.05
    assert fix.listener.trouble.startswith("REDIS_READONLY: ")
    fix.group.ensure = ensure  # type: ignore[method-assign]
    assert fix.listener.step() == 0.0


def test_with_every_stream_broken_nothing_is_read_and_each_is_tried_again(fix: Fixture) -> None:
    """The trouble names stream and fault; once it is gone, reading goes on."""
    fix.group.breaks = {"nvda": "REDIS_WRONGTYPE: ResponseError: WRONGTYPE …"}
    entry = fix.group.add(fix.now_id())
    assert fix.listener.step() > 0
    assert fix.listener.trouble == "nvda: REDIS_WRONGTYPE: ResponseError: WRONGTYPE …"
    assert fix.listener.connected
    fix.group.breaks = {}
    fix.clock.advance(1.0)
    assert fix.listener.step() == 0.0
    assert (fix.ids(), fix.listener.trouble) == ([entry], "")


def test_an_outage_is_logged_once_for_each_thing_it_says(
    fix: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused, refused, loading, loading, back: three lines, each with its code."""
    fix.listener.step()
    down, loading = redis.ConnectionError("refused"), redis.BusyLoadingError("Redis is loading")
    fix.group.errors = [down, down, loading, loading]
    caplog.set_level("INFO", logger=module.__name__)
    for _ in range(5):
        fix.listener.step()
    said = [(r.message, getattr(r, "reason", "")) for r in caplog.records]
    assert said == [
        ("redis_lost", "REDIS_UNREACHABLE"),
        ("redis_lost", "REDIS_LOADING"),
        ("listening", ""),
    ]


def test_an_entry_id_given_to_another_signal_is_a_dead_letter(fix: Fixture) -> None:
    """Redis lost the entry in hand and gave its id again: it gets its own end, once."""
    entry = fix.group.add(fix.now_id())
    fix.listener.step()
    other = (*BUY, (b"qty", b"7"))
    for _ in range(2):
        fix.group.add(entry, other)
        fix.listener.step()
    assert fix.letters == [(entry, "ENTRY_ID_REUSED")]
    assert (fix.ids(), fix.listener.holding()) == ([entry], 1)


def test_the_tails_of_streams_are_looked_at_now_and_then(fix: Fixture) -> None:
    """After each connect and every five seconds, not with every sweep."""
    for _ in range(11):
        fix.listener.step()
        fix.clock.advance(1.0)
    assert fix.group.looks == 3
    fix.group.errors = [redis.ConnectionError("reset")]
    fix.listener.step()
    fix.listener.step()
    assert fix.group.looks == 4


def test_a_lost_tail_is_told_and_counted_once(
    fix: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream ends before what was read from it."""
    fix.group.add(fix.now_id(0, 5))
    fix.listener.step()
    end = entry_key(fix.now_id(2))
    fix.group.tail = Tail(end, end, None, None, None, first=end, last=end)
    for _ in range(2):
        fix.clock.advance(5.0)
        fix.listener.step()
    assert fix.listener.alerts == {RedisFault.TAIL_LOST: 1}
    assert [r.message for r in caplog.records].count("stream_tail_lost") == 1
    assert fix.group.rewound == []


def test_nothing_is_read_until_the_ledger_is_compared(fix: Fixture) -> None:
    """Neither what is pending nor what is new; a connection lost meanwhile changes nothing."""
    read = fix.group.add(fix.now_id(0, 5))
    fix.listener.step()
    fix.is_compared = False
    end = entry_key(fix.now_id(2))
    fix.group.tail = Tail(end, end, None, None, None, first=end, last=end)
    pending, new = fix.group.add(fix.now_id(2, 1), owner=ME), fix.group.add(fix.now_id(0, 6))
    fix.clock.advance(5.0)
    assert fix.listener.step() == module.COMPARE_WAIT
    assert fix.comparisons == [{"nvda": (end, entry_key(read))}]
    fix.group.errors = [redis.ConnectionError("reset")]
    for _ in range(3):
        fix.listener.step()
    assert fix.ids() == [read]
    assert fix.listener.trouble == "Redis lost data: the ledger is compared with the broker first"
    fix.is_compared = True
    fix.listener.step()
    fix.listener.step()
    assert fix.ids() == [read, pending, new]
    assert (fix.listener.trouble, len(fix.comparisons)) == ("", 1)


def test_a_group_ahead_of_its_stream_is_set_back(fix: Fixture) -> None:
    """Otherwise Redis would skip new entries until their ids have caught up."""
    fix.group.tail = Tail((5, 0), (9, 0), None, None, None)
    fix.listener.step()
    assert fix.group.rewound == ["nvda"]


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.NoPermissionError("no permissions to run xinfo"),
        redis.ResponseError("ERR unknown command 'XINFO'"),
    ],
)
def test_who_may_not_look_still_reads(fix: Fixture, error: Exception) -> None:
    """A user without XINFO, or a server without it."""
    fix.group.look_error = error
    entry = fix.group.add(fix.now_id())
    assert fix.listener.step() == 0.0
    assert fix.ids() == [entry]


def test_a_look_that_meets_a_real_fault_ends_the_connection(fix: Fixture) -> None:
    """As any other command does."""
    fix.group.look_error = redis.exceptions.MasterDownError("Link with MASTER is down")
    assert fix.listener.step() == 0.05
    assert fix.listener.trouble.startswith("REDIS_MASTERDOWN: ")


def test_other_refusals_of_redis_are_met_with_patience(fix: Fixture) -> None:
    """A command that Redis refuses for now: reconnect, pause, try again."""
    fix.listener.step()
    fix.group.errors = [redis.ResponseError("LOADING Redis is loading")]
    assert fix.listener.step() == 0.05
    assert fix.listener.step() == 0.0


def test_a_redis_that_forbids_trimming_still_delivers(fix: Fixture) -> None:
    """Upkeep fails, is logged, and comes up again an hour later; signals are read."""
    fix.group.trim_error = redis.ResponseError("NOPERM no permissions to run xtrim")
    entry = fix.group.add(fix.now_id())
    fix.listener.step()
    fix.listener.step()
    assert fix.ids() == [entry]
    assert (fix.group.trims, fix.listener.reconnects) == (1, 0)
    fix.group.trim_error = None
    fix.clock.advance(3600)
    fix.listener.step()
    assert fix.group.trims == 2


@pytest.mark.parametrize(("trimmed", "told"), [(3, [3]), (0, [])])
def test_only_what_was_trimmed_is_told(
    fix: Fixture, caplog: pytest.LogCaptureFixture, trimmed: int, told: list[int]
) -> None:
    """Upkeep that had nothing to do writes no line."""
    caplog.set_level("INFO", logger="solution")
    fix.group.trimmed = trimmed
    fix.listener.step()
    fix.listener.step()
    assert fix.group.trims == 1
    lines = [r for r in caplog.records if r.getMessage() == "stream_trimmed"]
    assert [vars(line)["entries"] for line in lines] == told


def test_stopping_closes_the_connection(fix: Fixture) -> None:
    """Also when there never was one."""
    fix.listener.on_stop()
    fix.listener.step()
    fix.listener.on_stop()
    assert fix.clients[0].closed


@pytest.mark.parametrize(
    ("text", "key"), [("5-3", (5, 3)), ("5", (5, 0)), ("1700000000000-12", (1700000000000, 12))]
)
def test_entry_ids_are_ordered_by_number(text: str, key: tuple[int, int]) -> None:
    """``9-10`` comes after ``9-9``."""
    assert entry_key(text) == key
