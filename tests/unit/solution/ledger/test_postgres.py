"""What only a ledger on a server meets: lost answers, a server that is away, two instances."""

import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from solution.domain.records import Change, EntryRef, State
from solution.errors import IdentityExists, LeaseLost, LedgerBusy, LedgerError
from solution.ledger import open_reader, postgres_session, rows
from solution.ledger.postgres import PostgresLedger
from solution.ledger.postgres_session import PostgresExecutor
from tests.helpers.clocks import ManualClock, eventually
from tests.helpers.ledger_rows import make_end, make_event, make_intent
from tests.helpers.postgres_server import PostgresServer

REF = EntryRef("nvda", "1-0")


@pytest.fixture
def other(postgres_url: str) -> Iterator[PostgresLedger]:
    """A second instance on the same ledger."""
    ledger = PostgresLedger(postgres_url)
    yield ledger
    ledger.close()


@pytest.fixture
def stranger(
    postgres_server: PostgresServer, postgres_url: str
) -> Iterator["psycopg.Connection[Any]"]:
    """A connection beside the ledger's."""
    with postgres_server.connect(postgres_url) as connection:
        yield connection


class Losing:
    """Loses the connection at statements that begin in some way.

    Args:
        start: how the statement begins.
        arrived: whether it is executed before the connection is lost.
        times: at how many such statements.
        then: done right after the connection was lost.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        start: str,
        *,
        arrived: bool,
        times: int = 1,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._start = start
        self._arrived = arrived
        self._then = then
        self.left = times
        self._execute = PostgresExecutor.execute
        losing = self

        def execute(executor: PostgresExecutor, sql: str, parameters: Sequence[Any] = ()) -> Any:
            return losing.run(executor, sql, parameters)

        monkeypatch.setattr(PostgresExecutor, "execute", execute)

    def run(self, executor: PostgresExecutor, sql: str, parameters: Sequence[Any]) -> Any:
        if not self.left or not sql.startswith(self._start):
            return self._execute(executor, sql, parameters)
        self.left -= 1
        if self._arrived:
            self._execute(executor, sql, parameters)
        executor._connection.close()
        self._then()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


# --- an INSERT before a POST whose answer is lost ------------------------------------------------


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("leased", [True, False])
def test_a_begin_without_an_answer_is_cleared_up(
    postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch, *, arrived: bool, leased: bool
) -> None:
    """Whether or not the row was written, begin() returns with exactly one."""
    if leased:
        postgres_ledger.acquire_lease("me", 60)
    Losing(monkeypatch, "INSERT INTO order_intents", arrived=arrived)
    postgres_ledger.begin(make_intent())
    assert [intent.entry_id for intent in postgres_ledger.open_intents()] == ["1-0"]
    with pytest.raises(IdentityExists):
        postgres_ledger.begin(make_intent())


@pytest.mark.parametrize("arrived", [True, False])
def test_a_begin_without_an_answer_does_not_claim_anothers_row(
    postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch, *, arrived: bool
) -> None:
    """The lost answer was "it exists": the row in the way is equal and still not ours."""
    postgres_ledger.begin(make_intent())
    Losing(monkeypatch, "INSERT INTO order_intents", arrived=arrived)
    with pytest.raises(IdentityExists):
        postgres_ledger.begin(make_intent())


@pytest.mark.parametrize("arrived", [True, False])
def test_a_begin_without_an_answer_loses_to_a_takeover(
    postgres_ledger: PostgresLedger,
    other: PostgresLedger,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arrived: bool,
) -> None:
    """The successor sees the row and deals with it; we must not send."""
    postgres_ledger.acquire_lease("me", 0.0)
    Losing(
        monkeypatch,
        "INSERT INTO order_intents",
        arrived=arrived,
        then=lambda: other.acquire_lease("other", 60),
    )
    with pytest.raises(LeaseLost):
        postgres_ledger.begin(make_intent())
    assert len(other.open_intents()) == arrived


def test_a_begin_that_stays_unclear_is_an_error(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer within the patience: nothing is sent, and the next attempt finds the row."""
    ledger = PostgresLedger(postgres_url, patience=0.0)
    losing = Losing(monkeypatch, "INSERT INTO order_intents", arrived=True)
    with pytest.raises(LedgerError, match="does not answer"):
        ledger.begin(make_intent())
    assert losing.left == 0
    with pytest.raises(IdentityExists):
        ledger.begin(make_intent())
    ledger.close()


