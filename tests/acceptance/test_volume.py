"""Five thousand random signals at once: every one ends once, and four records agree."""

import random
from collections.abc import Callable

import pytest

from tests.helpers.service_process import World

SIGNALS = 5_000
SEED = 20260305
TICKERS = ["AAPL", "AMD", "AMZN", "BAC", "C", "CSCO", "F", "GOOGL", "INTC", "MSFT", "NVDA", "TSLA"]


@pytest.mark.timeout(180)
def test_five_thousand_random_signals(make_world: Callable[..., World]) -> None:
    """Ledger, broker, executions and the stream itself say the same of each of them."""
    draw = random.Random(SEED)
    made = make_world(
        "--rate-limit", "0", SYMBOLS=",".join(TICKERS), RATE_LIMIT_PER_MINUTE="0", SIZING="weight"
    )
    made.start(workers=16)
    pipe = made.redis.pipeline(transaction=False)
    for _ in range(SIGNALS):
        pipe.xadd("nvda", {"Ticker": draw.choice(TICKERS), "Direction": draw.choice("bs")})
    entries = [entry.decode() for entry in pipe.execute()]
    made.await_ends(entries, 90)
    made.check(entries, orders=SIGNALS - len(made.unsent()))
    assert made.pending() == 0
    assert sum(made.posts().values()) == len(made.orders()) > SIGNALS // 10
