"""Writes day.csv: one made-up session of minute bars, the same to the byte on every machine.

    python examples/bars/make_bars.py examples/bars/day.csv

Prices are a random walk in whole cents around two slow waves, so that averages cross several
times a day. F costs little, moves by single cents and stands still for minutes: its averages often
tie, which is where a comparison of rounded averages goes wrong.
"""

import csv
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20260306
#: Symbol, price in cents, cents of one usual step, shares per minute.
SYMBOLS = (
    ("AAPL", 26_000, 9, 2_900),
    ("F", 1_240, 1, 9_000),
    ("META", 64_500, 30, 900),
    ("TSLA", 40_200, 24, 5_200),
)
#: The last 40 minutes of Thursday, and all 390 of Friday; New York is five hours behind.
THURSDAY = (datetime(2026, 3, 5, 20, 20, tzinfo=UTC), 40)
FRIDAY = (datetime(2026, 3, 6, 14, 30, tzinfo=UTC), 390)
COLUMNS = ("timestamp", "symbol", "open", "high", "low", "close", "volume")


def minutes() -> list[datetime]:
    """The start of every bar."""
    return [
        start + timedelta(minutes=n) for start, count in (THURSDAY, FRIDAY) for n in range(count)
    ]


def walk(symbol: str, price: int, step: int, volume: int) -> Iterator[tuple[object, ...]]:
    """The rows of one symbol."""
    rng = random.Random(f"{SEED}:{symbol}")  # noqa: S311  # made-up prices, not secrets
    cents = price
    for number, start in enumerate(minutes()):
        first = cents + rng.randint(-step, step) // 2
        # Integers and sums of uniform draws only: no function that rounds differently elsewhere.
        pull = (wave(number, step) + price - cents) // 60
        last = first + pull + rng.randint(-step, step) + rng.randint(-step, step)
        high = max(first, last) + rng.randint(0, step)
        low = min(first, last) - rng.randint(0, step)
        traded = volume // 2 + rng.randrange(volume)
        told = (f"{value / 100:.2f}" for value in (first, high, low, last))
        yield (f"{start:%Y-%m-%dT%H:%M:%SZ}", symbol, *told, traded)
        cents = last


def wave(number: int, step: int) -> int:
    """How far, in cents, two triangle waves of 60 and 150 minutes lie from the middle."""
    return step * (triangle(number, 60) * 12 + triangle(number, 150) * 18) // 100


def triangle(number: int, period: int) -> int:
    """From -100 to 100 and back within a period."""
    return abs((number * 400 // period) % 400 - 200) - 100


def main(path: str) -> None:
    """All symbols, by time and then by symbol."""
    rows = sorted((row for made in SYMBOLS for row in walk(*made)), key=lambda row: row[:2])
    with Path(path).open("w", newline="", encoding="ascii") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