@pytest.mark.parametrize(("arrived", "before", "counted"), [
    (True, 0, 1), (False, 0, 1), (True, 2, 3), (False, 2, 2),
])  # fmt: skip
def test_a_start_without_an_answer_is_not_counted_twice(
    postgres_ledger: PostgresLedger,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arrived: bool,
    before: int,
    counted: int,
) -> None:
    """Rather one too few: an entry must not look like poison for a lost connection."""
    for _ in range(before):
        postgres_ledger.mark_start(REF)
    Losing(monkeypatch, "INSERT INTO entry_starts", arrived=arrived)
    assert postgres_ledger.mark_start(REF) == counted
    assert postgres_ledger.open_starts() == {REF: counted}


# --- a COMMIT whose answer is lost ---------------------------------------------------------------


@pytest.mark.parametrize("start", ["COMMIT", "UPDATE outbox_head", "BEGIN", "UPDATE order_intents"])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_batch_without_an_answer_counts_once(
    postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch, start: str, *, arrived: bool
) -> None:
    """Events that are not final, which nothing else deduplicates, come once as well."""
    postgres_ledger.begin(make_intent())
    change = make_end(events=(make_event(event="new"), make_event(final=True)))
    Losing(monkeypatch, start, arrived=arrived)
    told = [rows.event_fields(event) for event in change.events]
    assert postgres_ledger.apply([change]) == [(1, told[0]), (2, told[1])]
    assert [event_id for event_id, _ in postgres_ledger.unpublished(10)] == [1, 2]
    assert postgres_ledger.find(make_intent().identity).state is State.FILLED
    assert [number for number, _ in postgres_ledger.apply([Change(events=(make_event(),))])] == [3]


@pytest.mark.parametrize("arrived", [True, False])
def test_a_batch_that_stays_unclear_counts_once_when_it_is_given_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, *, arrived: bool
) -> None:
    """The writer keeps its batch and tries again, as it does with every failure."""
    ledger = PostgresLedger(postgres_url, patience=0.0)
    change = Change(events=(make_event(event="new"),))
    losing = Losing(monkeypatch, "COMMIT", arrived=arrived)
    with pytest.raises(LedgerError, match="does not answer"):
        ledger.apply([change])
    assert losing.left == 0
    assert ledger.apply([change]) == [(1, rows.event_fields(change.events[0]))]
    assert [event_id for event_id, _ in ledger.unpublished(10)] == [1]
    ledger.close()


