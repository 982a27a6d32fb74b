"""Orders for the opening and the closing auction."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.unit.paper_exchange.conftest import Make

#: A Friday of daylight saving's end, in New York's 08:00, and the Friday after Thanksgiving.
FRIDAY = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
HALF_DAY = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
HOUR = 3600


def test_opening_auction(make: Make) -> None:
    """Queued, then all of it at the last price of the open, between bid and ask."""
    world = make(session="nyse", start=FRIDAY, liquidity="displayed")
    order = world.send(time_in_force="opg", qty="500")
    limit = world.rest("99", time_in_force="opg")
    assert (order.status, order.expires_ns) == ("accepted", None)
    world.later(1.5 * HOUR)
    assert (order.status, order.filled_avg_price) == ("filled", Decimal(100))
    assert limit.status == "canceled"
    assert world.events == ["accepted", "accepted", "new", "fill", "new", "canceled"]


def test_closing_auction(make: Make) -> None:
    """The same at the other end of the day."""
    world = make(session="nyse", start=FRIDAY)
    order = world.rest("101", time_in_force="cls")
    world.later(7.9 * HOUR)
    assert order.status == "accepted"
    world.later(0.1 * HOUR)
    assert order.status == "filled"


@pytest.mark.parametrize(
    ("time_in_force", "hours", "refused"),
    [
        ("opg", 1.46, False),
        ("opg", 1.47, True),
        ("opg", 10.99, True),
        ("opg", 11, False),
        ("cls", 7.83, False),
        ("cls", 7.84, True),
        ("cls", 10.99, True),
        ("cls", 11, False),
    ],
)
def test_too_late(make: Make, time_in_force: str, hours: float, refused: bool) -> None:
    """From 09:28 (15:50) to 19:00 there is no auction to take part in."""
    world = make(session="nyse", start=FRIDAY)
    world.later(hours * HOUR)
    if refused:
        refusal = world.refusal(lambda: world.send(time_in_force=time_in_force))
        assert f"{time_in_force} orders are not accepted between" in str(refusal["message"])
        assert refusal["code"] == 42210000
    else:
        assert world.send(time_in_force=time_in_force).status == "accepted"


def test_half_day(make: Make) -> None:
    """The closing auction of a half day is at 13:00, and the cutoff ten minutes before."""
    world = make(session="nyse", start=HALF_DAY)
    order = world.send(time_in_force="cls")
    world.later(2.9 * HOUR)
    assert world.refusal(lambda: world.send(time_in_force="cls"))["code"] == 42210000
    world.later(0.1 * HOUR)
    assert order.status == "filled"


def test_evening_orders_are_for_the_next_session(make: Make) -> None:
    """Over a weekend too."""
    world = make(session="nyse", start=FRIDAY)
    world.later(11.5 * HOUR)
    opening, closing = world.send(time_in_force="opg"), world.send(time_in_force="cls")
    world.later(2 * 24 * HOUR)
    assert (opening.status, closing.status) == ("accepted", "accepted")
    world.later(14 * HOUR)
    assert (opening.status, closing.status) == ("filled", "accepted")
    world.later(6.5 * HOUR)
    assert closing.status == "filled"


def test_the_open_can_be_too_dear(make: Make) -> None:
    """Buying power is looked at again at the bell."""
    world = make(session="nyse", start=FRIDAY)
    order = world.send(time_in_force="opg", qty="3900")
    assert order.status == "accepted"
    world.price(150)
    world.later(1.5 * HOUR)
    assert order.status == "rejected"
    assert world.account.reserved == 0


def test_always_open_has_its_auction_at_midnight(make: Make) -> None:
    """Where one session ends and the next begins."""
    world = make()
    order = world.send(time_in_force="opg")
    world.later(11.9 * HOUR)
    assert order.status == "accepted"
    world.later(0.1 * HOUR)
    assert order.status == "filled"
