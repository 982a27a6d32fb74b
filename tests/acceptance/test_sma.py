"""`sma` over an exchange that is moved by hand, and a real service: one order per crossing."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from signal_generator import Execution
from tests.helpers.clocks import eventually
from tests.helpers.service_process import KEY, ROOT, SECRET, World, world

START = "2026-03-06T14:30:00Z"
MINUTES = 24
SYMBOLS = ("AAPL", "F")
FAST, SLOW = 1, 3
#: The exchange's day is not today: a stamp of it would be a signal of another year.
OF_THAT_DAY = ("--broker-clock", "0", "--no-stamp", "--take-over")
OPTIONS = ("--stepped", "--seed", "7", "--start", START)


@pytest.fixture
def made(redis_executable: str, tmp_path: Path) -> Iterator[World]:
    """A Redis, an exchange at the open, and nothing running yet."""
    settings = {"SIZING": "position_pct", "MAX_POSITION_PCT": "0.10", "SYMBOLS": "AAPL,F"}
    settings["MAX_QUOTE_AGE"] = "0"  # the exchange's quotes are of its own day
    with world(tmp_path, *OPTIONS, **settings) as one:
        yield one


def start_sma(made: World, *options: str) -> "subprocess.Popen[str]":
    """As a user of alpaca-fleece starts it: by the environment."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("ALPACA_", "APCA_", "REDIS_"))}
    own = {
        "PYTHONPATH": str(ROOT),
        "SYMBOLS": ",".join(SYMBOLS),
        "BAR_TIMEFRAME": "1Min",
        "STREAM_FEED": "iex",
        "SMA_FAST": str(FAST),
        "SMA_SLOW": str(SLOW),
        "ALPACA_API_KEY": KEY,
        "ALPACA_SECRET_KEY": SECRET,
        "ALPACA_TRADING_URL": made.exchange.url,
        "ALPACA_DATA_URL": made.exchange.url,
        "REDIS_URL": made.redis_server.url,
    }
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "signal_generator", "sma"),
            *options,
        ],
        cwd=made.directory,
        env={**kept, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def closes(made: World, symbol: str, first: str) -> "pd.Series[float]":
    """By the exchange's own list, from the strategy's warm-up on, by the start of their minutes."""
    start = datetime.fromisoformat(first) - timedelta(minutes=SLOW + 1)
    query = f"symbols={symbol}&timeframe=1Min&start={start:%Y-%m-%dT%H:%M:%SZ}&limit=1000"
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    url = f"{made.exchange.url}/v2/stocks/bars?{query}"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # our own exchange
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own exchange
        rows = json.load(answer)["bars"][symbol]
    return pd.Series({row["t"]: float(row["c"]) for row in rows})


def crossings(series: "pd.Series[float]", after: str, until: str) -> list[tuple[str, str]]:
    """Start of the bar and side, by pandas, of the bars that were run through, sides in turn."""
    fast, slow = series.rolling(FAST).mean(), series.rolling(SLOW).mean()
    up = (fast.shift() <= slow.shift()) & (fast > slow)
    down = (fast.shift() >= slow.shift()) & (fast < slow)
    found: list[tuple[str, str]] = []
    for start in series.index:
        side = "b" if up[start] else "s" if down[start] else ""
        if after < start <= until and side and (not found or found[-1][1] != side):
            found.append((start, side))
    return found


def position(made: World) -> dict[str, str]:
    """The last bar of each symbol that the strategy was given, by its memory."""
    text: Any = made.redis.hget("signal_generator:sma", "bars")
    kept = json.loads(text) if text else {}
    return {name.partition("|")[0]: start.replace("+00:00", "Z") for name, start in kept.items()}


def reached(made: World, start: str) -> bool:
    """Whether that bar was run through; seconds pass there until it is known to be complete."""
    if all(position(made).get(symbol, "") >= start for symbol in SYMBOLS):
        return True
    threading.Event().wait(0.05)
    made.admin("clock", {"advance": 2})
    return False


def published(made: World) -> list[tuple[str, dict[str, str]]]:
    """Entry ids and fields."""
    rows: Any = made.redis.xrange("nvda")
    return [(i.decode(), {n.decode(): v.decode() for n, v in f.items()}) for i, f in rows]


def heard_until(made: World) -> str:
    """Where the strategy's memory of `executions` ends."""
    found: Any = made.redis.hget("signal_generator:sma", "execution")
    return str(found.decode())


def last_told(made: World) -> str:
    """The last entry of `executions`."""
    found: Any = made.redis.xrevrange("executions", count=1)
    return str(found[0][0].decode())


def check_executions(made: World) -> None:
    """What the service really tells is understood: whose it is, and in numbers."""
    for event in made.events():
        told_to_strategies = Execution.read(event)
        assert told_to_strategies.strategy == "sma"
        assert told_to_strategies.signal_id == event["signal_id"]
        assert told_to_strategies.final == (event["final"] == "1")
        assert told_to_strategies.at is not None
        assert set(told_to_strategies.own) == {"sma_fast", "sma_slow", "close"}
        if "filled_qty" in event:
            assert told_to_strategies.filled_qty == Decimal(event["filled_qty"])


def test_wrong_keys_end_it(redis_executable: str, tmp_path: Path) -> None:
    """One sentence and exit code 1, and nothing is tried for ever."""
    with world(tmp_path, "--keys", "OTHER:KEYS") as made:
        made.directory.mkdir()
        with start_sma(made) as sma:
            _, told = sma.communicate(timeout=60)
    assert sma.returncode == 1
    assert told.splitlines()[-1].startswith("Error: ")
    assert "unauthorized" in told.splitlines()[-1]
    assert SECRET not in told


def test_each_crossing_is_one_order(made: World) -> None:
    """Over two crashes of the strategy; crossings are those of pandas over the exchange's bars."""
    made.start()
    sma = start_sma(made, *OF_THAT_DAY)
    try:
        assert eventually(lambda: len(position(made)) == 2 or sma.poll() is not None)
        first = position(made)
        now = datetime.fromisoformat(START)
        for minute in range(MINUTES):
            if minute in {8, 16}:
                sma.kill()
                sma.communicate()
                sma = start_sma(made, *OF_THAT_DAY)
            made.admin("clock", {"advance": 60})
            now = datetime.fromisoformat(made.admin("clock")["now"])
            wanted = f"{now - timedelta(minutes=1, seconds=now.second):%Y-%m-%dT%H:%M:00Z}"
            assert eventually(lambda start=wanted: reached(made, start)), sma.poll()  # type: ignore[misc]
        made.await_ends([entry_id for entry_id, _ in published(made)])
        # It has heard of everything that became of its signals.
        assert eventually(lambda: heard_until(made) == last_told(made))
        sma.send_signal(signal.SIGTERM)
        _, told = sma.communicate(timeout=30)
    finally:
        with sma:
            sma.kill()
    assert sma.returncode == 0, told
    entries, last = published(made), position(made)
    for symbol in SYMBOLS:
        mine = [f for _, f in entries if f["ticker"] == symbol]
        found = [
            (datetime.fromisoformat(f["signal_id"].split(":")[3]), f["direction"]) for f in mine
        ]
        by_pandas = crossings(closes(made, symbol, first[symbol]), first[symbol], last[symbol])
        assert found == [(datetime.fromisoformat(start), side) for start, side in by_pandas]
        assert found
    assert len(entries) > 4
    check_executions(made)
    refused = [reason for _, reason, _ in made.unsent()]
    # A symbol's first crossing may be down: there is nothing to sell yet.
    assert len(refused) <= 2
    made.check([entry_id for entry_id, _ in entries], orders=len(entries) - len(refused))
    assert set(made.posts().values()) == {1}
