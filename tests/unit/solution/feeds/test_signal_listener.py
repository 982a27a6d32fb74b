"""SignalListener step by step, over a stream group in memory and a clock set by hand."""

import pytest
import redis

from solution import failpoints
from solution.domain.records import EntryRef
from tests.helpers.stepped_listener import BUY, DEAD, ME, Fixture


@pytest.fixture
def fix(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """A listener that has not stepped yet."""
    return Fixture(monkeypatch)


def test_a_new_entry_is_delivered_once_and_held(fix: Fixture) -> None:
    """In hand until it is acknowledged; reading it again meanwhile does nothing."""
    entry = fix.group.add(fix.now_id())
    assert fix.listener.step() == 0.0
    assert (fix.ids(), fix.listener.holding(), fix.listener.read) == ([entry], 1, 1)
    assert fix.arrivals[0].redelivered is False
    fix.group.add(entry)
    fix.listener.step()
    assert fix.ids() == [entry]
    fix.listener.released([EntryRef("nvda", entry), EntryRef("other", entry)])
    assert fix.listener.holding() == 0


def test_what_is_pending_comes_before_what_is_new(fix: Fixture) -> None:
    """Own and dead peers' entries, in the order of the stream, then the first read."""
    ids = [fix.now_id(ago) for ago in (9, 8, 7, 6, 1)]
    fix.group.add(ids[1], owner=DEAD)
    fix.group.add(ids[3], owner=DEAD)
    fix.group.add(ids[0], owner=DEAD + "-earlier")
    fix.group.add(ids[2], owner=DEAD + "-earlier")
    fix.group.add(ids[4])
    fix.listener.step()
    assert fix.ids() == ids
    assert [a.redelivered for a in fix.arrivals] == [True] * 4 + [False]
    assert sorted(fix.group.forgotten) == [DEAD, DEAD + "-earlier"]
    assert fix.listener.recovered.is_set()


def test_pending_work_that_does_not_fit_holds_back_what_is_new(fix: Fixture) -> None:
    """The queue is smaller than what a crash left: nothing new is read before all of it."""
    old = [fix.group.add(fix.now_id(9, n), owner=DEAD) for n in range(5)]
    new = fix.group.add(fix.now_id())
    fix.room = 2
    fix.listener.step()
    assert fix.ids() == old[:2]
    assert fix.group.forgotten == []
    assert fix.waited == 1
    fix.listener.step()
    assert fix.ids() == old[:4]
    fix.listener.step()
    assert fix.ids() == [*old, new]
    assert fix.group.forgotten == [DEAD]


def test_entries_of_the_living_are_left_alone(fix: Fixture) -> None:
    """Only a consumer that is certainly dead loses its pending entries to us."""
    fix.group.add(fix.now_id(9), owner="alive")
    fix.listener.step()
    assert fix.ids() == []
    assert fix.group.forgotten == []


def test_a_lost_reply_is_found_by_the_sweep(fix: Fixture) -> None:
    """Pending for us and in nobody's hands: read again a second later, as redelivered."""
    fix.listener.step()
    entry = fix.group.add(fix.now_id(), owner=ME)
    fix.listener.step()
    assert fix.ids() == []
    fix.clock.advance(1.0)
    fix.listener.step()
    assert fix.ids() == [entry]
    assert fix.arrivals[0].redelivered is True


def test_what_is_held_is_not_read_again(fix: Fixture) -> None:
    """Work in the queue stays pending for long; sweeps pass it over."""
    fix.group.add(fix.now_id())
    for _ in range(5):
        fix.listener.step()
        fix.clock.advance(1.0)
    assert len(fix.arrivals) == 1


def test_only_as_much_is_read_as_there_is_room_for(fix: Fixture) -> None:
    """Back-pressure: more stays in Redis until workers have caught up."""
    fix.room = 3
    for number in range(5):
        fix.group.add(fix.now_id(0, number))
    fix.listener.step()
    assert fix.group.counts == [3]
    fix.room = 0
    fix.listener.step()
    assert fix.group.counts == [3]
    assert fix.waited == 1


def test_room_that_a_worker_makes_meanwhile_is_read_into_at_once(fix: Fixture) -> None:
    """Waiting for room ends with it, in the same step."""
    entry = fix.group.add(fix.now_id())
    fix.room, fix.freed = 0, 2
    fix.listener.step()
    assert (fix.ids(), fix.group.counts) == ([entry], [2])


def test_an_entry_that_found_no_room_comes_again(fix: Fixture) -> None:
    """Room was there when asked and is gone now: not held, so the sweep finds it."""
    entry = fix.group.add(fix.now_id())
    fix.takes = False
    fix.listener.step()
    assert fix.listener.holding() == 0
    fix.takes = True
    fix.clock.advance(1.0)
    fix.listener.step()
    assert fix.ids() == [entry]


@pytest.mark.parametrize("owner", [ME, DEAD])
def test_a_redelivered_entry_that_found_no_room_holds_back_the_rest(
    fix: Fixture, owner: str
) -> None:
    """Neither a later one nor a new one passes it; all come in order when there is room."""
    old = [fix.group.add(fix.now_id(9, n), owner=owner) for n in range(2)]
    new = fix.group.add(fix.now_id())
    fix.takes = False
    fix.listener.step()
    assert (fix.ids(), fix.group.counts) == ([], [])
    fix.takes = True
    fix.listener.step()
    assert fix.ids() == [*old, new]


def test_without_room_a_dead_peers_entries_stay_where_they_are(fix: Fixture) -> None:
    """Not claimed, and their consumer is not forgotten, until there is room."""
    old = fix.group.add(fix.now_id(9), owner=DEAD)
    fix.room = 0
    fix.listener.step()
    assert (fix.group.pending, fix.group.forgotten) == ({DEAD: [old]}, [])
    fix.room = 1
    fix.listener.step()
    assert (fix.ids(), fix.group.forgotten) == ([old], [DEAD])


def test_a_dead_peer_is_forgotten_when_the_last_end_is_acknowledged(
    fix: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Content that is gone cannot be claimed: pending for the dead one is its last trace.

    Meanwhile nothing is read, claimed or logged a second time.
    """
    gone = fix.group.add(fix.now_id(9), None, owner=DEAD)
    there = fix.group.add(fix.now_id(8), owner=DEAD)
    for _ in range(5):
        fix.listener.step()
        fix.clock.advance(1.0)
    assert (fix.letters, fix.ids(), fix.listener.read) == ([(gone, "PAYLOAD_LOST")], [there], 2)
    assert (fix.group.pending[DEAD], fix.group.forgotten, fix.group.claims) == ([gone], [], 2)
    assert [r.message for r in caplog.records].count("entries_taken_over") == 1
    fix.group.pending[DEAD].remove(gone)
    fix.listener.released([EntryRef("nvda", gone)])
    fix.listener.step()
    assert fix.group.forgotten == [DEAD]
    fix.clock.advance(1.0)
    fix.listener.step()
    assert fix.group.forgotten == [DEAD]


def test_what_a_dead_peer_left_does_not_hide_a_lost_reply(fix: Fixture) -> None:
    """As many held as pending for us, and not the same: told apart while a dead one has some."""
    fix.group.add(fix.now_id(9), None, owner=DEAD)
    fix.listener.step()
    lost = fix.group.add(fix.now_id(8), owner=ME)
    fix.clock.advance(1.0)
    fix.listener.step()
    assert fix.ids() == [lost]


def test_who_may_not_forget_a_dead_peer_goes_on(fix: Fixture) -> None:
    """A user without XGROUP: tried once, told, and no connection is given up for it."""
    fix.group.forget_error = redis.exceptions.NoPermissionError("no permissions to run xgroup")
    entry = fix.group.add(fix.now_id(9), owner=DEAD)
    for _ in range(3):
        assert fix.listener.step() == 0.0
        fix.clock.advance(1.0)
        fix.group.forget_error = None
    assert (fix.ids(), fix.group.forgotten, fix.listener.reconnects) == ([entry], [], 0)


def test_a_fault_while_a_dead_peer_is_forgotten_is_tried_again(fix: Fixture) -> None:
    """As any other command: the connection is made anew, and the name goes then."""
    fix.group.forget_error = redis.ReadOnlyError("READONLY")
    fix.group.add(fix.now_id(9), owner=DEAD)
    assert fix.listener.step() == 0.05
    fix.group.forget_error = None
    fix.listener.step()
    assert fix.group.forgotten == [DEAD]


# --- what kills the process ---------------------------------------------------------------


class Lives:
    """One listener after another on the same group and ledger; the poison kills each of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
        self.first = Fixture(monkeypatch)
        self.point = point
        self._patch = monkeypatch

    def next(self, poison: str) -> Fixture:
        """A new process, until it dies or has read everything."""
        fix = Fixture(self._patch)
        fix.group, fix.ledger = self.first.group, self.first.ledger
        fix.rows = self.first.rows
        fix.build()
        failpoints.arm(failpoints.parse(f"{self.point}~{poison}=raise"))
        try:
            fix.listener.step()
        except failpoints.Crash:
            pass
        finally:
            failpoints.disarm()
        return fix


@pytest.mark.parametrize("owner", [ME, DEAD])
@pytest.mark.parametrize(
    ("point", "deaths"), [("listener.taken", 2), ("listener.reread", 3)], ids=["parsed", "read"]
)
def test_an_entry_that_kills_whoever_reads_it_ends_as_poison(
    monkeypatch: pytest.MonkeyPatch, owner: str, point: str, deaths: int
) -> None:
    """When the process has died of it three times; those pending beside it come to no harm."""
    lives = Lives(monkeypatch, point)
    group, now_id = lives.first.group, lives.first.now_id
    before, poison, after = (group.add(now_id(9, n), owner=owner) for n in range(3))
    for _ in range(deaths):
        fix = lives.next(poison)
        assert (fix.ids(), fix.letters) == ([before], [])
    fix = lives.next("nothing")
    assert (fix.ids(), fix.letters) == ([before, after], [(poison, "POISON")])


def test_an_entry_with_a_row_is_never_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its order may exist: the row sees to its end."""
    lives = Lives(monkeypatch, "listener.taken")
    poison = lives.first.group.add(lives.first.now_id(9), owner=ME)
    for _ in range(2):
        lives.next(poison)
    lives.first.rows.add(poison)
    fix = lives.next("nothing")
    assert (fix.ids(), fix.letters, fix.left) == ([], [], [poison])


def test_pending_entries_wait_while_a_suspect_is_decided(fix: Fixture) -> None:
    """All alone, or an entry that is read beside it would be counted with it."""
    old, new = fix.group.add(fix.now_id(9), owner=ME), fix.group.add(fix.now_id())
    fix.turnstile.enter("suspect", alone=True)
    fix.listener.step()
    assert (fix.ids(), fix.group.new) == ([], [(new, BUY)])
    fix.turnstile.leave("suspect")
    fix.listener.step()
    assert fix.ids() == [old, new]
