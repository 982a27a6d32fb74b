"""Outcomes from many threads become batches, durable before anything is handed on."""

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from solution.clock import Deadline
from solution.domain.records import Change, EntryRef
from solution.errors import LedgerError
from solution.ledger.sqlite import SqliteLedger
from solution.ledger.store import Store
from solution.ledger.writer import BATCH, OutcomeWriter
from solution.runtime.service import Fatal
from tests.helpers.clocks import ManualClock, eventually
from tests.helpers.ledger_rows import make_end, make_event

PATIENCE = 10.0


class Outlet:
    """Keeps what the writer hands on."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[tuple[int, str]], list[str]]] = []

    def __call__(
        self, events: Sequence[tuple[int, Mapping[str, str]]], acks: Sequence[EntryRef]
    ) -> None:
        ids = [(event_id, fields["entry_id"]) for event_id, fields in events]
        self.calls.append((ids, [ref.entry_id for ref in acks]))

    @property
    def acks(self) -> list[str]:
        """The entry ids of all acknowledgements, in order."""
        return [entry_id for _, acks in self.calls for entry_id in acks]

    @property
    def events(self) -> list[tuple[int, str]]:
        """Id and entry id of all events, in order."""
        return [event for events, _ in self.calls for event in events]


class FailingLedger:
    """Fails as often as told, moving the clock a second each time, then serves the real one."""

    def __init__(self, ledger: Store, failures: int, clock: ManualClock) -> None:
        self.left = failures
        self.batches: list[int] = []
        self._ledger = ledger
        self._clock = clock

    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]:
        self.batches.append(len(changes))
        if self.left:
            self.left -= 1
            self._clock.advance(1.0)
            raise LedgerError("the disk is full")
        return self._ledger.apply(changes)

    def tidy(self, *, idle: bool = False) -> None:
        self._ledger.tidy(idle=idle)


@pytest.fixture
def outlet() -> Outlet:
    """Where the writer's output goes."""
    return Outlet()


@pytest.fixture
def writer(ledger: Store, outlet: Outlet) -> Iterator[OutcomeWriter]:
    """A writer that was not started: tests call step() or start() themselves."""
    made = OutcomeWriter(ledger, outlet)
    yield made
    made.stop(Deadline(PATIENCE))


def outcome(number: int) -> Change:
    """An outcome without a row: one event, one acknowledgement."""
    return Change(events=(make_event(number),), ack=(EntryRef("nvda", f"{number}-0"),))


def test_one_step_commits_what_waits_in_its_order(
    writer: OutcomeWriter, outlet: Outlet, ledger: Store
) -> None:
    """Events and acknowledgements are handed on together, in the order they were put."""
    for number in (3, 1, 2):
        writer.put(outcome(number))
    assert writer.pending == 3
    assert writer.step() == 0.0
    assert outlet.calls == [([(1, "3-0"), (2, "1-0"), (3, "2-0")], ["3-0", "1-0", "2-0"])]
    assert [event_id for event_id, _ in ledger.unpublished(10)] == [1, 2, 3]
    assert writer.pending == 0


def test_a_batch_has_a_limit(writer: OutcomeWriter, outlet: Outlet) -> None:
    """More than one batch's worth makes two commits."""
    for number in range(BATCH + 10):
        writer.put(outcome(number))
    writer.step()
    writer.step()
    assert [len(acks) for _, acks in outlet.calls] == [BATCH, 10]


def test_nothing_is_handed_on_before_the_commit(outlet: Outlet) -> None:
    """The rows are in the ledger when publish is called."""
    ledger = SqliteLedger("sqlite://")
    seen = []
    writer = OutcomeWriter(ledger, lambda _events, _acks: seen.append(len(ledger.unpublished(10))))
    writer.put(outcome(1))
    writer.step()
    assert seen == [1]
    ledger.close()


