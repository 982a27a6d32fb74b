"""What live bars cost a generator: ``python -m benchmarks.bars``.

A generator in a process of its own follows minute bars of 30 symbols at a local exchange whose
clock runs 60 times as fast, and makes a DataFrame of the last bars with each. Reported is its CPU
time per bar, and from that what one bar a minute and symbol takes of a core, with what it takes
while nothing happens; and its resident memory, step by step. Linux only (``/proc``).

The clock's speed is not the market's: what happens once a second of real time (looks at the clock,
pings) is measured by itself, with the exchange standing still.
"""

import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.processes import Child
from benchmarks.report import goals, machine, write
from benchmarks.startup import resident_mb

LIMIT_CORE, LIMIT_MB = 5.0, 150.0
START = "2026-03-02T11:00:00-05:00"


def main() -> int:
    """Run and report; 0 when every goal is met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--symbols", type=int, default=30)
    parser.add_argument("--speed", type=int, default=60)
    parser.add_argument("--history", type=int, default=32, help="bars in each DataFrame")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--follow", help="be the generator, of the exchange at this address")
    asked = parser.parse_args()
    if asked.follow:
        return follow(asked)
    with tempfile.TemporaryDirectory(prefix="signalpaca-bars-") as folder:
        result = measure(asked, Path(folder))
    for name, value in result.items():
        print(f"{name:>32}  {value}")
    met = [
        (f"below {LIMIT_CORE:g} % of a core", result["percent_of_a_core"] < LIMIT_CORE),
        (f"resident below {LIMIT_MB:g} MB", result["resident_mb"]["end"] < LIMIT_MB),
        ("bars came", result["bars"] > 0),
    ]
    print(goals(met))
    write("bars", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


def measure(asked: Namespace, folder: Path) -> dict[str, Any]:
    """The generator at a standing clock, and at a running one."""
    _, _, idle = watch(asked, folder, "idle", ["--stepped"], asked.seconds / 2)
    bars, per_bar, memory = watch(
        asked, folder, "bars", ["--speed", str(asked.speed)], asked.seconds
    )
    # What the time itself costs is in both.
    own = max(0.0, per_bar * bars / asked.seconds - idle) * asked.seconds / max(bars, 1)
    return {
        "symbols": asked.symbols,
        "bars": bars,
        "cpu_ms_per_bar": round(own * 1e3, 3),
        "idle_percent_of_a_core": round(idle * 100, 3),
        "percent_of_a_core": round((own * asked.symbols / 60 + idle) * 100, 3),
        "resident_mb": memory,
    }


def watch(
    asked: Namespace, folder: Path, name: str, clock: list[str], seconds: float
) -> tuple[int, float, Any]:
    """Bars in this time, CPU seconds per bar, and memory; of a standing clock CPU per second."""
    symbols = [f"S{number:02}" for number in range(asked.symbols)]
    exchange = ["-m", "paper_exchange", "--port", "0", "--start", START, *clock]
    with Child(f"exchange-{name}", [*exchange, "--symbols", ",".join(symbols)], folder) as server:
        command = ["-m", "benchmarks.bars", "--follow", server.ready().split()[-1]]
        options = ("symbols", "history", "speed")
        command += [text for o in options for text in (f"--{o}", str(getattr(asked, o)))]
        command[-1] = "0" if name == "idle" else command[-1]
        with Child(f"generator-{name}", command, folder) as generator:
            memory = dict(part.split("=") for part in generator.ready().split())
            warm = asked.seconds / 4
            time.sleep(warm)
            before, cpu = count(folder), generator.cpu_seconds()
            time.sleep(seconds)
            generator.check()
            bars, spent = count(folder) - before, generator.cpu_seconds() - cpu
            resident = {key: float(value) for key, value in memory.items()}
            resident["end"] = round(resident_mb(generator.process.pid), 1)
    if name == "idle":
        return bars, 0.0, spent / seconds
    return bars, spent / max(bars, 1), resident


def count(folder: Path) -> int:
    """Bars so far: a byte each in the generator's log."""
    return (folder / "generator-bars.log").stat().st_size if _has_log(folder) else 0


def _has_log(folder: Path) -> bool:
    return (folder / "generator-bars.log").exists()


class Scaled:
    """The exchange's time without asking for it: this process starts when its clock does."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Behind by as much as this process started later, in the exchange's time."""
        passed = (time.monotonic() - self._began) * self._speed
        return datetime.fromisoformat(START).astimezone(UTC) + timedelta(seconds=passed)

    def session(self) -> None:
        """Not asked for."""


def follow(asked: Namespace) -> int:
    """The process that is measured."""
    import os

    steps = {"start": resident_mb(os.getpid())}
    from signal_generator.bars import Bar, Timeframe
    from signal_generator.connection import Connection
    from signal_generator.market.frames import frame
    from signal_generator.market.live_bars import LiveBars

    steps["program"] = resident_mb(os.getpid())
    import pandas as pd  # noqa: F401

    steps["pandas"] = resident_mb(os.getpid())
    import alpaca.data.historical.stock  # noqa: F401

    steps["alpaca_py"] = resident_mb(os.getpid())
    environ = {"ALPACA_API_KEY": "k", "ALPACA_SECRET_KEY": "s", "ALPACA_DATA_URL": asked.follow}
    source = LiveBars(Connection.from_env(environ), Scaled(asked.speed))
    symbols = [f"S{number:02}" for number in range(asked.symbols)]
    history = source.history(symbols, Timeframe.MINUTE, asked.history)
    windows = {symbol: deque(bars, maxlen=asked.history) for symbol, bars in history.items()}

    def put(bar: Bar) -> None:
        windows[bar.symbol].append(bar)
        frame(windows[bar.symbol])
        sys.stderr.write(".")
        sys.stderr.flush()

    source.follow(Timeframe.MINUTE, {s: bars[-1].timestamp for s, bars in history.items()}, put)
    print(*(f"{name}={value:.1f}" for name, value in steps.items()), flush=True)
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
