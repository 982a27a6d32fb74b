"""The owner of the service: what it is called before it starts anything."""

import os
import threading

import pytest

from solution.app import Trader
from solution.config import load_settings
from tests.helpers.clocks import ManualClock


def test_two_containers_alike_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image, one INSTANCE_NAME, pid 1 in each, started in the same millisecond."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    environ = {
        "ALPACA_API_KEY": "key",
        "ALPACA_SECRET_KEY": "secret",
        "INSTANCE_NAME": "trader",
    }
    settings, clock = load_settings(environ=environ, env_file=None), ManualClock()
    names = {Trader(settings, threading.Event(), clock).consumer for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("trader-1-") for name in names)
