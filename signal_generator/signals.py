"""A signal as a strategy states it, and as the fields of a stream entry.

What the fields mean is the consumer's contract (docs/reference/signal.md). Here they are only
written down: numbers become text without exponent, so that no digit is lost on the way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Number = Decimal | int | float | str
"""Floats are taken by their shortest text (``0.1`` is 0.1), never by their binary value."""

_SIDES = {"b": "b", "buy": "b", "s": "s", "sell": "s"}
_TEXTS = ("action", "order_type", "time_in_force", "strategy", "signal_id")
_NUMBERS = (
    *("qty", "notional", "weight", "target_qty", "target_weight"),
    *("limit_price", "stop_price", "trail_price", "trail_percent"),
    *("take_profit", "stop_loss", "stop_loss_limit", "cancel_after", "max_age"),
)


class WrongSignal(ValueError):
    """What a strategy returned cannot be a signal; the text names the field and the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One wish to trade.

    Args:
        symbol: Alpaca symbol, such as ``NVDA`` or ``BTC/USD``.
        side: ``buy``/``b`` or ``sell``/``s``; empty where a target or ``liquidate`` says it.
        qty: shares; of the five sizes at most one. Without one the consumer's ``SIZING`` decides.
        notional: account currency. weight: share of equity. target_qty, target_weight: what to hold
            afterwards.
        cancel_after: seconds a resting order may live.
        signal_id: the strategy's own identity of this wish; the host gives one where it is empty.
        ts: the moment the wish is about, aware; the consumer counts its age from there.
        metadata: the strategy's own, published as ``x_NAME`` and echoed on ``executions``.
    """

    symbol: str
    side: str = ""
    action: str = ""
    qty: Number | None = None
    notional: Number | None = None
    weight: Number | None = None
    target_qty: Number | None = None
    target_weight: Number | None = None
    order_type: str = ""
    time_in_force: str = ""
    limit_price: Number | None = None
    stop_price: Number | None = None
    trail_price: Number | None = None
    trail_percent: Number | None = None
    take_profit: Number | None = None
    stop_loss: Number | None = None
    stop_loss_limit: Number | None = None
    cancel_after: Number | None = None
    max_age: Number | None = None
    extended_hours: bool | None = None
    signal_id: str = ""
    ts: datetime | None = None
    strategy: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, str]:
        """The fields of the stream entry, in a fixed order.

        Raises:
            WrongSignal: a value that no consumer could take.
        """
        found = {"ticker": _symbol(self.symbol)}
        if self.side:
            found["direction"] = _direction(self.side)
        given = {name: getattr(self, name) for name in (*_TEXTS, *_NUMBERS)}
        found |= {n: _text(n, v) for n, v in given.items() if n in _TEXTS and v}
        found |= {n: number_text(n, v) for n, v in given.items() if n in _NUMBERS and v is not None}
        if self.extended_hours is not None:
            found["extended_hours"] = "true" if self.extended_hours else "false"
        if self.ts is not None:
            found["ts"] = _moment(self.ts)
        return found | {f"x_{name}": str(value) for name, value in self.metadata.items()}


def number_text(name: str, value: Number) -> str:
    """A finite number as plain decimal text: ``1e-05`` becomes ``0.00001``."""
    if isinstance(value, bool):
        raise WrongSignal(f"{name}: {value!r} is not a number")
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise WrongSignal(f"{name}: {value!r} is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 20:
        raise WrongSignal(f"{name}: {value!r} is not a finite number of a usual size")
    return f"{number:f}"


def _symbol(symbol: object) -> str:
    if not isinstance(symbol, str) or not symbol.strip():
        raise WrongSignal(f"symbol: {symbol!r} is not a symbol such as NVDA")
    return symbol.strip().upper()


def _direction(side: object) -> str:
    try:
        return _SIDES[str(side).lower()]
    except KeyError:
        raise WrongSignal(f"side: {side!r} is neither buy nor sell") from None


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise WrongSignal(f"{name}: {value!r} is not text")
    return value


def _moment(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise WrongSignal(f"ts: {moment!r} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
