"""Alpaca's other SDKs, unmodified, against a running exchange.

The old Python one (alpaca-trade-api 3.2.0), and the npm package in its classic and its TypeScript
line (3.1.3 and 4.0.2). The first run installs them, which takes some ten seconds for either
language; see ``sdk/kits.py``.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from paper_exchange.testing import Running, running
from tests.contract.sdk import kits

SCENARIOS = (
    "account",
    "assets",
    "clock_and_calendar",
    "order_life",
    "refusals",
    "positions",
    "activities",
    "latest_data",
    "trade_updates",
)
_SCRIPTS = Path(kits.__file__).parent


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One exchange for the file; every scenario trades on an account of its own."""
    with running("--rate-limit", "0", "--seed", "5") as started:
        yield started


@pytest.fixture(scope="module")
def reports(exchange: Running) -> Callable[[str], dict[str, str]]:
    """What became of the scenarios of one SDK, each run once."""

    @cache
    def run(sdk: str) -> dict[str, str]:
        if sdk == "python":
            command = [sys.executable, str(_SCRIPTS / "python" / "scenarios.py")]
            found = kits.report(command, exchange.url, PYTHONPATH=str(kits.old_python_sdk()))
        else:
            modules = str(kits.node_sdks())
            command = ["node", str(_SCRIPTS / "js" / f"{sdk}.cjs")]
            found = kits.report(command, exchange.url, NODE_PATH=modules)
        assert list(found) == list(SCENARIOS), "no scenario may go unseen"
        return found

    return run


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("sdk", ["python", "v3", "v4"])
def test_sdk(reports: Callable[[str], dict[str, str]], sdk: str, scenario: str) -> None:
    """Every scenario of ``sdk/python/scenarios.py``, ``sdk/js/v3.cjs`` and ``v4.cjs`` passes."""
    outcome = reports(sdk)[scenario]
    assert outcome == "passed", outcome
