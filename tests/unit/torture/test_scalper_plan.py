"""Tests of torture.scalper_plan."""

import pytest

from torture.scalper_plan import (
    CLOSES,
    MINUTE,
    OPENS,
    SYMBOLS,
    NotTheSame,
    Outcome,
    Plan,
    compare,
    crashes,
)

BUY = ("buy", "limit", "4", "401.10", "4", "filled")
SALE = ("sell", "limit", "4", "401.11", "4", "filled")


def _outcome(*orders: tuple[str, ...]) -> Outcome:
    return Outcome({symbol: [] for symbol in SYMBOLS} | {"TSLA": orders}, 0, 0.0)


def test_the_same_seed_kills_at_the_same_moments() -> None:
    """And kills as often as asked, both of them, before and after a step, never at the close."""
    planned = crashes(7, 60)
    assert planned == crashes(7, 60) != crashes(8, 60)
    flat = [crash for at in planned.values() for crash in at]
    assert len(flat) == 60
    assert {crash.who for crash in flat} == {"scalper", "service"}
    assert {crash.delay is None for crash in flat} == {True, False}
    assert all(OPENS < at < CLOSES for at in planned)


def test_a_day_has_each_of_its_minutes() -> None:
    """From the one after its beginning to the close."""
    steps = list(Plan(begins=CLOSES - 3 * MINUTE).steps())
    assert steps == [CLOSES - 2 * MINUTE, CLOSES - MINUTE, CLOSES]
    assert len(list(Plan().steps())) == 390


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((BUY,), r"TSLA, order 1: None instead of \('sell'"),
        ((BUY, SALE, BUY), r"TSLA, order 2: \('buy'.* instead of None"),
        ((SALE, BUY), r"TSLA, order 0: \('sell'.* instead of \('buy'"),
        ((BUY, (*SALE[:4], "0", "canceled")), r"TSLA, order 1: .*'canceled'\) instead of"),
    ],
)
def test_any_difference_is_named(found: tuple[tuple[str, ...], ...], words: str) -> None:
    """One order too few, too many, in another order, with another end."""
    wanted = _outcome(BUY, SALE)
    compare(wanted, _outcome(BUY, SALE))
    with pytest.raises(NotTheSame, match=words):
        compare(wanted, _outcome(*found))
