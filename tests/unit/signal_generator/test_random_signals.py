"""Tests of signal_generator.random_signals."""

import random
import uuid

import pytest

from signal_generator.random_signals import Direction, RandomSignals


def make(
    probability: float = 1.0,
    *,
    symbols: tuple[str, ...] = ("NVDA",),
    direction: Direction = "both",
    with_ids: bool = False,
) -> RandomSignals:
    """Return signals on a seeded source of chance."""
    return RandomSignals(
        symbols, probability, random.Random(7), direction=direction, with_ids=with_ids
    )


def signals_of(signals: RandomSignals, count: int) -> list[dict[str, str]]:
    """Return the signals among `count` draws."""
    return [fields for _ in range(count) if (fields := signals.draw())]


def test_fields_are_exactly_ticker_and_direction() -> None:
    """The names are spelled as the input contract has them, and nothing else is sent."""
    (fields,) = signals_of(make(), 1)
    assert list(fields) == ["Ticker", "Direction"]
    assert fields["Ticker"] == "NVDA"
    assert fields["Direction"] in {"b", "s"}


def test_probability_zero_never_signals() -> None:
    """Not once in ten thousand draws."""
    assert signals_of(make(0.0), 10_000) == []


def test_the_smallest_draw_is_no_signal_at_probability_zero() -> None:
    """Chance may come out as exactly 0.0, and never is never."""

    class Lowest(random.Random):
        def random(self) -> float:
            return 0.0

    assert RandomSignals(("NVDA",), 0.0, Lowest(1)).draw() is None


def test_probability_one_always_signals() -> None:
    """Every draw yields a signal: chance is below 1 always."""
    assert len(signals_of(make(1.0), 1_000)) == 1_000


def test_half_a_percent() -> None:
    """200,000 draws at 0.5 % give 1,000 signals, within five standard deviations."""
    assert abs(len(signals_of(make(0.005), 200_000)) - 1_000) < 160


def test_both_directions_and_all_symbols_occur() -> None:
    """Over 2,000 signals each of six combinations stands near a sixth."""
    signals = make(symbols=("NVDA", "AAPL", "BTC/USD"))
    pairs = [tuple(fields.values()) for fields in signals_of(signals, 2_000)]
    counts = [pairs.count(pair) for pair in sorted(set(pairs))]
    assert len(counts) == 6
    assert min(counts) > 240


@pytest.mark.parametrize("direction", ["b", "s"])
def test_one_direction_only(direction: Direction) -> None:
    """A chosen direction is the only one."""
    signals = make(direction=direction)
    assert {fields["Direction"] for fields in signals_of(signals, 200)} == {direction}


def test_same_seed_same_signals() -> None:
    """Two runs on one seed agree draw by draw, the empty ones included."""
    one, two = make(0.3, with_ids=True), make(0.3, with_ids=True)
    assert [one.draw() for _ in range(500)] == [two.draw() for _ in range(500)]


def test_ids_are_distinct_uuids() -> None:
    """Each signal_id is a version 4 UUID of its own."""
    signals = make(with_ids=True)
    ids = [uuid.UUID(fields["signal_id"]) for fields in signals_of(signals, 1_000)]
    assert len(set(ids)) == 1_000
    assert {one.version for one in ids} == {4}


def test_ids_do_not_change_what_is_drawn() -> None:
    """With ids or without, a seed gives the same tickers, directions and moments."""
    with_ids, without = make(0.3, with_ids=True), make(0.3)
    drawn = [with_ids.draw() for _ in range(500)]
    stripped = [d and {k: v for k, v in d.items() if k != "signal_id"} for d in drawn]
    assert stripped == [without.draw() for _ in range(500)]
