"""Whether `run_trading` loses anything: ``python -m benchmarks.run_trading_blocks``.

A strategy returns a block of five orders every tenth of a second, to a broker that takes its time
for every request, and looks at its quotes and positions before each. Afterwards five witnesses must
agree: what the run says of its orders, its CSV, its positions, the stream ``executions``, and the
exchange's own orders and positions. In none of the looks may a quote or a position be missing.

The run is ended as a user ends it: by Ctrl-C.
"""

import csv
import json
import logging
import os
import signal
import sys
import tempfile
import time
import urllib.request
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import redis

from benchmarks.report import machine, write
from paper_exchange.testing import running
from signal_generator import run_trading
from torture.redis_server import RedisServer

TICKERS = ("AAPL", "AMD", "MSFT", "NVDA", "TSLA")
EVERY = 0.1
KEY, SECRET = "PKBLOCKS", "blocks-secret"


class Buyer:
    """Buys one of each ticker with every call, and ends the run after the last block."""

    def __init__(self, blocks: int) -> None:
        self._blocks = blocks
        self.calls = 0
        self.looks = 0
        self.missing: Counter[str] = Counter()
        self.ended_at = 0.0
        self._held: dict[str, float] = {}

    def __call__(self, context: dict[str, Any]) -> Any:
        self._look(context)
        if self.calls == self._blocks:
            self.ended_at = self.ended_at or time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
            return None
        self.calls += 1
        order = {"quantity": 1, "side": "buy", "order_type": "market", "action": "buy_long"}
        return [{"ticker": ticker, **order} for ticker in TICKERS]

    def _look(self, context: dict[str, Any]) -> None:
        self.looks += 1
        quotes, positions = context["get_current_data"]()
        for ticker in TICKERS:
            quote = (quotes or {}).get(ticker) or {"bid": 0.0, "ask": 0.0}
            if not quote["bid"] or not quote["ask"] or context["quote_age"](ticker) is None:
                self.missing["quotes"] += 1
        held = {row["ticker"]: row["quantity"] for row in positions}
        # It only buys: what was held once is held ever after, and never less of it.
        self.missing["positions"] += sum(
            held.get(ticker, 0.0) < quantity for ticker, quantity in self._held.items()
        )
        self._held = held


class Witnesses:
    """What the exchange, the CSV and the stream say, and where they disagree with the run."""

    def __init__(self, result: dict[str, Any], log: Path, broker: str, redis_url: str) -> None:
        self.orders = result["orders"]()
        self.positions = {row["ticker"]: row["quantity"] for row in result["positions"]()}
        with log.open(newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.at_broker = {o["client_order_id"]: o for o in _ask(f"{broker}/admin/orders")}
        self.held = {p["symbol"]: float(p["qty"]) for p in _ask(f"{broker}/v2/positions")}
        self.told = list(_executions(redis_url))

    def problems(self, expected: int) -> Iterator[str]:
        """One sentence each; none where all agree."""
        if not len(self.orders) == len(self.at_broker) == expected:
            yield f"{expected} ordered, {len(self.orders)} known, {len(self.at_broker)} at broker"
        for order in self.orders:
            theirs = self.at_broker.get(order["client_order_id"])
            if theirs is None or theirs["status"] != order["status"] != "filled":
                yield f"{order} is {theirs} at the broker"
        if self.positions != self.held:
            yield f"positions {self.positions}, at the broker {self.held}"
        yield from self._log_problems()
        yield from self._stream_problems(expected)

    def _log_problems(self) -> Iterator[str]:
        fills = [row for row in self.rows if row["status"] == "filled"]
        filled = Counter(row["client_order_id"] for row in fills)
        if filled != Counter(self.at_broker.keys()):
            yield f"the CSV has {filled.total()} fills of {len(self.at_broker)} orders"
        shares: dict[str, float] = defaultdict(float)
        for row in fills:
            shares[row["ticker"]] += float(row["executed_qty"])
        if dict(shares) != self.held:
            yield f"the CSV adds up to {dict(shares)}, the broker holds {self.held}"
        if len(self.rows) != len(self.told):
            yield f"{len(self.rows)} rows for {len(self.told)} events"

    def _stream_problems(self, expected: int) -> Iterator[str]:
        ends = Counter(event["signal_id"] for event in self.told if event["final"] == "1")
        if len(ends) != expected or set(ends.values()) != {1}:
            yield f"{expected} orders have {ends.total()} ends on executions"
        shares: dict[str, Decimal] = defaultdict(Decimal)
        for event in self.told:
            if event["event"] in {"fill", "partial_fill"}:
                shares[event["ticker"]] += Decimal(event["qty"])
        if {ticker: float(qty) for ticker, qty in shares.items()} != self.held:
            yield f"executions add up to {dict(shares)}, the broker holds {self.held}"


def main() -> int:
    """Run and report; 0 when nothing is missing anywhere."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=300)
    parser.add_argument("--latency-ms", type=int, default=98, help="of each order's request")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--option", action="append", default=[], help="of the exchange, repeatable")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="signalpaca-blocks-") as folder, _in(Path(folder)):
        found = _run(asked, Path(folder))
    result = {"machine": machine(), **found}
    print(json.dumps(found, indent=2))
    write("run-trading-blocks", result, asked.json)
    return 1 if found["problems"] or any(found["missing"].values()) else 0


def _run(asked: Namespace, folder: Path) -> dict[str, Any]:
    options = ["--rate-limit", "0", "--cash", "100000000", *asked.option]
    if asked.latency_ms:
        options += ["--fault", f"POST /v2/orders: latency ms={asked.latency_ms}"]
    with RedisServer(folder / "redis") as server, running(*options) as exchange:
        os.environ |= {
            "SIGNALPACA_HOME": str(folder / "home"),
            "ALPACA_TRADING_URL": exchange.url,
            "ALPACA_DATA_URL": exchange.url,
            "REDIS_URL": server.url,
        }
        buyer = Buyer(asked.blocks)
        result = run_trading(
            *(buyer, "blocks", str(folder / "log"), KEY, SECRET, TICKERS, EVERY, 3600),
            total_allowed_per_min=1_000_000,
            num_workers=asked.workers,
            eos_behavior="hold",
            warm_up_period=1,
        )
        took = time.monotonic() - buyer.ended_at
        seen = Witnesses(result, folder / "log" / "blocks.csv", exchange.url, server.url)
        return {
            "blocks": asked.blocks,
            "latency_ms": asked.latency_ms,
            "orders": len(seen.orders),
            "looks": buyer.looks,
            "missing": {"quotes": 0, "positions": 0} | dict(buyer.missing),
            "rows": len(seen.rows),
            "events": len(seen.told),
            "statuses": dict(Counter(order["status"] for order in seen.orders)),
            "end_s": round(took, 2),
            "problems": list(seen.problems(asked.blocks * len(TICKERS)))[:20],
        }


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    """No `.env` of the user's must be found."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _ask(url: str) -> Any:
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # our own exchange
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own exchange
        return json.load(answer)


def _executions(redis_url: str) -> Iterator[dict[str, str]]:
    """Every event of the run's service, each once."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        (stream,) = client.scan_iter(match="blocks-*-executions")
        entries: Any = client.xrange(stream)
    seen = set()
    for _, event in entries:
        if event["event_id"] not in seen:
            seen.add(event["event_id"])
            yield event


if __name__ == "__main__":
    sys.exit(main())
