"""A signal as a strategy states it, and as the fields of a stream entry.

What the fields mean is the consumer's contract (docs/reference/signal.md). Here they are only
written down: numbers become text without exponent, so that no digit is lost on the way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from signal_generator.signal_checks import WrongSignal, check

__all__ = ["Number", "Signal", "WrongSignal", "number_text"]

Number = Decimal | int | float | str
"""Floats are taken by their shortest text (``0.1`` is 0.1), never by their binary value, and to
nine decimals, which is what a consumer takes: ``0.1 + 0.2`` is 0.3."""

_SIDES = {"b": "b", "buy": "b", "s": "s", "sell": "s"}
_WORDS = ("action", "order_type", "time_in_force")
_TEXTS = (*_WORDS, "strategy", "signal_id")
_NUMBERS = (
    *("qty", "notional", "weight", "target_qty", "target_weight"),
    *("limit_price", "stop_price", "trail_price", "trail_percent"),
    *("take_profit", "stop_loss", "stop_loss_limit", "cancel_after", "max_age"),
)


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
            WrongSignal: a value, or values together, that no consumer could take.
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
        found |= {f"x_{name}": str(value) for name, value in self.metadata.items()}
        check(found)
        return found


def number_text(name: str, value: Number) -> str:
    """A finite number as plain decimal text: ``1e-05`` becomes ``0.00001``."""
    if isinstance(value, bool):
        raise WrongSignal(f"{name}: {value!r} is not a number")
    try:
        number = Decimal(str(round(value, 9) if isinstance(value, float) else value))
    except ArithmeticError:
        raise WrongSignal(f"{name}: {value!r} is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 20:
        raise WrongSignal(f"{name}: {value!r} is not a finite number of a usual size")
    # A zero has neither sign nor exponent: -0.0 is what 0 * -1 gives.
    return f"{number:f}" if number else "0"


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
    # Words are taken in any case, as the consumer's are.
    return value.lower() if name in _WORDS else value


def _moment(moment: object) -> str:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise WrongSignal(f"ts: {moment!r} is not a moment with a time zone")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise WrongSignal(f"ts: {moment!r} is out of range") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
