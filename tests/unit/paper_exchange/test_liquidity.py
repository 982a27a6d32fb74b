"""Fills limited by the size shown at the quote."""

from decimal import Decimal

from tests.unit.paper_exchange.conftest import Make


def test_no_more_than_is_shown(make: Make) -> None:
    """An IOC takes what is there; whoever comes later at the same quote finds it gone."""
    world = make(liquidity="displayed")
    size = world.market.quote("KO", world.clock.now_ns()).ask_size
    first = world.send(qty=str(size - 10))
    second, third = world.send(qty="50"), world.send(qty="50")
    assert (first.status, first.filled_qty) == ("filled", Decimal(size - 10))
    assert (second.status, second.filled_qty) == ("canceled", Decimal(10))
    assert (third.status, third.filled_qty) == ("canceled", Decimal(0))
    # The other side of the book is untouched.
    assert world.send(side="sell", qty="50").status == "filled"


def test_the_next_quote_shows_a_fresh_size(make: Make) -> None:
    """A resting order is filled quote by quote, and its executions add up."""
    world = make(liquidity="displayed")
    order = world.send(time_in_force="day", qty="2500")
    sizes = [order.filled_qty]
    while order.is_open:
        assert order.status == "partially_filled"
        shown = world.market.quote("KO", world.clock.now_ns() + 250_000_000).ask_size
        world.later(0.25)
        sizes.append(order.filled_qty - sum(sizes))
        assert sizes[-1] <= shown
    assert sum(sizes) == 2500
    assert len(world.account.fills) == len(sizes) > 2


def test_fill_or_kill_wants_it_all(make: Make) -> None:
    """Nothing is filled when the size shown does not do."""
    world = make(liquidity="displayed")
    size = world.market.quote("KO", world.clock.now_ns()).ask_size
    killed = world.send(time_in_force="fok", qty=str(size + 1))
    filled = world.send(time_in_force="fok", qty=str(size))
    assert (killed.status, killed.filled_qty, filled.status) == ("canceled", Decimal(0), "filled")


def test_dollars_are_limited_too(make: Make) -> None:
    """A notional order is filled in parts like any other."""
    world = make(liquidity="displayed")
    order = world.send(qty=None, notional="150000", time_in_force="day")
    assert order.status == "partially_filled"
    while order.is_open:
        world.later(0.25)
    assert 149_999 < order.filled_value <= 150_000
    assert world.account.reserved == 0
