"""Tests of solution.domain.signal_model."""

from decimal import Decimal
from typing import Any

import pytest

from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.signal import Action, Signal, SizeKind


def make(**values: Any) -> Signal:
    """A signal with these attributes."""
    defaults = {"stream": "nvda", "entry_id": "1760000000123-0", "ticker": "NVDA", "digest": "d1"}
    return Signal(**{**defaults, **values})


def test_identity_by_signal_id() -> None:
    """The producer's own id serves alone: neither entry nor content matters."""
    assert make(signal_id="7", entry_id="1-1", digest="x").identity == "nvda|id:7"


def test_identity_without_signal_id() -> None:
    """Without one, the stream, the entry and the content serve together."""
    assert make().identity == "nvda|entry:1760000000123-0:d1"


def test_identities_of_two_streams_never_meet() -> None:
    """A stream's name cannot imitate another stream's identity."""
    one = make(stream="a", signal_id="b|id:c")
    other = make(stream="a|id:b", signal_id="c")
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("ts_ms", "oldest"),
    [(None, 1760000000123), (1760000000122, 1760000000122), (1760000000124, 1760000000123)],
)
def test_oldest(ts_ms: int | None, oldest: int) -> None:
    """Age counts from the older of the two times."""
    assert make(ts_ms=ts_ms).oldest_ms() == oldest


@pytest.mark.parametrize(
    ("values", "is_exit"),
    [
        ({"side": Side.BUY}, False),
        ({"side": Side.SELL}, True),
        ({"side": Side.BUY, "action": Action.BUY_LONG}, False),
        ({"side": Side.BUY, "action": Action.BUY_TO_COVER}, True),
        ({"side": Side.BUY, "action": Action.COVER_SHORT}, True),
        ({"side": Side.SELL, "action": Action.SHORT_SELL}, False),
        ({"side": Side.SELL, "action": Action.SELL_LONG}, True),
        ({"action": Action.LIQUIDATE}, True),
        ({"size_kind": SizeKind.TARGET_QTY, "size": Decimal(0)}, True),
        ({"size_kind": SizeKind.TARGET_WEIGHT, "size": Decimal("0.0")}, True),
        ({"size_kind": SizeKind.TARGET_QTY, "size": Decimal(1)}, False),
    ],
)
def test_is_exit(values: dict[str, Any], is_exit: bool) -> None:
    """Exits are what can only reduce a position."""
    assert make(**values).is_exit is is_exit


@pytest.mark.parametrize("kind", list(SizeKind))
def test_is_target(kind: SizeKind) -> None:
    """Two of the five sizes state a position."""
    assert make(size_kind=kind, size=Decimal(1)).is_target is kind.startswith("target_")


@pytest.mark.parametrize(
    ("values", "whole"),
    [
        ({}, False),
        ({"time_in_force": TimeInForce.DAY}, False),
        ({"time_in_force": TimeInForce.IOC}, True),
        ({"take_profit": Decimal(1)}, True),
        ({"stop_loss": Decimal(1)}, True),
        ({"action": Action.SHORT_SELL}, True),
        ({"order_type": OrderType.TRAILING_STOP}, True),
        ({"order_type": OrderType.STOP}, False),
    ],
)
def test_needs_whole_shares(values: dict[str, Any], whole: bool) -> None:
    """What the broker refuses for parts of a share."""
    assert make(**values).needs_whole_shares is whole
