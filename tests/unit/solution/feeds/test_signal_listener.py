"""SignalListener step by step, over a stream group in memory and a clock set by hand."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis

from solution import failpoints
from solution.domain.reasons import RedisFault
from solution.domain.records import EntryRef, entry_key
from solution.domain.signal import parse
from solution.errors import LedgerError, SignalError
from solution.feeds import arrival
from solution.feeds import signal_listener as module
from solution.feeds.reading import Reading
from solution.feeds.signal_listener import Arrival, ListenerPorts, ListenerRules, SignalListener
from solution.feeds.stream_group import Entry, Tail
from solution.ledger.sqlite import SqliteLedger
from solution.runtime.service import Fatal
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


# --- what is no signal --------------------------------------------------------------------


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


# --- Redis in trouble ---------------------------------------------------------------------


def test_a_lost_connection_is_made_anew_with_a_bounded_pause(fix: Fixture) -> None:
    """50 ms, doubling to a quarter of a second; then what is pending is looked for at once."""
    fix.listener.step()
    fix.group.errors = [redis.ConnectionError("reset")] * 6
    pauses = [fix.listener.step() for _ in range(6)]
    assert pauses == [0.05, 0.1, 0.2, 0.25, 0.25, 0.25]
    assert fix.clients[0].closed
    assert not fix.listener.connected
    assert "reset" in fix.listener.trouble
    assert fix.listener.reconnects == 6
    entry = fix.group.add(fix.now_id(), owner=ME)
    assert fix.listener.step() == 0.0
    assert fix.ids() == [entry]
    assert fix.listener.connected
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
    fix.group.tail = Tail(end, end, None, None, None)
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
    fix.group.tail = Tail(end, end, None, None, None)
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
