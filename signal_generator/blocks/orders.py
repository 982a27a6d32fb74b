"""An order as a strategy writes it (a dict), and the signal that it becomes.

What the account makes of an order is decided by side and action. An action that says nothing
beside its side, and one that nobody knows, is a label: the side decides, and the CSV keeps it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Side = Literal["buy", "sell"]

ACTIONS: Mapping[tuple[Side, str], str] = {
    ("buy", "buy_long"): "buy_long",
    ("buy", "buy_to_cover"): "buy_to_cover",
    ("buy", "cover_short"): "cover_short",
    ("buy", "liquidate"): "liquidate",
    ("sell", "sell_long"): "sell_long",
    ("sell", "short_sell"): "short_sell",
    ("sell", "liquidate"): "liquidate",
}
"""Side and action of an order to the signal's ``action``; any other pair has none."""
_QUOTED_IN = ("USD", "USDC", "USDT", "BTC")
_LABEL = 64
_MOST = 10**12
"""Beyond any order, and below what the service reads as a number."""


class WrongOrder(ValueError):
    """One sentence that names the field and its value."""


@dataclass(frozen=True, slots=True)
class Order:
    """A well-formed order.

    Args:
        quantity: None only beside ``liquidate``: all that is held.
        action: as the strategy wrote it, empty without one.
    """

    ticker: str
    side: Side
    quantity: Decimal | None
    action: str
    limit_price: Decimal | None

    @property
    def order_type(self) -> str:
        """``market`` or ``limit``."""
        return "market" if self.limit_price is None else "limit"

    def fields(self, signal_id: str, common: Mapping[str, str]) -> dict[str, str]:
        """The signal's fields, good for the day, as every order there.

        Written down here and not by way of :class:`~signal_generator.signals.Signal`, which a test
        holds it to: a block of thousands would wait four times as long.

        Args:
            common: what the signals of a block share.
        """
        found = {
            "ticker": self.ticker,
            "direction": "b" if self.side == "buy" else "s",
            "order_type": self.order_type,
            # Alpaca takes no day order of a pair.
            "time_in_force": "gtc" if _is_pair(self.ticker) else "day",
            "signal_id": signal_id,
            **common,
        }
        if self.quantity is not None:
            found["qty"] = f"{self.quantity:f}"
        if self.limit_price is not None:
            found["limit_price"] = f"{self.limit_price:f}"
        if self.action:
            found["x_action"] = self.action
            if action := ACTIONS.get((self.side, self.action.lower())):
                found["action"] = action
        return found


def read_order(written: Any) -> Order:
    """The order in a dict.

    Raises:
        WrongOrder: something is missing, or no order could have it.
    """
    try:
        return _read(written)
    except WrongOrder:
        raise
    # An array of two where a number belongs must not take the block's other orders with it.
    except Exception as error:  # noqa: BLE001  # the user's own objects
        raise WrongOrder(
            f"it cannot be read: {type(error).__name__} in {_shown(written)}"
        ) from None


def _read(written: Any) -> Order:
    if not isinstance(written, Mapping):
        raise WrongOrder(f"an order is a dict, not {_shown(written)}")
    side = _side(written.get("side"))
    action = _action(written.get("action"))
    return Order(
        ticker=_ticker(written.get("ticker")),
        side=side,
        quantity=_quantity(written.get("quantity"), action),
        action=action,
        limit_price=_limit(written),
    )


def _ticker(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise WrongOrder(f"ticker: {_shown(value)} is not a symbol such as AAPL")
    return value.strip().upper()


def _is_pair(ticker: str) -> bool:
    """As the service reads it: ``BTCUSD`` is ``BTC/USD``."""
    return "/" in ticker or (len(ticker) >= 6 and ticker.endswith(_QUOTED_IN))


def _side(value: Any) -> Side:
    text = value.strip().lower() if isinstance(value, str) else value
    if text == "buy":
        return "buy"
    if text == "sell":
        return "sell"
    raise WrongOrder(f"side: {_shown(value)} is neither buy nor sell")


def _action(value: Any) -> str:
    if value is None or value == "":
        return ""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > _LABEL or not text.isprintable():
        raise WrongOrder(f"action: {_shown(value)} is not a short text such as buy_to_cover")
    return text


def _quantity(value: Any, action: str) -> Decimal | None:
    if value is None and action.lower() == "liquidate":
        return None
    return _positive("quantity", value)


def _limit(written: Mapping[str, Any]) -> Decimal | None:
    """None for a market order; anything else than ``market`` is a limit order, as there."""
    kind = written.get("order_type")
    if isinstance(kind, str) and kind.strip().lower() == "market":
        return None
    if kind is None:
        raise WrongOrder("order_type: it is missing; market or limit")
    return _positive("limit_price", written.get("limit_price"))


def _positive(name: str, value: Any) -> Decimal:
    """Floats by their shortest text; whole ones without the point, for 5.0 is 5 shares."""
    number = _NUMBERS.get(type(value), _from_any)(name, value)
    if not 0 < number < _MOST:
        raise WrongOrder(f"{name}: {_shown(value)} is not greater than 0 and less than {_MOST:,}")
    return number


def _from_float(name: str, value: float) -> Decimal:
    if not math.isfinite(value):
        raise WrongOrder(f"{name}: {_shown(value)} is not a finite number")
    # Nine decimals are what the broker takes; 0.1 + 0.2 has seventeen.
    return Decimal(int(value)) if value.is_integer() else _plain(Decimal(repr(value)))


def _from_any(name: str, value: Any) -> Decimal:
    # numpy's scalars are no numbers to isinstance; what item() gives is one.
    given = value.item() if hasattr(value, "item") else value
    if isinstance(given, bool) or not isinstance(given, (int, float, str, Decimal)):
        raise WrongOrder(f"{name}: {_shown(value)} is not a number")
    if isinstance(given, float):
        return _from_float(name, given)
    try:
        number = Decimal(given)
    except ArithmeticError:
        raise WrongOrder(f"{name}: {_shown(value)} is not a number") from None
    if not number.is_finite():
        raise WrongOrder(f"{name}: {_shown(value)} is not a finite number")
    return _plain(number) if number < _MOST else number


def _plain(number: Decimal) -> Decimal:
    """At most nine decimals, and none that says nothing."""
    rounded = round(number, 9).normalize() if abs(number) < _MOST else number
    return rounded if rounded.as_tuple().exponent <= 0 else Decimal(int(rounded))  # type: ignore[operator]  # finite


_NUMBERS: Mapping[type, Callable[[str, Any], Decimal]] = {
    float: _from_float,
    int: lambda _, value: Decimal(value),
}
"""The two that nearly all orders have, and short cuts for them."""


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # the user's own object
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
