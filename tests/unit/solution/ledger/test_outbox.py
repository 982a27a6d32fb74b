"""The publisher against a Redis that refuses, breaks, and comes back."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import pytest
import redis

from solution.clock import Deadline
from solution.domain.records import Change, EntryRef
from solution.errors import LedgerError
from solution.ledger.outbox import BATCH, OutboxPublisher
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.clocks import eventually
from tests.helpers.ledger_rows import make_event

PATIENCE = 10.0


class FakeRedis:
    """A pipeline that records commands and answers as a server would, or fails as told."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.published: list[int] = []
        self.acked: list[str] = []
        self.refuse: dict[str, Exception] = {}
        self.lose: list[str] = []
        self.connections = 0
        self.closed = 0

    def connect(self) -> Any:
        """What the publisher is given as its factory."""
        self.connections += 1
        return self

    def pipeline(self, transaction: bool) -> Self:
        assert transaction is False
        self.sent = []
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        self.closed += 1
        raise redis.ConnectionError("already gone")

    def execute_command(self, *command: Any) -> None:
        self.sent.append(command)

    def execute(self, raise_on_error: bool) -> list[Any]:
        assert raise_on_error is False
        lost = self.lose.pop(0) if self.lose else ""
        if lost == "request":
            raise redis.ConnectionError("lost before it arrived")
        replies = [self._answer(command) for command in self.sent]
        if lost == "reply":
            raise redis.TimeoutError("lost after it arrived")
        return replies

    def _answer(self, command: tuple[Any, ...]) -> Any:
        refusal = self.refuse.get(command[0])
        if command[0] == "EXEC":
            if "XADD" in self.refuse:
                return redis.exceptions.ExecAbortError("Transaction discarded")
            if refusal is not None:
                return [refusal]
            self.published += [c[7] for c in self.sent if c[0] == "XADD"]
            return [b"1-1" for c in self.sent if c[0] == "XADD"]
        if refusal is not None:
            return refusal
        if command[0] == "XACK":
            self.acked += command[3:]
            return len(command) - 3
        return b"OK"


class Released:
    """A holder of entries that keeps what it is told."""

    def __init__(self) -> None:
        self.refs: list[EntryRef] = []

    def released(self, refs: Iterable[EntryRef]) -> None:
        self.refs += refs


@pytest.fixture
def server() -> FakeRedis:
    """The other side."""
    return FakeRedis()


@pytest.fixture
def listener() -> Released:
    """The side that holds the entries."""
    return Released()


@pytest.fixture
def make(
    ledger: SqliteLedger, server: FakeRedis, listener: Released
) -> Iterator[Callable[..., OutboxPublisher]]:
    """Makes a publisher on the test's ledger; ended with the test."""
    made: list[OutboxPublisher] = []

    def build(**options: Any) -> OutboxPublisher:
        publisher = OutboxPublisher(ledger, server.connect, group="solution", **options)
        publisher.on_released = listener.released
        made.append(publisher)
        return publisher

    yield build
    for publisher in made:
        publisher.stop(Deadline(PATIENCE))


def refs(*numbers: int, stream: str = "nvda") -> list[EntryRef]:
    """References to entries."""
    return [EntryRef(stream, f"{number}-0") for number in numbers]


def commit(ledger: SqliteLedger, *numbers: int) -> list[tuple[int, dict[str, str]]]:
    """Commit one event per number; returns them as the writer hands them on."""
    change = Change(events=tuple(make_event(number) for number in numbers))
    return ledger.apply([change])


def waiting(ledger: SqliteLedger) -> list[int]:
    """The ids in the outbox."""
    return [event_id for event_id, _ in ledger.unpublished(100_000)]


def test_one_round_is_one_pipeline(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
) -> None:
    """Events in one MULTI/EXEC in their order, then one XACK per stream."""
    publisher = make(stream="out", maxlen=7)
    publisher.publish(commit(ledger, 1, 2), [*refs(1, 2), *refs(3, stream="spy")])
    assert publisher.pending == 5
    assert publisher.step() == 0.0
    assert [command[0] for command in server.sent] == [
        "MULTI",
        "XADD",
        "XADD",
        "EXEC",
        "XACK",
        "XACK",
    ]
    assert server.sent[1][:10] == (
        *("XADD", "out", "MAXLEN", "~", 7, "*", "event_id", 1, "stream", "nvda"),
    )
    assert server.sent[4:] == [
        ("XACK", "nvda", "solution", "1-0", "2-0"),
        ("XACK", "spy", "solution", "3-0"),
    ]
    assert (publisher.pending, waiting(ledger)) == (0, [])
    assert listener.refs == [*refs(1, 2), *refs(3, stream="spy")]


