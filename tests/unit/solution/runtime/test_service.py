"""The loop around a step: it survives, pauses on an event, stops at once, starts again."""

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from solution.clock import Deadline
from solution.runtime.service import ErrorLog, Fatal, Service, stop_in_order
from tests.helpers.clocks import PATIENCE, ManualClock, eventually

ONE_HOUR = 3600.0


class Scripted(Service):
    """Runs the given steps one after the other, then pauses for an hour at a time."""

    def __init__(
        self, *script: Callable[[], float], name: str = "scripted", clock: ManualClock | None = None
    ) -> None:
        super().__init__(name, error_pause=0.0, clock=clock)
        self.script = list(script)
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.threads: set[int] = set()
        self.steps = 0
        self.fail_start: list[Exception] = []
        self.fail_stop: list[Exception] = []

    def on_start(self) -> None:
        if self.fail_start:
            raise self.fail_start.pop()
        self.begun.append(threading.get_ident())

    def on_stop(self) -> None:
        self.ended.append(threading.get_ident())
        if self.fail_stop:
            raise self.fail_stop.pop()

    def step(self) -> float:
        self.threads.add(threading.get_ident())
        self.steps += 1
        return self.script.pop(0)() if self.script else ONE_HOUR


def raises(error: BaseException) -> Callable[[], float]:
    def step() -> float:
        raise error

    return step


def again() -> float:
    return 0.0


@pytest.fixture
def make() -> Iterator[Callable[..., Scripted]]:
    """Scripted services that end with the test."""
    made: list[Scripted] = []

    def factory(*script: Callable[[], float], **options: str) -> Scripted:
        made.append(Scripted(*script, **options))  # type: ignore[arg-type]
        return made[-1]

    yield factory
    assert stop_in_order(made, Deadline(PATIENCE)) == []


Make = Callable[..., Scripted]


def test_steps_run_in_a_thread_of_that_name(make: Make) -> None:
    """Hooks and steps share one thread, which is not the caller's."""
    service = make(again, again, name="poller")
    service.start()
    assert eventually(lambda: service.steps == 3)
    assert service.alive
    assert "poller" in {thread.name for thread in threading.enumerate()}
    assert service.stop(Deadline(PATIENCE))
    assert service.threads == set(service.begun) == set(service.ended)
    assert service.threads != {threading.get_ident()}


def test_stop_wakes_a_long_pause(make: Make) -> None:
    """stop() returns at once although the step asked for an hour."""
    service = make()
    service.start()
    assert eventually(lambda: service.steps == 1)
    deadline = Deadline(PATIENCE)
    assert service.stop(deadline)
    assert deadline.left() > PATIENCE - 1
    assert not service.alive
    assert service.failure is None


def test_wake_ends_a_pause(make: Make) -> None:
    """There is something to do before the hour is over."""
    service = make()
    service.start()
    assert eventually(lambda: service.steps == 1)
    service.wake()
    assert eventually(lambda: service.steps == 2)


def test_a_wake_during_a_step_shortens_the_next_pause(make: Make) -> None:
    """What is announced while the step runs may have come too late for it."""
    service = make()

    def announced() -> float:
        service.wake()
        return ONE_HOUR

    service.script.append(announced)
    service.start()
    assert eventually(lambda: service.steps == 2)


def test_a_step_that_raises_is_counted_logged_and_survived(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """With the traceback, once for the same text; the thread goes on."""
    service = make(raises(OSError("reset")), raises(OSError("reset")), raises(KeyError("id")))
    with caplog.at_level(logging.ERROR, "solution.runtime"):
        service.start()
        assert eventually(lambda: service.steps == 4)
    assert service.errors == 3
    assert len(service.threads) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "step failed in scripted: OSError: reset",
        "step failed in scripted: KeyError: 'id'",
    ]
    assert all(record.exc_info for record in caplog.records)


def test_a_failing_start_hook_is_tried_again(make: Make) -> None:
    """No step runs before the hook has succeeded."""
    service = make()
    service.fail_start = [OSError("not yet"), OSError("not yet")]
    service.start()
    assert eventually(lambda: service.steps == 1)
    assert service.errors == 2
    assert len(service.begun) == 1


