"""What is read and is no signal, or no signal any more: one end, and no stop."""

from typing import Any

import pytest

from solution.domain.signal import parse
from solution.errors import LedgerError
from solution.feeds import arrival
from solution.feeds.stream_group import Tail
from solution.runtime.service import Fatal
from tests.helpers.stepped_listener import BUY, DEAD, ME, Fixture


@pytest.fixture
def fix(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """A listener that has not stepped yet."""
    return Fixture(monkeypatch)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (((b"ticker", b"NVDA"),), "MISSING_FIELD"),
        (((b"ticker", b"ZZZZ"), (b"direction", b"b")), "UNKNOWN_TICKER"),
        ((*BUY, (b"sig", b"00")), "BAD_SIGNATURE"),
        ((*BUY, (b"kid", b"k1")), "BAD_SIGNATURE"),
        (((b"ticker", b"\xff"), (b"direction", b"b")), "NOT_UTF8"),
        ((*BUY, (b"ticker", b"NVDA")), "DUPLICATE_FIELD"),
        ((), "MISSING_FIELD"),
        (None, "PAYLOAD_LOST"),
    ],
)
def test_bad_input_is_dead_lettered_and_the_next_entry_read(
    fix: Fixture, fields: Any, reason: str
) -> None:
    """A reason code for each, and no stop."""
    bad = fix.group.add(fix.now_id(0, 0), fields)
    good = fix.group.add(fix.now_id(0, 1))
    fix.listener.step()
    assert fix.letters == [(bad, reason)]
    assert fix.ids() == [good]


def test_too_old_when_first_read_is_expired(fix: Fixture) -> None:
    """Older than MAX_SIGNAL_AGE, or than the signal's own shorter limit."""
    first = fix.group.add(fix.now_id(61))
    second = fix.group.add(fix.now_id(6), (*BUY, (b"max_age", b"5")))
    third = fix.group.add(fix.now_id(6, 1), (*BUY, (b"max_age", b"100")))
    fix.listener.step()
    assert fix.letters == [(first, "EXPIRED"), (second, "EXPIRED")]
    assert fix.ids() == [third]


def test_an_old_entry_with_a_row_is_no_new_signal(fix: Fixture) -> None:
    """A group rebuilt after data loss: what was handled is recognised, not dead-lettered."""
    fix.known.add("nvda|id:one")
    entry = fix.group.add(fix.now_id(3600), (*BUY, (b"signal_id", b"one")))
    fix.listener.step()
    assert fix.letters == []
    assert fix.ids() == [entry]
    assert fix.arrivals[0].redelivered is True


def test_age_is_measured_by_the_clock_of_redis(fix: Fixture) -> None:
    """Our own clock may be wrong by an hour without harm."""
    fix.group.ahead_ms = 3_600_000
    entry = fix.group.add(f"{fix.group.now_ms() - 1000}-0")
    fix.listener.step()
    assert fix.ids() == [entry]
    assert fix.listener.redis_ms() == fix.group.now_ms()


def test_the_future_is_refused(fix: Fixture) -> None:
    """More than five seconds ahead, by entry id or by ts."""
    by_id = fix.group.add(fix.now_id(-6))
    late = str(fix.clock.epoch_ms() + 6000).encode()
    by_ts = fix.group.add(fix.now_id(0), (*BUY, (b"ts", late)))
    fix.group.add(fix.now_id(-4))
    fix.listener.step()
    assert fix.letters == [(by_id, "FUTURE_TIMESTAMP"), (by_ts, "FUTURE_TIMESTAMP")]
    assert len(fix.arrivals) == 1


def test_a_dead_letter_that_comes_again_is_only_acknowledged(fix: Fixture) -> None:
    """Its end is on record; a second record would be a second final=1."""
    entry = fix.group.add(fix.now_id(9), ((b"ticker", b"NVDA"),), owner=DEAD)
    fix.dead_before.add(entry)
    fix.listener.step()
    assert fix.letters == []
    assert fix.acknowledged == [entry]


UNLISTED = ((b"ticker", b"ZZZZ"), (b"direction", b"b"))


