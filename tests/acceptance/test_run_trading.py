"""run_trading with everything real: Redis, exchange, service, and a script as its user wrote it."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paper_exchange.testing import Running, running
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer
from tests.helpers.service_process import ROOT

SCRIPT = """
import json, sys
from signal_generator import run_trading

calls = []

def strategy(context):
    calls.append(context["get_current_data"]())
    if len(calls) == 1:
        return [
            {"ticker": "AAPL", "quantity": 2.0, "side": "buy", "order_type": "market"},
            {"ticker": "AAPL", "quantity": -1, "side": "buy", "order_type": "market"},
            {"ticker": "MSFT", "quantity": 1, "side": "sell", "order_type": "market",
             "action": "short_sell"},
            {"ticker": "TSLA", "quantity": 1, "side": "buy", "order_type": "limit",
             "limit_price": 1.0, "action": "patience"},
        ]

result = run_trading(
    strategy, "port", "logs", "PKPORT", "port-secret", ["AAPL", "MSFT"], 0.2, int(sys.argv[1]),
    warm_up_period=0.5, eos_behavior=sys.argv[2],
)
print("FIRST", json.dumps(calls[0]))
print("ORDERS", json.dumps(result["orders"]()))
"""

OVERFLOW = """
import json
from signal_generator import run_trading

blocks = [[{"ticker": "AAPL", "quantity": 1, "side": "buy", "order_type": "market"}] * 40]
result = run_trading(
    lambda _: blocks and blocks.pop(), "port", "logs", "PKPORT", "port-secret", ["AAPL"], 0.2, 1,
    total_allowed_per_min=25, warm_up_period=0.5,
)
print("ORDERS", json.dumps(result["orders"]()))
"""


@pytest.fixture
def exchange() -> Iterator[Running]:
    """In Alpaca's place."""
    with running("--rate-limit", "0", "--cash", "1000000") as made:
        yield made


class Script:
    """The script as a process of its own."""

    def __init__(
        self, directory: Path, exchange: Running, redis_url: str, *words: str, text: str = SCRIPT
    ) -> None:
        self.directory = directory
        (directory / "script.py").write_text(text)
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("ALPACA_", "APCA_"))}
        self.process = subprocess.Popen(
            [sys.executable, "script.py", *words],
            cwd=directory,
            env={
                **kept,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "SIGNALPACA_HOME": str(directory / "home"),
                "ALPACA_TRADING_URL": exchange.url,
                "ALPACA_DATA_URL": exchange.url,
                "REDIS_URL": redis_url,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def rows(self) -> list[dict[str, str]]:
        """The CSV as it stands."""
        path = self.directory / "logs" / "port.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def end(self) -> str:
        """All that it printed."""
        out, _ = self.process.communicate(timeout=90)
        assert self.process.returncode == 0, out
        return out


def said(out: str, word: str) -> Any:
    """What stands behind this word."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"{word} ")]
    return json.loads(line.removeprefix(f"{word} "))


def broker(exchange: Running, path: str) -> Any:
    """Ask the exchange with the script's keys."""
    import requests

    headers = {"APCA-API-KEY-ID": "PKPORT", "APCA-API-SECRET-KEY": "port-secret"}
    return requests.get(f"{exchange.url}/{path}", headers=headers, timeout=10).json()


def test_one_run_holds_and_the_next_liquidates(
    exchange: Running, redis_server: RedisServer, tmp_path: Path
) -> None:
    """The first ends by its time and keeps all; the second, by Ctrl-C, closes what both have."""
    out = Script(tmp_path, exchange, redis_server.url, "1", "hold").end()
    held = {row["symbol"]: row["qty"] for row in broker(exchange, "v2/positions")}
    assert held == {"AAPL": "2", "MSFT": "-1"}
    assert [(o["ticker"], o["status"]) for o in said(out, "ORDERS")] == [
        ("AAPL", "filled"),
        ("AAPL", "error"),
        ("MSFT", "filled"),
        ("TSLA", "new"),
    ]
    assert "quantity: -1 is not greater than 0" in out

    script = Script(tmp_path, exchange, redis_server.url, "60", "liquidate")
    resting = {"ticker": "TSLA", "status": "new", "type": "execution"}
    assert eventually(lambda: sum(resting.items() <= r.items() for r in script.rows()) == 2, 60)
    script.process.send_signal(signal.SIGINT)
    out = script.end()
    # From its first call on it knew what the first run had left.
    _, positions = said(out, "FIRST")
    assert {row["ticker"]: row["quantity"] for row in positions} == {"AAPL": 2, "MSFT": -1}
    assert "held already, and closed with the rest at the end" in out
    assert broker(exchange, "v2/positions") == []
    assert broker(exchange, "v2/orders?status=open") == []
    assert all(order["final"] for order in said(out, "ORDERS"))
    rows = script.rows()
    sent = {order["client_order_id"] for order in broker(exchange, "v2/orders?status=all")}
    assert {r["client_order_id"] for r in rows if r["type"] == "execution"} == sent
    assert {r["action"] for r in rows} == {"order", "short_sell", "patience", "liquidate"}
    assert "port-secret" not in out


def test_what_waits_for_the_rate_limit_does_not_keep_the_end_from_closing(
    exchange: Running, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Forty buys of one ticker and a limit for a part of them: the rest is dropped, and told."""
    out = Script(tmp_path, exchange, redis_server.url, text=OVERFLOW).end()
    orders = said(out, "ORDERS")
    assert broker(exchange, "v2/positions") == []
    assert all(order["final"] for order in orders)
    ends = Counter((o["side"], o["status"], o["reason"]) for o in orders)
    assert ends["sell", "filled", ""] == 1
    assert ends["buy", "filled", ""] + ends["buy", "refused", "STALE_SIGNAL"] == 40
    assert ends["buy", "refused", "STALE_SIGNAL"] > 0


def test_nothing_is_lost_at_98_ms() -> None:
    """Twenty blocks against a slow broker: five witnesses agree (the long form is a benchmark)."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run_trading_blocks", "--blocks", "20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"problems": []' in done.stdout
