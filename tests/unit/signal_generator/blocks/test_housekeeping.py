"""Tests of signal_generator.blocks.housekeeping."""

import pytest

from signal_generator.blocks import housekeeping
from signal_generator.blocks.housekeeping import Housekeeping
from tests.helpers.clocks import eventually


def test_one_failing_task_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again next time."""
    done: list[str] = []

    def fails() -> None:
        done.append("tried")
        raise RuntimeError("broken")

    made = Housekeeping([fails, lambda: done.append("done")])
    made.step()
    made.step()
    assert done == ["tried", "done"] * 2
    assert "RuntimeError: broken" in caplog.text


def test_it_does_its_tasks_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again."""
    monkeypatch.setattr(housekeeping, "EVERY", 0.001)
    done: list[int] = []
    made = Housekeeping([lambda: done.append(1)])
    made.start()
    assert eventually(lambda: len(done) > 2)
    made.stop()
    count = len(done)
    assert not made._thread.is_alive()
    assert len(done) == count


def test_stopping_before_the_start_is_no_error() -> None:
    """As when a later part of a run fails to start."""
    Housekeeping([]).stop()
