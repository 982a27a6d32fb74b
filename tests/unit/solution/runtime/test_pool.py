"""Workers on an executor: they survive errors, are replaced when they die, stop on time."""

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from solution.clock import Deadline
from solution.runtime.pool import WorkerPool
from solution.runtime.service import Fatal, Runnable
from tests.helpers.clocks import PATIENCE, ManualClock, eventually

Item = Callable[[], object]


class Work:
    """Workers call what is put here; they wait briefly when there is nothing."""

    def __init__(self) -> None:
        # Not a SimpleQueue: of several takers one may wait for ever (CPython 3.11, seen once). The
        # lock comes as its time is over, the item is another's, and what is left of it is below 0.
        self.items: queue.Queue[Item] = queue.Queue()
        self.threads: set[str] = set()

    def __call__(self, stop: threading.Event) -> None:
        try:
            item = self.items.get(timeout=0.01)
        except queue.Empty:
            return
        self.threads.add(threading.current_thread().name)
        item()


def raises(error: BaseException) -> Item:
    def item() -> None:
        raise error

    return item


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def pool(work: Work) -> Iterator[WorkerPool]:
    pool = WorkerPool(3, work, "orders", error_pause=0.0, clock=ManualClock(monotonic=9.0))
    yield pool
    assert pool.stop(Deadline(PATIENCE))


def test_all_workers_work_at_the_same_time(pool: WorkerPool, work: Work) -> None:
    """Three items that wait for each other end only with three threads."""
    together = threading.Barrier(4)
    for _ in range(3):
        work.items.put(lambda: together.wait(PATIENCE))
    pool.start()
    together.wait(PATIENCE)
    assert (pool.size, pool.running, pool.alive) == (3, 3, True)
    assert eventually(lambda: pool.last_step_at == 9.0)
    assert all(name.startswith("orders") for name in work.threads)


def test_an_error_is_counted_and_survived(pool: WorkerPool, work: Work) -> None:
    """The worker takes the next item."""
    done = threading.Event()
    for error in (OSError("reset"), ValueError("x"), OSError("reset")):
        work.items.put(raises(error))
    work.items.put(done.set)
    pool.start()
    assert done.wait(PATIENCE)
    assert eventually(lambda: pool.errors == 3)
    assert pool.alive
    assert pool.failure is None


def test_a_worker_that_died_is_replaced(pool: WorkerPool, work: Work) -> None:
    """The others go on meanwhile; the pool says that it is not whole."""
    pool.start()
    assert not pool.check()
    work.items.put(raises(SystemExit(1)))
    assert eventually(lambda: pool.running == 2)
    assert isinstance(pool.failure, SystemExit)
    assert not pool.stopping
    assert pool.restart()
    assert pool.alive
    assert pool.failure is None


def test_fatal_ends_all_workers(pool: WorkerPool, work: Work) -> None:
    """One of them has found out that no order may be sent; nobody asked for a stop."""
    pool.start()
    work.items.put(raises(Fatal("lease lost")))
    assert eventually(lambda: pool.running == 0)
    assert isinstance(pool.failure, Fatal)
    assert not pool.stopping


def test_fatal_outlasts_a_later_death() -> None:
    """What the owner must hear is not covered by another worker's end."""
    first, second = threading.Event(), threading.Event()
    turns = [raises(Fatal("lease lost")), raises(SystemExit(1))]

    def work(stop: threading.Event) -> None:
        mine = turns.pop()
        gate = second if turns else first
        gate.wait(PATIENCE)
        mine()

    pool = WorkerPool(2, work)
    pool.start()
    assert eventually(lambda: not turns)
    first.set()
    assert eventually(lambda: pool.running == 1)
    second.set()
    assert pool.join(Deadline(PATIENCE))
    assert isinstance(pool.failure, Fatal)
    assert pool.stop(Deadline(PATIENCE))


def test_a_stopped_pool_is_not_restarted_but_can_be_started(pool: WorkerPool, work: Work) -> None:
    """restart() belongs to the supervisor, start() to the owner."""
    assert pool.stopping
    assert not pool.restart()
    pool.start()
    pool.start()
    assert pool.running == 3
    assert pool.stop(Deadline(PATIENCE))
    assert pool.running == 0
    assert not pool.restart()
    done = threading.Event()
    work.items.put(done.set)
    pool.start()
    assert done.wait(PATIENCE)


def test_a_pool_that_does_not_end_in_time_says_so() -> None:
    """The worker is in the middle of an item; the next one is not begun."""
    busy, hang, calls = threading.Event(), threading.Event(), []

    def work(stop: threading.Event) -> None:
        calls.append(stop.is_set())
        busy.set()
        hang.wait(PATIENCE)

    pool = WorkerPool(1, work)
    pool.start()
    assert busy.wait(PATIENCE)
    assert not pool.stop(Deadline(0.01))
    hang.set()
    assert pool.join(Deadline(PATIENCE))
    assert calls == [False]


def test_a_pool_is_supervised_like_a_service(pool: WorkerPool) -> None:
    """Checked by mypy: it has all that Runnable asks for."""
    runnable: Runnable = pool
    assert (runnable.name, runnable.alive, runnable.failure) == ("orders", False, None)
    assert runnable.join(Deadline(0))


def test_a_pool_of_nobody_is_not_built(work: Work) -> None:
    """It would never work."""
    with pytest.raises(ValueError, match="at least one"):
        WorkerPool(0, work)
