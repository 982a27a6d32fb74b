"""Alpaca's rules, each at its boundary."""

import pytest

from solution.commands.lint_rules import notes, refusals
from solution.domain.signal import parse
from solution.domain.signal_model import Signal


def signal(text: str) -> Signal:
    words = text.encode().split()
    return parse("nvda", "1-0", list(zip(words[::2], words[1::2], strict=True)))


BUY = "ticker NVDA direction b"
COIN = "ticker BTC/USD direction b"
LIMIT = "order_type limit limit_price"


@pytest.mark.parametrize(
    "text",
    [
        BUY,
        f"{BUY} notional 1",
        f"{BUY} qty 0.5",
        f"{BUY} qty 0.5 {LIMIT} 2",
        f"{BUY} qty 1 {LIMIT} 0.01",
        f"{BUY} weight 0.5 {LIMIT} 0.01",
        f"{COIN} notional 10",
        f"{COIN} qty 0.001 {LIMIT} 10000",
        f"{COIN} qty 0.00000001",
        f"{BUY} {LIMIT} 180 stop_loss 179.99 time_in_force day",
        "ticker NVDA target_weight 0",
    ],
)
def test_what_alpaca_takes(text: str) -> None:
    """At the boundary, or where the value is not known."""
    assert list(refusals(signal(text))) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{BUY} notional 0.99", "is worth at least 1, this one 0.99"),
        (f"{BUY} qty 0.5 {LIMIT} 1.99", "is worth at least 1"),
        ("ticker BTCUSD direction b notional 9.99", "a crypto order is worth at least 10"),
        (f"{COIN} notional 9.99", "a crypto order is worth at least 10, this one 9.99"),
        (f"{COIN} qty 0.001 {LIMIT} 9999", "a crypto order is worth at least 10"),
        (f"{BUY} {LIMIT} 180 stop_loss 179.991 time_in_force day", "is less than 0.01 away"),
        (f"{BUY} {LIMIT} 0.00001", "limit_price: a price of 0.00001 is below"),
        (f"{BUY} order_type trailing_stop trail_price 0.00001", "trail_price: a price of"),
    ],
)
def test_what_alpaca_refuses(text: str, said: str) -> None:
    """Whatever the market does."""
    [message] = refusals(signal(text))
    assert said in message


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (f"{BUY} {LIMIT} 180.99", []),
        (f"{BUY} {LIMIT} 0.9999", []),
        (f"{COIN} {LIMIT} 180.999", []),
        (f"{BUY} {LIMIT} 180.999", ["limit_price=180.999 is sent as 180.99"]),
        (f"ticker F direction s {LIMIT} 9.991", ["limit_price=9.991 is sent as 10.00"]),
        (f"{BUY} {LIMIT} 0.00001", []),
        (f"{BUY} take_profit 200.001 stop_loss 150.001", ["200.01", "150.01"]),
    ],
)
def test_what_the_service_changes(text: str, changed: list[str]) -> None:
    """A buy down, a sale and the legs that sell up: as the order is composed."""
    found = list(notes(signal(text)))
    assert [part in note for part, note in zip(changed, found, strict=True)] == [True] * len(found)
