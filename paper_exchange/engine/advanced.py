"""Order classes: what a bracket, an OCO or an OTO must look like.

Rules by Alpaca's page on placing orders; messages that it does not give are
marked in the documentation as choices.
"""

from collections.abc import Mapping
from decimal import Decimal

from paper_exchange.decimals import is_whole
from paper_exchange.errors import ApiError, invalid, unprocessable
from paper_exchange.orders import Exits, NewOrder

_CLASSES = frozenset({"", "simple", "bracket", "oco", "oto", "mleg"})
#: What no simple order carries, and how a client may write that it does not.
_NOT_SIMPLE: Mapping[str, object] = {
    "take_profit": {},
    "stop_loss": {},
    "legs": [],
    "advanced_instructions": {},
}
_CENT = Decimal("0.01")


def parse_class(body: Mapping[str, object]) -> str:
    """The order class asked for; simple is the empty one, as Alpaca writes it.

    Raises:
        ApiError: for an unknown class, and for legs given to a simple order.
    """
    given = body.get("order_class")
    name = "" if given is None else given
    if not isinstance(name, str) or name.lower() not in _CLASSES:
        raise invalid("invalid order_class")
    name = name.lower()
    if name == "mleg":
        raise unprocessable('order_class "mleg" is not supported by this exchange')
    if name in {"", "simple"}:
        for part, empty in _NOT_SIMPLE.items():
            if body.get(part) not in (None, "", empty):
                raise unprocessable(f"{part} is not accepted for a simple order")
        return ""
    return name


def check_class(order: NewOrder) -> None:
    """The rules of an order class that need neither account nor market."""
    name, exits = order.order_class, order.exits
    if not name or exits is None:
        return
    _check_kind(order, name)
    _check_exits(name, exits)
    if exits.take_profit is not None and exits.stop is not None:
        _check_sides(exits, rising=_rising(order))


def _check_kind(order: NewOrder, name: str) -> None:
    if order.asset.crypto:
        raise unprocessable(f"crypto orders not allowed for advanced order_class: {name}")
    if order.qty is None or not is_whole(order.qty):
        raise unprocessable("fractional orders must be simple orders")
    if order.time_in_force not in {"day", "gtc"}:
        raise unprocessable(f"{name} orders must be DAY or GTC orders")
    if order.extended_hours:
        raise unprocessable(f"{name} orders are not allowed in extended hours")
    if order.type == "trailing_stop":
        raise unprocessable("trailing stop orders must be simple orders")
    if name == "oco" and order.type != "limit":
        raise unprocessable("oco orders must be limit orders")


def _check_exits(name: str, exits: Exits) -> None:
    if name == "oto":
        if (exits.take_profit is None) == (exits.stop is None):
            raise invalid("oto orders require exactly one of take_profit and stop_loss")
        return
    if exits.take_profit is None:
        raise invalid(f"{name} orders require take_profit.limit_price")
    if exits.stop is None:
        raise invalid(f"{name} orders require stop_loss.stop_price")


def _rising(order: NewOrder) -> bool:
    """Whether the position gains when the price rises: the target lies above the stop then."""
    exits_long = order.order_class == "oco" and order.side == "sell"
    enters_long = order.order_class != "oco" and order.side == "buy"
    return exits_long or enters_long


def _check_sides(exits: Exits, *, rising: bool) -> None:
    target, stop = exits.take_profit or _CENT, exits.stop or _CENT
    if (target > stop) if rising else (target < stop):
        return
    sign = ">" if rising else "<"
    raise unprocessable(f"take_profit.limit_price must be {sign} stop_loss.stop_price")


def check_distance(order: NewOrder, base: Decimal) -> None:
    """Exits must lie at least a cent beyond the price at which the position is (or will be) held.

    Raises:
        ApiError: 422, with ``base_price`` beside the message.
    """
    exits = order.exits
    if exits is None:
        return
    rising = _rising(order)
    if exits.stop is not None:
        far = exits.stop <= base - _CENT if rising else exits.stop >= base + _CENT
        if not far:
            bound = "<= base_price - 0.01" if rising else ">= base_price + 0.01"
            raise _too_near(f"stop_loss.stop_price must be {bound}", base)
    if exits.take_profit is not None and order.order_class != "oco":
        target = exits.take_profit
        far = target >= base + _CENT if rising else target <= base - _CENT
        if not far:
            bound = ">= base_price + 0.01" if rising else "<= base_price - 0.01"
            raise _too_near(f"take_profit.limit_price must be {bound}", base)


def _too_near(message: str, base: Decimal) -> ApiError:
    return unprocessable(message, base_price=str(base))