@pytest.mark.parametrize("owner", [ME, DEAD])
@pytest.mark.parametrize(
    ("fields", "ago"),
    [(None, 9), (UNLISTED, 9), (BUY, -9), ((b"tiker", b"NVDA"), 9)],
)
def test_a_redelivered_entry_with_a_row_is_no_dead_letter(
    fix: Fixture, owner: str, fields: Any, ago: float
) -> None:
    """Trimmed, delisted, from the future since the clock went back, refused by a new version.

    The row's order goes on by itself, and sees to the entry's end.
    """
    entry = fix.group.add(fix.now_id(ago), fields, owner=owner)
    fix.rows.add(entry)
    fix.listener.step()
    assert (fix.letters, fix.ids(), fix.acknowledged) == ([], [], [])
    assert (fix.left, fix.listener.holding()) == ([entry], 1)


def test_a_redelivered_entry_without_a_row_is_a_dead_letter(fix: Fixture) -> None:
    """What is no signal now and never had an order ends as it would have before."""
    entry = fix.group.add(fix.now_id(9), UNLISTED, owner=DEAD)
    fix.listener.step()
    assert (fix.letters, fix.left) == ([(entry, "UNKNOWN_TICKER")], [])


def test_a_new_entry_from_the_future_may_have_a_row(fix: Fixture) -> None:
    """After a failover Redis may deliver it again as new, by a clock that stands behind."""
    entry = fix.group.add(fix.now_id(-9))
    fix.rows.add(entry)
    fix.listener.step()
    assert (fix.letters, fix.left) == ([], [entry])


def test_a_new_entry_that_is_no_signal_costs_no_look_at_the_rows(fix: Fixture) -> None:
    """A flood of nonsense must not become a flood of questions to the ledger."""
    fix.listener.step()
    fix.clock.advance(1.0)  # published after the start
    entry = fix.group.add(fix.now_id(), UNLISTED)
    fix.rows.add(entry)
    fix.listener.step()
    assert (fix.letters, fix.left) == ([(entry, "UNKNOWN_TICKER")], [])


@pytest.mark.parametrize("how", ["made anew", "set back"])
def test_a_group_that_delivers_all_again_repeats_no_end(fix: Fixture, how: str) -> None:
    """Entries come as new: one with a dead letter must not trade, one with a row is left to it."""
    dead = fix.group.add(fix.now_id(8))
    ended = fix.group.add(fix.now_id(7), UNLISTED)
    fix.dead_before.add(dead)
    fix.rows.add(ended)
    fix.group.created = ["nvda"] if how == "made anew" else []
    fix.group.tail = Tail((5, 0), (9, 0), None, None, None) if how == "set back" else None
    fix.listener.step()
    assert (fix.ids(), fix.letters) == ([], [])
    assert (fix.acknowledged, fix.left) == ([dead], [ended])


def test_a_mistake_of_ours_costs_one_entry(fix: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that raises what it must not: dead-lettered, and the listener goes on."""
    parsing = parse
    bad = fix.group.add(fix.now_id(0, 0))
    good = fix.group.add(fix.now_id(0, 1))

    def broken(stream: str, entry_id: str, fields: Any) -> Any:
        if entry_id == bad:
            raise RecursionError("a mistake")
        return parsing(stream, entry_id, fields)

    monkeypatch.setattr(arrival, "parse", broken)
    fix.listener.step()
    assert fix.letters == [(bad, "INTERNAL_ERROR")]
    assert fix.ids() == [good]


class Unreadable(set[str]):
    """Rows of a ledger that cannot be read any more."""

    def __contains__(self, _: object) -> bool:
        raise LedgerError("the disk is full")


def test_a_ledger_that_fails_ends_the_listener(fix: Fixture) -> None:
    """Whether an old entry has a row cannot be known: Fatal, and nothing is held or decided."""
    fix.group.add(fix.now_id(3600))
    fix.known = Unreadable()
    with pytest.raises(Fatal, match="the disk is full"):
        fix.listener.step()
    assert fix.listener.holding() == 0
    assert fix.letters == []
