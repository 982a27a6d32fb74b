"""From a strategy's `return` into Redis: ``python -m benchmarks.block_publish``.

One block of limit orders at a time: reading the orders, registering them, one transaction, its
answer. Median and best of the rounds: on a busy machine the best is what the work itself takes.
"""

import sys
import tempfile
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import machine, percentile, table, write
from signal_generator.blocks.desk import OrderDesk
from signal_generator.blocks.outbox import Outbox
from signal_generator.blocks.register import OrderRegister
from signal_generator.publisher import make_client
from torture.redis_server import RedisServer

ORDER = {
    "ticker": "AAPL",
    "quantity": 5.0,
    "side": "buy",
    "order_type": "limit",
    "limit_price": 181.25,
    "action": "buy_long",
}


def main() -> int:
    """Run and report."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1,50,2000")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signalpaca-publish-") as folder:
        rows = [_measured(int(size), asked.rounds, Path(folder)) for size in asked.sizes.split(",")]
    header = ("orders in a block", "block ms", "p99 ms", "µs per order", "best µs")
    print(table(header, [tuple(row.values()) for row in rows]))
    write("block-publish", {"machine": machine(), "blocks": rows}, asked.json)
    return 0


def _measured(size: int, rounds: int, folder: Path) -> dict[str, Any]:
    """A Redis of its own for each size: what earlier ones left must not weigh on the next."""
    lost: list[object] = []
    with RedisServer(folder / str(size)) as server:
        client = make_client(server.url)
        outbox = Outbox(client, "blocks", lambda ids, why: lost.extend((ids, why)))
        desk = OrderDesk(
            OrderRegister(),
            outbox.submit,
            lost.extend,
            label="benchmark",
            now=lambda: datetime.now(UTC),
            max_age=lambda: 600.0,
        )
        took = []
        for _ in range(rounds):
            began = time.perf_counter()
            desk.submit([ORDER] * size)
            took.append(time.perf_counter() - began)
        found = int(client.xlen("blocks"))  # type: ignore[arg-type]  # not awaitable here
        outbox.close()
        client.close()
    if lost or found != size * rounds:
        raise SystemExit(f"{found} of {size * rounds} orders in Redis: {lost[:2]}")
    middle = median(took)
    return {
        "orders": size,
        "block_ms": round(middle * 1e3, 3),
        "p99_ms": round(percentile(sorted(took), 0.99) * 1e3, 3),
        "per_order_us": round(middle / size * 1e6, 1),
        "best_per_order_us": round(min(took) / size * 1e6, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
