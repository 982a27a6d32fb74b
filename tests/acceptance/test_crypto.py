"""Crypto from XADD to the last event, on a Saturday: the exchange's stock market is closed."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.clocks import eventually
from tests.helpers.service_process import World, world

SATURDAY = "2026-03-07T15:00:00Z"
HOLD_PRICES = {"BTC/USD": "60000", "ETH/USD": "2500"}


@pytest.fixture
def weekend(redis_executable: str, tmp_path: Path) -> Iterator[World]:
    """Shares do not trade; a coin of each kind has a price that stands still."""
    with world(tmp_path, "--session", "nyse", SYMBOLS="BTCUSD,NVDA", QTY="0.01") as made:
        yield made