def test_events_reported_before_are_not_handed_on(
    writer: OutcomeWriter, outlet: Outlet, ledger: Store
) -> None:
    """Each id goes with its own event, although some of a change were left out."""
    first, second = make_event(1, final=True), make_event(2, event="canceled")
    writer.put(make_end(1, update={}, events=(make_event(7), make_event(8))))
    writer.put(Change(insert=None, events=(first, second)))
    twice = Change(events=(make_event(5), make_event(6)))
    writer.put(twice)
    writer.put(twice)
    writer.step()
    assert [entry for _, entry in outlet.events] == [
        "7-0",
        "8-0",
        "1-0",
        "2-0",
        "5-0",
        "6-0",
        "5-0",
        "6-0",
    ]


def test_a_started_writer_takes_from_all_threads(
    writer: OutcomeWriter, outlet: Outlet, ledger: Store
) -> None:
    """Eight threads put; flush() returns when all of it is committed and handed on."""
    writer.start()
    threads = [
        threading.Thread(target=lambda t=t: [writer.put(outcome(100 * t + n)) for n in range(100)])
        for t in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(Deadline(PATIENCE))
    assert sorted(outlet.acks) == sorted(f"{n}-0" for n in range(800))
    assert [event_id for event_id, _ in outlet.events] == list(range(1, 801))
    assert ledger.last_event_id() == 800


def test_an_idle_writer_is_woken_by_the_first_change(writer: OutcomeWriter, outlet: Outlet) -> None:
    """A change put into an idle writer is committed long before its idle pause ends."""
    writer.start()
    assert eventually(lambda: writer.last_step_at is not None)
    writer.put(outcome(1))
    assert eventually(lambda: outlet.acks == ["1-0"], patience=0.9)


def test_stop_commits_everything_put_before(writer: OutcomeWriter, outlet: Outlet) -> None:
    """Whatever was put before the stop is durable when it returns."""
    writer.start()
    for number in range(1_000):
        writer.put(outcome(number))
    assert writer.stop(Deadline(PATIENCE))
    assert outlet.acks == [f"{n}-0" for n in range(1_000)]
    assert not writer.alive


def test_what_is_put_during_the_stop_is_committed_by_join(
    writer: OutcomeWriter, outlet: Outlet
) -> None:
    """A worker that finishes while we stop still gets its outcome recorded."""
    writer.start()
    writer.request_stop()
    assert eventually(lambda: not writer.alive)
    writer.put(outcome(1))
    assert writer.join(Deadline(PATIENCE))
    assert outlet.acks == ["1-0"]


def test_a_flush_with_nothing_before_it_commits_nothing(
    writer: OutcomeWriter, outlet: Outlet
) -> None:
    """The writer's step meets the mark alone."""
    passed = threading.Event()
    writer._enqueue(passed)
    assert writer.step() == 0.0
    assert passed.is_set()
    assert outlet.acks == []


def test_flush_works_without_a_thread(writer: OutcomeWriter, outlet: Outlet) -> None:
    """Before the start and after the end the caller commits."""
    writer.put(outcome(1))
    assert writer.flush(Deadline(0.0))
    assert outlet.acks == ["1-0"]


def test_flush_takes_over_from_a_thread_that_ends_meanwhile(
    ledger: Store, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush() that raced with the stop commits the rest itself."""
    writer = OutcomeWriter(ledger, outlet)
    lives = iter([True, False])
    monkeypatch.setattr(OutcomeWriter, "alive", property(lambda _self: next(lives, False)))
    writer.put(outcome(1))
    assert writer.flush(Deadline(PATIENCE))
    assert outlet.acks == ["1-0"]


def test_flush_gives_up_at_its_deadline(
    writer: OutcomeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hangs in a commit does not hold up the stop for ever."""
    monkeypatch.setattr(OutcomeWriter, "alive", property(lambda _self: True))
    assert not writer.flush(Deadline(0.01))


def test_a_failing_ledger_is_tried_again_with_the_batch_held(ledger: Store, outlet: Outlet) -> None:
    """Two failures cost time and nothing else."""
    clock = ManualClock()
    failing = FailingLedger(ledger, 2, clock)
    writer = OutcomeWriter(failing, outlet, clock=clock)
    writer.put(outcome(1))
    writer.step()
    assert failing.batches == [1, 1, 1]
    assert outlet.calls == [([(1, "1-0")], ["1-0"])]


def test_a_ledger_that_fails_for_too_long_ends_the_service(ledger: Store, outlet: Outlet) -> None:
    """After five seconds: Fatal, nothing acknowledged, and flush() does not pretend."""
    clock = ManualClock()
    failing = FailingLedger(ledger, 99, clock)
    writer = OutcomeWriter(failing, outlet, clock=clock, give_up=3.0)
    writer.put(outcome(1))
    with pytest.raises(Fatal, match="the ledger failed for 3 s: the disk is full"):
        writer.step()
    assert (outlet.calls, writer.pending, len(failing.batches)) == ([], 1, 3)
    assert not writer.flush(Deadline(PATIENCE))


def test_flush_gives_up_when_the_thread_ended_with_fatal(ledger: Store, outlet: Outlet) -> None:
    """A waiting flush() notices that nobody will commit any more."""
    clock = ManualClock()
    writer = OutcomeWriter(FailingLedger(ledger, 99, clock), outlet, clock=clock, give_up=0.5)
    writer.start()
    writer.put(outcome(1))
    assert not writer.flush(Deadline(PATIENCE))
    assert eventually(lambda: not writer.alive)
    assert outlet.calls == []


def test_a_drain_that_fails_says_so(
    ledger: Store, outlet: Outlet, caplog: pytest.LogCaptureFixture
) -> None:
    """join() after a failure on the last changes returns False and leaves a line in the log."""
    clock = ManualClock()
    writer = OutcomeWriter(FailingLedger(ledger, 99, clock), outlet, clock=clock, give_up=0.5)
    writer.put(outcome(1))
    assert not writer.flush(Deadline(PATIENCE))
    assert "outcomes_lost" in caplog.messages


def test_one_impossible_change_does_not_take_its_neighbours_along(
    writer: OutcomeWriter, outlet: Outlet, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the program loses its own record only, and acknowledges nothing for it."""
    writer.put(outcome(1))
    writer.put(Change(client_order_id="x", update={"sate": "x"}, ack=(EntryRef("nvda", "2-0"),)))
    writer.put(outcome(3))
    writer.step()
    assert outlet.acks == ["1-0", "3-0"]
    assert caplog.messages.count("change_not_stored") == 2
    assert writer.pending == 0


def test_idle_time_is_used_for_upkeep_once(ledger: Store, outlet: Outlet) -> None:
    """Published rows go when nothing has happened for a second."""
    clock = ManualClock()
    writer = OutcomeWriter(ledger, outlet, clock=clock)
    writer.put(outcome(1))
    writer.step()
    ledger.mark_published([1])
    pauses = [writer.step()]
    assert ledger._read("SELECT count(*) FROM outbox") == [(1,)]
    clock.advance(1.0)
    pauses += [writer.step(), writer.step()]
    assert ledger._read("SELECT count(*) FROM outbox") == [(0,)]
    assert pauses == [1.0, 1.0, 1.0]


def test_a_lost_lease_ends_the_writing_at_once(outlet: Outlet) -> None:
    """Trying again would help nobody: the entries are the other instance's now."""
    ledger = SqliteLedger("sqlite://")
    ledger.acquire_lease("me", 60)
    ledger._connection.execute("UPDATE lease SET epoch = 9")
    writer = OutcomeWriter(ledger, outlet)
    writer.put(outcome(1))
    with pytest.raises(Fatal, match="another instance holds the ledger"):
        writer.step()
    assert outlet.calls == []
    assert not writer.flush(Deadline(0.0))
    ledger.close()


def test_a_batch_gives_way_before_its_commit_but_not_when_stopping(
    writer: OutcomeWriter, outlet: Outlet
) -> None:
    """Orders about to leave come first; the last batch waits for nothing."""
    ways: list[int] = []
    writer.give_way = lambda: ways.append(len(outlet.calls))
    writer.start()
    writer.put(make_end(1))
    assert writer.flush(Deadline(PATIENCE))
    assert ways == [0]
    writer.request_stop()
    writer.put(make_end(2))
    assert writer.join(Deadline(PATIENCE))
    assert ways == [0]
    assert len(outlet.calls) == 2
