"""Draw `docs/assets/top.svg`: the screen of `signalpaca top` for one fixed snapshot.

python scripts/picture_of_top.py           # write the file
python scripts/picture_of_top.py --check   # exit 1 if it is out of date
"""

import argparse
import inspect
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import MONOKAI

from solution.ui.terminal import screen

ROOT = Path(__file__).resolve().parent.parent
PICTURE = Path("docs/assets/top.svg")
COLUMNS, ROWS = 120, 32

POSITIONS = (
    ("AMD", "20", "161.6900", "161.92"),
    ("BTC/USD", "0.05", "61234.50000000", "61410.1"),
    ("MSFT", "10", "394.3800", "394.34"),
    ("SPY", "1", "513.9500", "513.39"),
    ("TSLA", "-10", "298.3500", "298.08"),
)
UPDATES = (
    ("14:58:31", "AMD", "buy", "20", "fill", "161.69", ""),
    ("14:58:52", "MSFT", "buy", "10", "pending_new", "", ""),
    ("14:58:52", "MSFT", "buy", "10", "fill", "394.38", ""),
    ("14:59:03", "AAPL", "sell", "", "refused", "", "NOTHING_TO_SELL"),
    ("14:59:17", "TSLA", "sell", "10", "pending_new", "", ""),
    ("14:59:17", "TSLA", "sell", "10", "new", "", ""),
    ("14:59:17", "TSLA", "sell", "4", "partial_fill", "298.36", ""),
    ("14:59:18", "TSLA", "sell", "6", "fill", "298.34", ""),
    ("14:59:40", "SPY", "buy", "1", "fill", "513.95", ""),
    ("14:59:55", "NVDA", "buy", "400", "refused", "", "ORDER_NOTIONAL_CAP"),
    ("15:00:02", "BTC/USD", "buy", "0.05", "fill", "61234.50", ""),
    ("15:00:05", "NVDA", "buy", "15", "pending_new", "", ""),
    ("15:00:05", "NVDA", "buy", "15", "new", "", ""),
)
ENDED = frozenset({"fill", "refused"})


def position(symbol: str, qty: str, entry: str, price: str) -> dict[str, str]:
    """One as the snapshot tells it."""
    gain = (float(price) - float(entry)) * float(qty)
    return {
        "symbol": symbol,
        "qty": qty,
        "avg_entry": entry,
        "price": price,
        "market_value": f"{float(price) * float(qty):.2f}",
        "unrealized_pl": f"{gain:.2f}",
    }


def update(at: str, *rest: str) -> dict[str, Any]:
    """The same of an update."""
    names = ("symbol", "side", "qty", "event", "price", "reason")
    row: dict[str, Any] = dict(zip(names, rest, strict=True))
    return row | {"at": f"2026-03-04T{at}.000Z", "final": row["event"] in ENDED}


def snapshot() -> dict[str, Any]:
    """A busy minute of an account at the broker's paper system."""
    return {
        "instance": "trader-1",
        "at": "2026-03-04T15:00:07.000+00:00",
        "mode": "paper",
        "trading_state": "ACTIVE",
        "account": {
            "equity": "100142.13",
            "cash": "91873.48",
            "buying_power": "381264.90",
            "reserved_orders": 1,
            "reserved_buying_power": "2540.85",
        },
        "day": {
            "opening": "100000.00",
            "peak": "100201.77",
            "change": "142.13",
            "change_pct": "0.14",
            "below_peak_pct": "0.06",
            "limits": {"daily_loss": "5.00"},
        },
        "positions": [position(*row) for row in POSITIONS],
        "open_orders": [{"side": "buy", "qty": "15", "symbol": "NVDA", "status": "new"}],
        "updates": [update(*row) for row in UPDATES],
        "counts": {"FILLED": 57, "NOTHING_TO_SELL": 9, "CANCELED": 3, "ORDER_NOTIONAL_CAP": 1},
        "latency_ms": {"p50": 2, "p99": 9},
        "signals": {"read": 71, "waiting": 1, "in_hand": 2, "dead_letters": 1},
        "rate": {"limit": 200, "used": 72, "left_for_entries": 118},
        "redis": {"connected": True, "read_age_s": 0.1},
        "stream": {"connected": True, "state": "listening", "age_s": 2.0},
        "prices": {"watched": 7, "newest_s": 0.3, "oldest_s": 0.9},
        "breaker": {"state": "closed", "limit": 5, "failures": 0},
        "flips": {"limit": 30, "changes": {"TSLA": 2, "AMD": 1}},
        "threads": dict.fromkeys(map(str, range(14)), True),
    }


def picture() -> str:
    """The screen as SVG, without a font from somebody's server."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    for line in screen([snapshot()], width=COLUMNS, height=ROWS):
        console.print(line, no_wrap=True, crop=True)
    template = inspect.signature(console.export_svg).parameters["code_format"].default
    template = re.sub(r"@font-face \{\{.*?\}\}\n", "", template, flags=re.DOTALL)
    template = template.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return console.export_svg(
        title="signalpaca top", theme=MONOKAI, code_format=template, unique_id="top"
    )


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """The exit code: 1 where the file was to be checked and is another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="only look")
    checking = parser.parse_args(arguments).check
    path, text = root / PICTURE, picture()
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    if checking:
        sys.stdout.write(f"out of date: {PICTURE}\n")
        return 1
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"written: {PICTURE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
