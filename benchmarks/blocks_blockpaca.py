"""blockpaca as it comes, its strategy told when to return a block; its interpreter runs this.

    PYTHON benchmarks/blocks_blockpaca.py LINK_PORT BROKER_PORT WORKERS TICKERS DIRECTORY

Only addresses are changed, for it knows no setting for them: orders, order updates and quotes go to
the benchmark's broker, which never quotes. Over the link come the sizes of blocks, one a line; an
empty line is answered with the moments of all returns (ns, monotonic), and is the end.
"""

import functools
import importlib
import itertools
import json
import os
import signal
import socket
import sys
import time
from typing import Any

NEVER = 1_000_000


class Strategy:
    """Returns a block of market buys of one share whenever it is told to."""

    def __init__(self, port: int, tickers: list[str]) -> None:
        self._link = socket.create_connection(("127.0.0.1", port))
        self._lines = self._link.makefile("r")
        self._tickers = itertools.cycle(tickers)
        self._returned: list[int] = []

    def __call__(self, _context: dict[str, Any]) -> list[dict[str, Any]]:
        line = self._lines.readline().strip()
        if not line:
            self._link.sendall(json.dumps(self._returned).encode() + b"\n")
            os.killpg(0, signal.SIGTERM)  # its own end waits for processes that do not end
        names = itertools.islice(self._tickers, int(line))
        terms = {"side": "buy", "action": "buy_long", "order_type": "market", "quantity": 1}
        block = [{"ticker": name, **terms} for name in names]
        self._returned.append(time.monotonic_ns())
        return block


def main() -> None:
    """Point it at the broker, and trade until told to end."""
    link_port, broker_port, workers, tickers, directory = sys.argv[1:]
    core: Any = importlib.import_module("blockpaca.core")
    stream = f"ws://127.0.0.1:{broker_port}/stream"
    core.ALPACA_REST_BASE = f"http://127.0.0.1:{broker_port}/v2"
    core.ALPACA_STREAM_URL = stream
    make_stream = core.get_trading_stream()
    core.get_trading_stream = lambda: functools.partial(make_stream, url_override=stream)
    symbols = tickers.split(",")
    core.run_trading(
        Strategy(int(link_port), symbols),
        "trades",
        directory,
        "bench",
        "bench",
        symbols,
        frequency=0,
        run_seconds=NEVER,
        total_allowed_per_min=NEVER,
        num_workers=int(workers) or None,
        eos_behavior="hold",
        warm_up_period=1,
    )


if __name__ == "__main__":
    main()
