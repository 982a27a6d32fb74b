"""Tests of signal_generator.hosts.keeper: one look at a time, on invented time."""

from typing import Any

import pytest
import redis

from signal_generator.hosts.keeper import Calling, Keeper
from signal_generator.hosts.kept import TakenOver
from tests.helpers.clocks import ManualClock


class FakeLease:
    """Counts renewals; may be scripted to fail."""

    def __init__(self) -> None:
        self.renewed = 0
        self.error: Exception | None = None

    def renew(self) -> None:
        self.renewed += 1
        if self.error:
            raise self.error


class Parts:
    """A keeper and everything around it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.leases = {"a": FakeLease(), "b": FakeLease()}
        self.calling = Calling(self.clock.monotonic)
        self.lost: list[TakenOver] = []
        self.trouble = ""
        lease: Any = self.leases.__getitem__
        self.keeper = Keeper(
            lambda: ("a", "b"),
            lease,
            self.calling,
            troubles=lambda: self.trouble,
            lost=self.lost.append,
            monotonic=self.clock.monotonic,
        )


def test_every_lease_is_renewed_although_redis_is_away() -> None:
    """One that fails does not keep the next from being tried."""
    parts = Parts()
    parts.leases["a"].error = redis.ConnectionError("away")
    parts.keeper.step()
    parts.keeper.step()
    assert [lease.renewed for lease in parts.leases.values()] == [2, 2]
    assert parts.lost == []


def test_a_lease_that_another_has_is_told() -> None:
    """So that the host ends."""
    parts = Parts()
    error = parts.leases["b"].error = TakenOver("by c")
    parts.keeper.step()
    assert parts.lost == [error]


def test_a_slow_callback_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """While it runs; the next slow one again."""
    parts = Parts()
    for _ in range(2):
        parts.calling("sma on_bar NVDA")
        for _ in range(9):
            parts.clock.advance(1)
            parts.keeper.step()
        parts.calling("")
        parts.keeper.step()
    assert caplog.text.count("sma on_bar NVDA takes longer than 5 s") == 2


def test_a_quick_callback_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is a long pause between two."""
    parts = Parts()
    parts.calling("sma on_bar NVDA")
    parts.clock.advance(5)
    parts.keeper.step()
    parts.calling("")
    parts.clock.advance(50)
    parts.keeper.step()
    assert caplog.text == ""


def test_troubles_stand_in_a_line_every_minute(caplog: pytest.LogCaptureFixture) -> None:
    """And no line where there is none."""
    parts = Parts()
    for trouble in ("", "sma: 2 callbacks failed", ""):
        parts.trouble = trouble
        parts.clock.advance(59)
        parts.keeper.step()
        parts.clock.advance(1)
        parts.keeper.step()
    assert caplog.text.count("sma: 2 callbacks failed") == 1


def test_it_ends_when_asked() -> None:
    """Also where it never began."""
    parts = Parts()
    parts.keeper.stop(1)
    parts = Parts()
    parts.keeper.start()
    parts.keeper.stop(20)
    assert not parts.keeper._thread.is_alive()
