"""Tests of solution.domain.signal_rules."""

from decimal import Decimal
from typing import Any

import pytest

from solution.domain.orders import OrderType, TimeInForce
from solution.domain.signal import (
    Signal,
    SizeKind,
    check_time_in_force,
    default_time_in_force,
    parse,
)
from solution.errors import SignalError
from tests.helpers.signal_cases import COMPARED, CONFLICTING, MISSING, VALID

IOC, DAY, GTC, FOK = TimeInForce.IOC, TimeInForce.DAY, TimeInForce.GTC, TimeInForce.FOK


def read(text: str) -> Signal:
    """Parse `name=value` pairs separated by blanks."""
    pairs = [pair.partition("=")[::2] for pair in text.split()]
    return parse("nvda", "1760000000000-0", [(n.encode(), v.encode()) for n, v in pairs])


@pytest.mark.parametrize("text", VALID)
def test_accepted(text: str) -> None:
    """What can stand together is accepted."""
    assert read(text).ticker in {"NVDA", "BTC/USD", "BTCUSD", "ETHUSDT"}


@pytest.mark.parametrize(("text", "one", "other"), CONFLICTING + COMPARED)
def test_conflicts_name_both_fields(text: str, one: str, other: str) -> None:
    """What cannot stand together is refused, naming both fields."""
    with pytest.raises(SignalError) as error:
        read(text)
    assert error.value.reason == "CONFLICTING_FIELDS"
    assert error.value.message.startswith(f"{one} and {other} cannot stand together: ")


@pytest.mark.parametrize(("text", "field"), MISSING)
def test_missing_fields_are_named(text: str, field: str) -> None:
    """What another field needs is asked for by name."""
    with pytest.raises(SignalError) as error:
        read(text)
    assert error.value.reason == "MISSING_FIELD"
    assert error.value.message.startswith(f"{field} is missing")


# --- time in force --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("direction=b", IOC),
        ("direction=b order_type=market", IOC),
        ("direction=b order_type=limit limit_price=1", IOC),
        ("direction=b order_type=stop stop_price=1", DAY),
        ("direction=b order_type=stop_limit stop_price=1 limit_price=1", DAY),
        ("direction=b order_type=trailing_stop trail_price=1", DAY),
        ("direction=b take_profit=2", DAY),
        ("direction=b stop_loss=2", DAY),
        ("direction=b notional=100", DAY),
        ("direction=b order_type=limit limit_price=1 extended_hours=true", DAY),
        ("direction=b time_in_force=fok", FOK),
    ],
)
def test_default_time_in_force(text: str, expected: TimeInForce) -> None:
    """The configured one for whole-share market and limit orders, day for the rest."""
    signal = read(f"ticker=NVDA {text}")
    assert default_time_in_force(signal, IOC, fractional=False, crypto=False) is expected


def test_default_of_a_fraction() -> None:
    """Parts of a share are day orders, whatever is configured."""
    signal = read("ticker=NVDA direction=b")
    assert default_time_in_force(signal, IOC, fractional=True, crypto=False) is DAY


@pytest.mark.parametrize(
    ("text", "configured", "expected"),
    [
        ("direction=b", IOC, IOC),
        ("direction=b", GTC, GTC),
        ("direction=b", DAY, GTC),
        ("direction=b order_type=stop_limit stop_price=1 limit_price=1", IOC, GTC),
    ],
)
def test_default_of_crypto(text: str, configured: TimeInForce, expected: TimeInForce) -> None:
    """gtc for stop_limit, and where the configured one does not exist for crypto."""
    signal = read(f"ticker=BTC/USD {text}")
    assert default_time_in_force(signal, configured, fractional=True, crypto=True) is expected


@pytest.mark.parametrize("text", [case for case in VALID if "time_in_force" not in case])
@pytest.mark.parametrize("configured", list(TimeInForce))
def test_default_is_always_possible(text: str, configured: TimeInForce) -> None:
    """What default_time_in_force chooses, check_time_in_force accepts."""
    signal = read(text)
    crypto = "/" in signal.ticker
    fraction = signal.size is not None and signal.size % 1 != 0
    world = {"fractional": fraction or signal.size_kind is SizeKind.NOTIONAL, "crypto": crypto}
    chosen = default_time_in_force(signal, configured, **world)
    assert check_time_in_force(signal, chosen, **world) is None  # type: ignore[func-returns-value]  # it raises or not


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "time_in_force=ioc and a fractional quantity cannot stand together"),
        (
            {"size_kind": SizeKind.WEIGHT, "size": Decimal("0.5")},
            "time_in_force=ioc and weight=0.5 cannot stand together",
        ),
    ],
)
def test_fraction_known_only_after_sizing(values: dict[str, Any], message: str) -> None:
    """An explicit ioc meets a computed part of a share."""
    signal = Signal(stream="s", entry_id="1-0", ticker="NVDA", digest="", **values)
    with pytest.raises(SignalError, match=message):
        check_time_in_force(signal, IOC, fractional=True, crypto=False)


def test_crypto_known_only_after_look_up() -> None:
    """BTCUSD is a pair too, which only the broker's list tells."""
    signal = Signal(stream="s", entry_id="1-0", ticker="BTCUSD", digest="")
    with pytest.raises(SignalError, match="time_in_force=day and ticker=BTCUSD cannot"):
        check_time_in_force(signal, DAY, fractional=True, crypto=True)


def test_every_order_type_has_a_valid_case() -> None:
    """The table of accepted signals covers every type and every time in force."""
    signals = [read(text) for text in VALID]
    assert {s.order_type for s in signals} == {None, *OrderType}
    assert {s.time_in_force for s in signals} == {None, *TimeInForce}
