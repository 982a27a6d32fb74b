"""Prices that depend on seed, asset and instant alone."""

import statistics
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest

from paper_exchange.assets import AssetBook
from paper_exchange.clock import SECOND, to_ns
from paper_exchange.prices.market import DAY_NS, MINUTE_NS, TICK_NS, Market
from paper_exchange.prices.tape import Stretch

START = to_ns(datetime(2026, 11, 20, 17, 0, tzinfo=UTC))


def market(seed: int = 1, volatility: float = 0.4, symbols: Iterable[str] = ()) -> Market:
    """A market made at START."""
    return Market(AssetBook(symbols), seed=seed, volatility=volatility, origin_ns=START)


def test_price_does_not_depend_on_who_looked_before() -> None:
    """A look after a quiet week shows what a busy one would have."""
    quiet, busy = market(), market()
    then = START + 7 * DAY_NS
    for step in range(200):
        busy.quote("NVDA", START + step * 3600 * SECOND // 2)
    assert busy.quote("NVDA", then) == quiet.quote("NVDA", then)


def test_seeds_and_symbols_differ() -> None:
    """Another seed or symbol is another walk."""
    at = START + DAY_NS
    assert market(1).quote("NVDA", at).last != market(2).quote("NVDA", at).last
    changes = {
        s: market().quote(s, at).last / market(volatility=0).quote(s, at).last for s in ("KO", "V")
    }
    assert changes["KO"] != changes["V"]


def test_quote_stands_for_one_tick() -> None:
    """The same object within a quarter of a second, then another."""
    one = market()
    at = START // TICK_NS * TICK_NS
    assert one.quote("KO", at) is one.quote("KO", at + TICK_NS - 1)
    assert one.quote("KO", at + TICK_NS).tick == one.quote("KO", at + TICK_NS).at_ns // TICK_NS


def test_quotes_are_sound() -> None:
    """Bid below ask, last within them, all on the grid, sizes in round lots."""
    one = market()
    for symbol, step in (("NVDA", "0.01"), ("SNDL", "0.0001"), ("DOGE/USD", "0.0000001")):
        for tick in range(400):
            quote = one.quote(symbol, START + tick * TICK_NS)
            assert 0 < quote.bid <= quote.last <= quote.ask
            assert quote.bid < quote.ask
            assert quote.last % Decimal(step) == 0
            assert quote.bid_size % 100 == 0 < quote.bid_size


def test_volatility_is_what_was_asked_for() -> None:
    """The spread of daily changes is the yearly figure over the root of 365."""
    one = market(volatility=0.4)
    closes = [float(one.price_at("SPY", START + day * DAY_NS)) for day in range(-300, 300)]
    daily = statistics.pstdev(b / a - 1 for a, b in pairwise(closes))
    assert 0.85 < daily / (0.4 / 365**0.5) < 1.15


def test_walk_is_continuous() -> None:
    """No jump at the borders of minutes and days."""
    one = market(volatility=0.4)
    midnight = (START // DAY_NS + 1) * DAY_NS
    prices = [float(one.quote("SPY", midnight + n * TICK_NS).last) for n in range(-480, 480)]
    steps = [abs(b / a - 1) for a, b in pairwise(prices)]
    assert max(steps) < 0.001


def test_no_volatility_no_movement() -> None:
    """At zero the price stays at the base price."""
    assert market(volatility=0).quote("KO", START + 9 * DAY_NS).last == 70


def test_price_by_hand_holds_and_lets_go() -> None:
    """It holds with one step of spread; released, the walk goes on from there."""
    one = market()
    one.set_price("KO", Decimal(50), START)
    quote = one.quote("KO", START + DAY_NS)
    assert (quote.bid, quote.last, quote.ask) == (
        Decimal("49.99"),
        Decimal(50),
        Decimal("50.01"),
    )
    assert one.held() == {"KO": Decimal(50)}
    one.set_price("KO", None, START)
    assert abs(one.quote("KO", START + SECOND).last - 50) < Decimal("0.5")
    assert one.held() == {}
    one.set_price("SNDL", Decimal("0.0001"), START)
    assert one.quote("SNDL", START).bid == Decimal("0.0001")


def test_unknown_symbol() -> None:
    """There is no price for what is not listed, and one for what is added."""
    with pytest.raises(KeyError):
        market().quote("ZZZZ", START)
    added = market(symbols=["ZZZZ", "KO"])
    assert 20 <= added.quote("ZZZZ", START).last <= 600


def bar_of(one: Market, start_ns: int, end_ns: int) -> Stretch:
    """NVDA from one whole minute to another."""
    found = one.series("NVDA").tape.span(start_ns // MINUTE_NS, end_ns // MINUTE_NS)
    assert found is not None
    return found


def test_bars_agree_with_quotes() -> None:
    """A minute's bar is made of that minute's ticks."""
    one = market()
    minute = START // MINUTE_NS * MINUTE_NS
    ticks = [one.quote("NVDA", minute + n * TICK_NS).last for n in range(240)]
    bar = bar_of(one, minute, minute + MINUTE_NS)
    decimal = one.series("NVDA").grid.decimal
    assert decimal(bar.open) == ticks[0]
    assert decimal(bar.low) <= min(ticks) <= max(ticks) <= decimal(bar.high)
    assert bar.volume > bar.trades > 0


def test_span_bar_covers_days() -> None:
    """A bar over midnight opens and closes with the prices of its ends."""
    one = market()
    start, end = START - DAY_NS, START
    bar = bar_of(one, start, end)
    decimal = one.series("NVDA").grid.decimal
    assert decimal(bar.open) == one.price_at("NVDA", start)
    assert decimal(bar.close) == one.price_at("NVDA", end)
    assert bar.low <= bar.open <= bar.high
    one.set_price("NVDA", Decimal(10), START)
    held = bar_of(one, START, START + MINUTE_NS)
    assert {held.open, held.high, held.low, held.close} == {10}