def test_acknowledgements_alone_need_no_transaction(
    make: Callable[..., OutboxPublisher], server: FakeRedis
) -> None:
    """Nothing but XACK is sent where there is no event."""
    publisher = make()
    publisher.publish([], refs(1))
    publisher.step()
    assert [command[0] for command in server.sent] == ["XACK"]


def test_what_a_former_run_left_goes_first(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """Events committed before the start are read from the table, before new ones."""
    commit(ledger, *range(1_500))
    publisher = make()
    publisher.publish(commit(ledger, 9), [])
    assert publisher.flush(Deadline(PATIENCE))
    assert server.published == list(range(1, 1_502))


def test_a_start_with_nothing_left_is_settled_at_once(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """Ids that a former run used up and published are no work."""
    ledger.mark_published([event_id for event_id, _ in commit(ledger, 1, 2)])
    publisher = make()
    assert publisher.pending == 0
    assert publisher.step() > 0.0
    assert server.connections == 0
    assert publisher.flush(Deadline(0.0))


def test_a_request_that_was_lost_is_sent_again(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
) -> None:
    """A broken connection costs a pause and a new client; nothing is released meanwhile."""
    publisher = make()
    server.lose = ["request"]
    publisher.publish(commit(ledger, 1, 2), refs(1))
    assert publisher.step() > 0
    assert (publisher.pending, listener.refs, server.closed) == (3, [], 1)
    assert "ConnectionError" in publisher.trouble
    assert publisher.step() == 0.0
    assert (server.published, server.acked, publisher.trouble) == ([1, 2], ["1-0"], "")
    assert server.connections == 2


def test_a_lost_reply_sends_the_same_ids_again(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
) -> None:
    """At least once: the copies carry the same event_id, and the second XACK does nothing."""
    publisher = make()
    server.lose = ["reply"]
    publisher.publish(commit(ledger, 1, 2), refs(1))
    publisher.step()
    publisher.step()
    assert server.published == [1, 2, 1, 2]
    assert listener.refs == refs(1)


def test_pauses_grow_to_half_a_second_and_start_again(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """A Redis that is away is asked at least twice a second."""
    publisher = make()
    publisher.publish(commit(ledger, 1), [])
    server.lose = ["request"] * 8
    pauses = [publisher.step() for _ in range(9)]
    assert pauses == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5, 0.0]
    publisher.publish(commit(ledger, 2), [])
    server.lose = ["request"]
    assert publisher.step() == 0.02


def test_out_of_memory_stops_events_and_not_acknowledgements(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
) -> None:
    """XADD is refused, XACK is not: the row is durable, so the entry is acknowledged."""
    publisher = make()
    server.refuse["XADD"] = redis.exceptions.OutOfMemoryError("OOM command not allowed")
    publisher.publish(commit(ledger, 1, 2), refs(1, 2))
    assert publisher.step() > 0
    assert (server.published, listener.refs, waiting(ledger)) == ([], refs(1, 2), [1, 2])
    assert publisher.pending == 2
    publisher.step()
    assert [command[0] for command in server.sent] == ["MULTI", "XADD", "EXEC"]
    server.refuse.clear()
    assert publisher.flush(Deadline(PATIENCE))
    assert server.published == [1, 2]


def test_an_error_inside_the_transaction_keeps_the_events(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """EXEC answers with a list that holds errors, such as WRONGTYPE."""
    publisher = make()
    server.refuse["EXEC"] = redis.ResponseError("WRONGTYPE Operation against a key")
    publisher.publish(commit(ledger, 1), [])
    assert publisher.step() > 0
    assert waiting(ledger) == [1]
    assert "WRONGTYPE" in publisher.trouble


@pytest.mark.parametrize("words", ["NOGROUP No such consumer group", "WRONGTYPE Operation"])
def test_an_acknowledgement_that_can_never_work_is_let_go(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
    words: str,
) -> None:
    """Without its group an entry has nothing to be acknowledged in; events are not held up."""
    publisher = make()
    server.refuse["XACK"] = redis.ResponseError(words)
    publisher.publish(commit(ledger, 1), refs(1))
    assert publisher.step() == 0.0
    assert (server.published, listener.refs, publisher.pending) == ([1], refs(1), 0)


def test_a_refused_acknowledgement_is_made_later_in_its_place(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
) -> None:
    """A replica refuses XACK: events that went are not sent again, the client is replaced."""
    publisher = make()
    server.refuse["XACK"] = redis.ReadOnlyError("READONLY You can't write against a replica")
    publisher.publish(commit(ledger, 1), refs(1, 2))
    assert publisher.step() > 0
    publisher.publish([], refs(3))
    server.refuse.clear()
    assert publisher.flush(Deadline(PATIENCE))
    assert (server.published, server.acked, server.connections) == ([1], ["1-0", "2-0", "3-0"], 2)
    assert listener.refs == refs(1, 2, 3)


def test_memory_is_bounded_and_the_rest_is_read_from_the_table(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """Beyond the limit events wait in the ledger only, and still go in order, once."""
    publisher = make(memory_limit=5)
    for number in range(1, 13):
        publisher.publish(commit(ledger, number), [])
    assert len(publisher._events) == 5
    assert publisher.pending == 12
    publisher.step()
    publisher.publish(commit(ledger, 13), [])
    assert publisher.flush(Deadline(PATIENCE))
    assert server.published == list(range(1, 14))
    publisher.publish(commit(ledger, 14), [])
    publisher.step()
    assert server.published[-1] == 14


def test_an_event_read_from_the_table_before_it_was_handed_over_goes_once(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """A commit may be read back before the writer had the time to hand it on."""
    commit(ledger, 1)
    publisher = make()
    late = commit(ledger, 2)
    publisher.step()
    publisher.publish(late, [])
    assert publisher.flush(Deadline(PATIENCE))
    assert server.published == [1, 2]


def test_a_ledger_that_cannot_be_read_is_asked_again(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error of the ledger is a pause, not the end of the thread."""
    commit(ledger, 1)
    publisher = make()

    def fail(limit: int, after: int = 0) -> None:
        raise LedgerError("the ledger is busy")

    monkeypatch.setattr(ledger, "unpublished", fail)
    assert publisher.step() > 0
    assert publisher.trouble == "the ledger is busy"
    monkeypatch.undo()
    assert publisher.flush(Deadline(PATIENCE))
    assert server.published == [1]


def test_a_long_queue_goes_in_several_rounds(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """No pipeline grows without bound."""
    publisher = make()
    publisher.publish(commit(ledger, *range(BATCH + 1)), [])
    publisher.step()
    assert len(server.published) == BATCH
    publisher.step()
    assert len(server.published) == BATCH + 1


def test_a_started_publisher_wakes_at_once_and_settles(
    make: Callable[..., OutboxPublisher],
    ledger: SqliteLedger,
    server: FakeRedis,
    listener: Released,
) -> None:
    """An idle publisher sends long before its idle pause ends; flush() waits for it."""
    publisher = make()
    publisher.start()
    assert publisher.flush(Deadline(PATIENCE))
    assert eventually(lambda: publisher.last_step_at is not None)
    publisher.publish(commit(ledger, 1), refs(1))
    assert publisher.flush(Deadline(0.9))
    assert (server.published, listener.refs) == ([1], refs(1))


def test_flush_tells_the_truth_when_redis_stays_away(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """The deadline passes and something is still waiting."""
    publisher = make()
    publisher.start()
    server.lose = ["request"] * 1_000
    publisher.publish(commit(ledger, 1), [])
    assert not publisher.flush(Deadline(0.05))


def test_stop_sends_what_is_left(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """Whatever was handed over before the stop is in Redis when it returns."""
    publisher = make()
    publisher.start()
    for number in range(50):
        publisher.publish(commit(ledger, number), [])
    assert publisher.stop(Deadline(PATIENCE))
    assert server.published == list(range(1, 51))


def test_a_thread_that_hangs_is_reported(
    make: Callable[..., OutboxPublisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    """join() sends nothing while the thread may still be sending."""
    publisher = make()
    monkeypatch.setattr(OutboxPublisher, "alive", property(lambda _self: True))
    assert not publisher.join(Deadline(0.0))
    monkeypatch.undo()


def test_stop_does_not_wait_for_a_redis_that_is_away(
    make: Callable[..., OutboxPublisher], ledger: SqliteLedger, server: FakeRedis
) -> None:
    """What could not be sent is in the ledger for the next start."""
    publisher = make()
    publisher.start()
    server.lose = ["request"] * 1_000
    publisher.publish(commit(ledger, 1), [])
    assert publisher.stop(Deadline(PATIENCE))
    assert waiting(ledger) == [1]


def test_events_that_the_table_holds_no_more_are_not_waited_for() -> None:
    """The table said that something waits; by the time it is read, nothing does."""

    class Emptied:
        def last_event_id(self) -> int:
            return 5

        def __init__(self) -> None:
            self.left: list[Any] = [[(1, {})]]

        def unpublished(self, _limit: int, _after: int = 0) -> Any:
            return self.left.pop() if self.left else []

        def mark_published(self, _event_ids: Iterable[int]) -> None:
            raise AssertionError("nothing was published")

    fake, nobody = FakeRedis(), Emptied()
    outbox: Any = nobody
    publisher = OutboxPublisher(outbox, fake.connect, group="g")
    assert publisher.pending == 5
    assert publisher.step() == 0.0
    assert (publisher.pending, fake.connections) == (0, 0)