def test_a_failing_stop_hook_is_only_reported(make: Make) -> None:
    """The thread had ended in good order."""
    service = make()
    service.fail_stop = [OSError("busy")]
    service.start()
    assert service.stop(Deadline(PATIENCE))
    assert service.errors == 1
    assert service.failure is None


@pytest.mark.parametrize("error", [Fatal("wrong account"), SystemExit(3), GeneratorExit()])
def test_fatal_and_what_is_no_exception_end_the_thread(make: Make, error: BaseException) -> None:
    """The reason is kept, the stop hook runs, and it was nobody's wish."""
    service = make(raises(error))
    service.start()
    assert eventually(lambda: not service.alive)
    assert service.failure is error
    assert len(service.ended) == 1
    assert not service.stopping


def test_a_dead_service_is_restarted_in_a_new_thread(make: Make) -> None:
    """And forgets why it had died."""
    service = make(raises(SystemExit()))
    service.start()
    assert eventually(lambda: not service.alive)
    assert service.restart()
    assert eventually(lambda: service.steps == 2)
    assert service.failure is None
    assert len(service.begun) == 2


def test_restart_leaves_the_living_and_the_stopped_alone(make: Make) -> None:
    """A supervisor cannot revive what its owner has stopped; start() can."""
    service = make()
    assert not service.restart()
    service.start()
    assert not service.restart()
    service.start()
    assert service.stop(Deadline(PATIENCE))
    assert not service.restart()
    service.start()
    assert eventually(lambda: service.alive and len(service.begun) == 2)


def test_stop_before_start_is_a_stop(make: Make) -> None:
    """Nothing runs, so nothing is waited for."""
    service = make()
    assert service.stopping
    assert not service.alive
    assert service.stop(Deadline(0))


def test_a_service_cannot_wait_for_itself(make: Make) -> None:
    """join() from its own thread answers that it has not ended, instead of hanging."""
    answers: list[bool] = []
    service = make()

    def stop_myself() -> float:
        answers.append(service.stop(Deadline(PATIENCE)))
        return 0.0

    service.script.append(stop_myself)
    service.start()
    assert eventually(lambda: not service.alive)
    assert answers == [False]


def test_last_step_at_is_the_end_of_the_last_good_step() -> None:
    """For a watchdog; a step that raises is no sign of health."""
    clock = ManualClock(monotonic=50.0)
    service = Scripted(clock=clock)
    assert service.last_step_at is None

    def slow() -> float:
        clock.advance(2)
        return 0.0

    def bad() -> float:
        clock.advance(7)
        service.script.append(raises(SystemExit()))
        raise OSError

    service.script += [slow, bad]
    service.start()
    assert eventually(lambda: isinstance(service.failure, SystemExit))
    assert service.last_step_at == 52.0


def test_services_stop_in_order_within_one_deadline(make: Make) -> None:
    """Intake first, streams last; who does not end in time is named."""
    order: list[str] = []
    hang = threading.Event()

    class Noting(Scripted):
        def on_stop(self) -> None:
            order.append(self.name)

    first, last = Noting(name="listener"), Noting(name="stream")
    stuck = make(lambda: float(hang.wait(PATIENCE)), name="stuck")
    services = [first, stuck, last]
    for service in services:
        service.start()
    assert eventually(lambda: stuck.steps == 1 and last.steps == 1)
    assert stop_in_order(services, Deadline(0.2)) in (["stuck"], ["stuck", "stream"])
    assert eventually(lambda: order == ["listener", "stream"])
    hang.set()


def test_the_same_error_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The next line tells how many were left out; another text has its own minute."""
    clock = ManualClock()
    errors = ErrorLog("poller", clock)
    for _ in range(5):
        errors.report(OSError("reset"))
    errors.report(OSError("other"))
    clock.advance(60)
    errors.report(OSError("reset"))
    assert [(r.getMessage()[-5:], getattr(r, "repeats", None)) for r in caplog.records] == [
        ("reset", 0),
        ("other", 0),
        ("reset", 4),
    ]
    assert errors.count == 7


def test_texts_that_never_repeat_do_not_pile_up() -> None:
    """A message with a number in it is new each time; the memory for them is bounded."""
    errors = ErrorLog("poller", ManualClock())
    for number in range(1000):
        errors.report(OSError(f"request {number}"))
    assert errors.count == 1000
    assert len(errors._seen) == 200