def test_an_unclear_batch_does_not_swallow_the_next_one(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other changes after a lost answer are written, and numbered behind."""
    ledger = PostgresLedger(postgres_url, patience=0.0)
    Losing(monkeypatch, "COMMIT", arrived=True)
    with pytest.raises(LedgerError):
        ledger.apply([Change(events=(make_event(1),))])
    second = Change(events=(make_event(2),))
    assert ledger.apply([second]) == [(2, rows.event_fields(second.events[0]))]
    ledger.close()


def test_a_committed_batch_is_told_although_the_lease_is_gone(
    postgres_ledger: PostgresLedger, other: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was committed while the lease was ours; what comes after is refused."""
    postgres_ledger.acquire_lease("me", 0.0)
    Losing(monkeypatch, "COMMIT", arrived=True, then=lambda: other.acquire_lease("other", 60))
    assert len(postgres_ledger.apply([Change(events=(make_event(),))])) == 1
    with pytest.raises(LeaseLost):
        postgres_ledger.apply([Change(events=(make_event(),))])


def test_what_was_published_is_forgotten_although_the_answer_was_lost(
    postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting twice is harmless, so the deletions simply go again."""
    postgres_ledger.apply([Change(events=(make_event(1),))])
    postgres_ledger.mark_published([1])
    Losing(monkeypatch, "COMMIT", arrived=True)
    postgres_ledger.apply([Change(events=(make_event(2),))])
    assert [event_id for event_id, _ in postgres_ledger.unpublished(10)] == [2]


# --- a server that is away, hangs, or says no ----------------------------------------------------


def test_a_server_that_is_away_is_one_sentence_and_forgiven(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Nothing is durable meanwhile; the same object works when the server is back."""
    ledger = PostgresLedger(postgres_url, patience=0.1)
    ledger.begin(make_intent(1))
    postgres_server.stop()
    try:
        for write in (
            lambda: ledger.begin(make_intent(2)),
            lambda: ledger.apply([make_end(1)]),
            lambda: ledger.renew_lease(1.0),
        ):
            with pytest.raises(LedgerError, match="does not answer") as caught:
                write()
            assert "canary" not in str(caught.value)
        with pytest.raises(LedgerError, match="does not answer"):
            PostgresLedger(postgres_url, patience=0.1)
    finally:
        postgres_server.start()
    ledger.begin(make_intent(2))
    assert len(ledger.apply([make_end(1)])) == 1
    ledger.close()


def test_a_server_that_restarts_is_waited_for(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Within its patience a ledger connects again by itself."""
    ledger = PostgresLedger(postgres_url, patience=60.0)
    ledger.begin(make_intent(1))
    postgres_server.crash()
    begun = threading.Event()

    def work() -> None:
        ledger.begin(make_intent(2))
        begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    postgres_server.start()
    thread.join(60)
    assert begun.is_set()
    assert len(ledger.apply([make_end(2)])) == 1
    ledger.close()


def test_a_frozen_server_is_noticed(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts every byte and answers none: the ledger gives up, and recovers with it."""
    monkeypatch.setattr(postgres_session, "_NO_ANSWER", 0.3)
    ledger = PostgresLedger(postgres_url, timeout=0.3, patience=0.0)
    ledger.begin(make_intent(1))
    ledger.last_event_id()
    with postgres_server.frozen():
        with pytest.raises(LedgerError, match="no answer within"):
            ledger.begin(make_intent(2))
        with pytest.raises(LedgerError, match="no answer within"):
            ledger.last_event_id()
    ledger.begin(make_intent(3))
    ledger.close()


def test_a_lock_held_by_a_stranger_ends_in_ledger_busy(
    postgres_url: str, stranger: "psycopg.Connection[Any]"
) -> None:
    """Somebody's open transaction is waited for as long as the timeout says, not for ever."""
    ledger = PostgresLedger(postgres_url, timeout=0.1)
    with stranger.transaction():
        stranger.execute("LOCK TABLE order_intents, outbox_head IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LedgerBusy, match="locked"):
            ledger.begin(make_intent())
        with pytest.raises(LedgerBusy, match="locked"):
            ledger.apply([make_end()])
    ledger.begin(make_intent())
    ledger.close()


def test_who_waited_behind_an_attempt_that_failed_gives_way(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt at a server that says nothing takes seconds: those behind it make none."""
    ledger = PostgresLedger(postgres_url, timeout=0.1, patience=0.0)
    ledger.begin(make_intent(8))
    monkeypatch.setattr(ledger._intents._connection, "answer_within", 0.3)
    entered, failures, tries = threading.Event(), [], []
    connected = ledger._intents._connected

    def attempt() -> Any:
        tries.append(1)
        entered.set()
        return connected()

    monkeypatch.setattr(ledger._intents, "_connected", attempt)

    def begin(number: int) -> None:
        with pytest.raises(LedgerError, match="does not answer") as raised:
            ledger.begin(make_intent(number))
        failures.append(str(raised.value))

    with postgres_server.frozen():
        threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
        threads[0].start()
        assert entered.wait(10)
        for thread in threads[1:]:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert (len(tries), len(failures), len(set(failures))) == (1, 4, 1)
    ledger.begin(make_intent(9))
    ledger.close()


def test_a_read_only_server_makes_nothing_durable(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Said by an open ledger and at the start; reading goes on."""
    ledger = PostgresLedger(postgres_url)
    ledger._reads.run(
        lambda executor, _again: executor.execute("SET default_transaction_read_only = on")
    )
    with pytest.raises(LedgerError, match="read-only"):
        ledger.renew_lease(1.0)
    ledger.close()
    with postgres_server.connect("postgres") as connection:
        connection.execute("ALTER ROLE postgres SET default_transaction_read_only = on")
        try:
            with pytest.raises(LedgerError, match="read-only"):
                PostgresLedger(postgres_url, patience=0.0)
            with open_reader(postgres_url) as reader:
                assert reader.list_intents() == []
        finally:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER ROLE postgres RESET default_transaction_read_only")


def test_a_refused_statement_leaves_the_connection_usable(
    postgres_ledger: PostgresLedger, stranger: "psycopg.Connection[Any]"
) -> None:
    """A table without permission, say: one sentence, and no transaction stays open."""
    stranger.execute("ALTER TABLE order_intents RENAME TO hidden")
    try:
        with pytest.raises(LedgerError, match="refused a statement"):
            postgres_ledger.begin(make_intent())
        with pytest.raises(LedgerError, match="refused a statement"):
            postgres_ledger.apply([make_end()])
    finally:
        stranger.execute("ALTER TABLE hidden RENAME TO order_intents")
    postgres_ledger.begin(make_intent())
    assert len(postgres_ledger.apply([make_end()])) == 1


def test_upkeep_that_fails_is_logged_and_loses_nothing(
    postgres_ledger: PostgresLedger,
    stranger: "psycopg.Connection[Any]",
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is published stays marked; the next commit tells if it is serious."""
    postgres_ledger.apply([Change(events=(make_event(),))])
    postgres_ledger.tidy()
    postgres_ledger.mark_published([1])
    stranger.execute("ALTER TABLE outbox RENAME TO hidden")
    try:
        postgres_ledger.tidy(idle=True)
    finally:
        stranger.execute("ALTER TABLE hidden RENAME TO outbox")
    assert "ledger_tidy_failed" in caplog.messages
    postgres_ledger.tidy(idle=True)
    assert postgres_ledger._read("SELECT count(*) FROM outbox") == [(0,)]


def test_a_mistake_on_a_connection_that_died_is_still_told(
    postgres_ledger: PostgresLedger, stranger: "psycopg.Connection[Any]"
) -> None:
    """The rollback fails as well; the next call connects again."""

    def work(executor: PostgresExecutor, _again: bool) -> None:
        [pid] = executor.execute("SELECT pg_backend_pid()").fetchone()
        stranger.execute("SELECT pg_terminate_backend(%s)", (pid,))
        assert eventually(
            lambda: (
                stranger.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
                is None
            )
        )
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        postgres_ledger._reads.transaction(work)
    assert postgres_ledger.last_event_id() == 0


# --- two instances -------------------------------------------------------------------------------


def test_only_one_holds_the_lease(postgres_ledger: PostgresLedger, other: PostgresLedger) -> None:
    """The second gets it when the first lets go, with a higher epoch."""
    assert postgres_ledger.acquire_lease("one", 60) == 1
    assert other.acquire_lease("two", 60) is None
    assert other.epoch == 0
    assert postgres_ledger.acquire_lease("one", 60) == 2
    postgres_ledger.release_lease()
    assert other.acquire_lease("two", 60) == 3


def test_an_expired_lease_is_taken_by_the_databases_clock(
    postgres_url: str, other: PostgresLedger
) -> None:
    """A clock that runs wrong on one machine neither keeps nor loses a lease."""
    ledger = PostgresLedger(postgres_url, clock=ManualClock())
    ledger.acquire_lease("one", 0.05)
    assert eventually(lambda: other.acquire_lease("two", 60) is not None)
    with pytest.raises(LeaseLost):
        ledger.renew_lease(60)
    with pytest.raises(LeaseLost):
        ledger.begin(make_intent())
    ledger.release_lease()
    assert PostgresLedger.acquire_lease(ledger, "one", 60) is None
    ledger.close()


def test_a_renewed_lease_does_not_expire(
    postgres_ledger: PostgresLedger, other: PostgresLedger
) -> None:
    """Renewing moves the end, also of a lease that ran out and that nobody took."""
    postgres_ledger.acquire_lease("one", 0.0)
    postgres_ledger.renew_lease(60)
    assert other.acquire_lease("two", 60) is None


def test_a_takeover_waits_for_a_write_that_compared_the_old_epoch(
    postgres_ledger: PostgresLedger, other: PostgresLedger
) -> None:
    """Otherwise the successor would read the open rows and miss one. A renewal need not wait."""
    postgres_ledger.acquire_lease("one", 0.0)
    held, release, taken = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        def slowly(executor: Any) -> None:
            executor.execute(rows.INSERT_INTENT, rows.intent_row(make_intent(), 1))
            held.set()
            release.wait(20)

        postgres_ledger._write(slowly)

    def take() -> None:
        other.acquire_lease("two", 60)
        taken.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert held.wait(20)
    taker = threading.Thread(target=take)
    taker.start()
    assert not taken.wait(0.3)
    release.set()
    assert taken.wait(20)
    writer.join()
    taker.join()
    assert [intent.entry_id for intent in other.open_intents()] == ["1-0"]


def test_a_process_paused_amid_many_rows_loses_the_lease_all_the_same(
    postgres_ledger: PostgresLedger, other: PostgresLedger
) -> None:
    """What it has sent of them must not keep its session, and with it the lock, beyond its time."""
    postgres_ledger.acquire_lease("one", 0.0)
    sent, goes_on = threading.Event(), threading.Event()

    def many() -> Iterator[list[Any]]:
        for number in range(1, 400):
            yield [number, "x" * 200]
        sent.set()
        goes_on.wait(60)

    def write() -> None:
        def slowly(executor: Any) -> None:
            assert postgres_ledger._holds_lease(executor)
            executor.executemany(rows.INSERT_EVENT, many())

        with pytest.raises(LedgerError):
            postgres_ledger._write(slowly)

    def taken() -> bool:
        try:
            return other.acquire_lease("two", 60) is not None
        except LedgerBusy:
            return False

    writer = threading.Thread(target=write)
    writer.start()
    assert sent.wait(20)
    assert eventually(taken)
    goes_on.set()
    writer.join()


def test_a_renewal_does_not_wait_for_a_batch(postgres_ledger: PostgresLedger) -> None:
    """A slow disk under a batch must not cost the lease."""
    postgres_ledger.acquire_lease("one", 60)
    postgres_ledger._write(lambda _executor: postgres_ledger.renew_lease(60))


def test_event_ids_ascend_in_the_order_of_the_commits(
    postgres_ledger: PostgresLedger, other: PostgresLedger
) -> None:
    """Whoever reads up to an id has missed nothing below it, whichever process committed."""
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        with open_reader(postgres_ledger._url) as reader:
            while not done.is_set():
                found = reader._read(
                    "SELECT event_id FROM outbox WHERE event_id > ? ORDER BY event_id",
                    (seen[-1] if seen else 0,),
                )
                seen.extend(row[0] for row in found)

    def work(ledger: PostgresLedger) -> None:
        for number in range(60):
            ledger.apply([Change(events=(make_event(number), make_event(number)))])

    watcher = threading.Thread(target=watch)
    watcher.start()
    workers = [threading.Thread(target=work, args=(one,)) for one in (postgres_ledger, other)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert eventually(lambda: len(seen) >= 240)
    done.set()
    watcher.join()
    assert all(after == before + 1 for before, after in pairwise(seen))
    assert postgres_ledger.last_event_id() == other.last_event_id() == 240


# --- what lies in the database -------------------------------------------------------------------


def test_numbers_and_times_have_their_own_types(postgres_url: str) -> None:
    """For reports: numeric, timestamptz from the milliseconds of the row."""
    clock = ManualClock()
    ledger = PostgresLedger(postgres_url, clock=clock)
    ledger.begin(make_intent(qty=Decimal("1E+3"), limit_price=Decimal("0.1")))
    [(qty, price, at)] = ledger._read("SELECT qty, limit_price, created_at FROM order_intents")
    assert (str(qty), str(price), at) == ("1000", "0.1", clock.now())
    ledger.close()


@pytest.mark.parametrize(("fsync", "intents"), [(False, "local"), (True, "on")])
def test_batches_are_durable_and_intents_as_asked(
    postgres_url: str, fsync: bool, intents: str
) -> None:
    """Both survive a crash of the server; the row before a POST waits for replicas when asked."""
    ledger = PostgresLedger(postgres_url, fsync_before_post=fsync)
    found = [
        session.read("SHOW synchronous_commit")[0][0]
        for session in (ledger._intents, ledger._batches)
    ]
    assert found == [intents, "on"]
    ledger.close()


def test_a_statement_goes_through_the_index_it_should(postgres_ledger: PostgresLedger) -> None:
    """A start reads the open rows alone, an update finds its row by the order id."""

    def plan(executor: PostgresExecutor, _again: bool) -> str:
        executor.execute("SET LOCAL enable_seqscan = off")
        update, row = rows.update_statement("sp-test-1", {"state": State.OPEN}, 0)
        texts = [
            executor.execute(f"EXPLAIN {rows.SELECT_OPEN}").fetchall(),
            executor.execute(f"EXPLAIN {update}", row).fetchall(),
        ]
        return str(texts)

    found = postgres_ledger._reads.transaction(plan)
    assert "order_intents_open" in found
    assert "order_intents_client_order_id" in found
