"""From a request body to a well-formed order, or the error Alpaca answers.

The messages marked in ``docs/reference/paper-exchange.md`` as choices are ours;
the others are documented or were observed.
"""

from collections.abc import Mapping
from decimal import Decimal

import orjson

from paper_exchange.assets import Asset, AssetBook
from paper_exchange.decimals import is_whole, parse
from paper_exchange.engine.advanced import check_class, parse_class
from paper_exchange.errors import forbidden, invalid, malformed_body, unprocessable
from paper_exchange.ids import IdSource
from paper_exchange.orders import AUCTION, IMMEDIATE, Changes, Exits, NewOrder

SIDES = frozenset({"buy", "sell"})
TYPES = frozenset({"market", "limit", "stop", "stop_limit", "trailing_stop"})
TIMES_IN_FORCE = frozenset({"day", "gtc", "opg", "cls", "ioc", "fok"})
_CRYPTO_TYPES = frozenset({"market", "limit", "stop_limit"})
_CRYPTO_TIMES = frozenset({"gtc", "ioc"})
_FRACTIONAL_TYPES = frozenset({"market", "limit", "stop", "stop_limit"})
_INTENTS = frozenset({"buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"})
_NEEDS_LIMIT = frozenset({"limit", "stop_limit"})
_NEEDS_STOP = frozenset({"stop", "stop_limit"})
_LONGEST_CLIENT_ID = 128
Body = Mapping[str, object]


def parse_body(raw: bytes) -> dict[str, object]:
    """A JSON object; an empty body is an empty object."""
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise malformed_body() from None
    if not isinstance(body, dict):
        raise malformed_body()
    return body


def _given(body: Body, name: str) -> object:
    """A field's value; absent, null and empty text are the same to Alpaca's clients."""
    value = body.get(name)
    return None if value == "" else value


def _number(body: Body, name: str, where: str = "") -> Decimal | None:
    value = _given(body, name)
    if value is None:
        return None
    try:
        return parse(value)
    except ValueError:
        raise invalid(f"{where}{name} must be a number") from None


def _price(body: Body, name: str, where: str = "") -> Decimal | None:
    price = _number(body, name, where)
    if price is not None and price <= 0:
        raise invalid(f"{where}{name} must be > 0")
    return price


def _choice(body: Body, name: str, allowed: frozenset[str], complaint: str) -> str:
    value = _given(body, name)
    if not isinstance(value, str) or value.lower() not in allowed:
        raise invalid(complaint)
    return value.lower()


def _flag(body: Body, name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise invalid(f"{name} must be true or false")


def client_id(body: Body) -> str | None:
    """The client's order id, None when absent."""
    value = _given(body, "client_order_id")
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid("client_order_id must be a string")
    if len(value) > _LONGEST_CLIENT_ID:
        raise invalid("client_order_id must be no more than 128 characters")
    return value


def check_increment(asset: Asset, name: str, price: Decimal | None) -> None:
    """Refuse a price between two permitted steps (the sub-penny rule)."""
    if price is not None and price % asset.increment(price):
        raise unprocessable(
            f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria"
        )


def parse_order(body: Body, assets: AssetBook, new_id: IdSource) -> NewOrder:
    """The order a ``POST /v2/orders`` body asks for.

    Raises:
        ApiError: naming the first thing wrong with it.
    """
    symbol = _given(body, "symbol")
    if not isinstance(symbol, str):
        raise invalid("symbol is required")
    qty, notional = _size(body)
    side = _choice(body, "side", SIDES, "invalid side")
    kind = _choice(body, "type", TYPES, "invalid order type")
    time_in_force = _choice(body, "time_in_force", TIMES_IN_FORCE, "invalid time_in_force")
    order_class = parse_class(body)
    exits = _exits(body) if order_class else None
    client_order_id = client_id(body)
    asset = assets.find(symbol)
    if asset is None or asset.status != "active":
        raise unprocessable(f'asset "{symbol}" not found')
    limit_price = _price(body, "limit_price")
    if order_class == "oco" and exits is not None:
        # The order itself is the take-profit.
        limit_price = exits.take_profit or limit_price
    order = NewOrder(
        asset=asset,
        side=side,
        type=kind,
        time_in_force=time_in_force,
        client_order_id=client_order_id or new_id(),
        qty=qty,
        notional=notional,
        limit_price=limit_price,
        stop_price=_price(body, "stop_price"),
        trail_price=_price(body, "trail_price"),
        trail_percent=_price(body, "trail_percent"),
        extended_hours=_flag(body, "extended_hours"),
        position_intent=_intent(body),
        order_class=order_class,
        exits=exits,
    )
    check_order(order)
    return order


def _size(body: Body) -> tuple[Decimal | None, Decimal | None]:
    qty, notional = _number(body, "qty"), _number(body, "notional")
    if qty is None and notional is None:
        raise invalid("qty or notional is required")
    if qty is not None and notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if qty is not None and qty <= 0:
        raise invalid("qty must be > 0")
    if notional is not None and notional < 1:
        raise invalid("notional must be >= 1.00")
    return qty, notional


def _exits(body: Body) -> Exits:
    target, stop = _part(body, "take_profit"), _part(body, "stop_loss")
    return Exits(
        take_profit=_price(target, "limit_price", "take_profit."),
        stop=_price(stop, "stop_price", "stop_loss."),
        stop_limit=_price(stop, "limit_price", "stop_loss."),
    )


def _part(body: Body, name: str) -> Body:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object")
    return value


def _intent(body: Body) -> str | None:
    intent = _given(body, "position_intent")
    if intent is None:
        return None
    if not isinstance(intent, str) or intent not in _INTENTS:
        raise invalid("invalid position_intent")
    return intent


def check_order(order: NewOrder) -> None:
    """The rules that need no account: prices, time in force, fractions, increments."""
    _check_prices(order)
    if order.asset.crypto:
        _check_crypto(order)
    else:
        _check_equity(order)
    check_increment(order.asset, "limit_price", order.limit_price)
    check_increment(order.asset, "stop_price", order.stop_price)
    if order.exits is not None:
        check_class(order)
        check_increment(order.asset, "take_profit.limit_price", order.exits.take_profit)
        check_increment(order.asset, "stop_loss.stop_price", order.exits.stop)
        check_increment(order.asset, "stop_loss.limit_price", order.exits.stop_limit)


def _check_prices(order: NewOrder) -> None:
    kind = order.type
    if kind in _NEEDS_LIMIT and order.limit_price is None:
        raise invalid("limit orders require a limit price")
    if kind in _NEEDS_STOP and order.stop_price is None:
        raise invalid("stop orders require a stop price")
    if kind not in _NEEDS_LIMIT and order.limit_price is not None:
        raise invalid(f"{kind} orders require no limit price")
    if kind not in _NEEDS_STOP and order.stop_price is not None:
        raise invalid(f"{kind} orders require no stop price")
    trails = (order.trail_price is not None) + (order.trail_percent is not None)
    if trails != (kind == "trailing_stop"):
        raise invalid("trailing stop orders require exactly one of trail_price and trail_percent")
    if order.trail_percent is not None and order.trail_percent >= 100:
        raise invalid("trail_percent must be < 100")


def _check_crypto(order: NewOrder) -> None:
    if order.type not in _CRYPTO_TYPES:
        raise invalid("invalid order type")
    if order.time_in_force not in _CRYPTO_TIMES:
        raise unprocessable("invalid crypto time_in_force")


def _check_equity(order: NewOrder) -> None:
    fractional = order.qty is None or not is_whole(order.qty)
    if fractional:
        _check_fractional(order)
    if order.extended_hours and not (
        order.type == "limit" and order.time_in_force in {"day", "gtc"}
    ):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    if order.type not in {"market", "limit"}:
        if order.time_in_force in IMMEDIATE:
            raise unprocessable("ioc and fok orders must be market or limit orders")
        if order.time_in_force in AUCTION:
            raise unprocessable("opg and cls orders must be market or limit orders")


def _check_fractional(order: NewOrder) -> None:
    if not order.asset.fractionable:
        raise forbidden(f'asset "{order.asset.symbol}" is not fractionable')
    if order.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if order.type not in _FRACTIONAL_TYPES:
        raise unprocessable("fractional orders must be market, limit, stop or stop_limit orders")
    if order.notional is not None and order.type != "market":
        raise unprocessable("notional orders must be market orders")


def parse_changes(body: Body) -> Changes:
    """What a ``PATCH /v2/orders/{id}`` body asks for; nulls change nothing."""
    if _given(body, "notional") is not None:
        raise unprocessable("notional orders cannot be replaced")
    qty = _number(body, "qty")
    if qty is not None and (qty <= 0 or not is_whole(qty)):
        raise invalid("qty must be a positive whole number")
    time_in_force = None
    if _given(body, "time_in_force") is not None:
        time_in_force = _choice(body, "time_in_force", TIMES_IN_FORCE, "invalid time_in_force")
    return Changes(
        qty=qty,
        time_in_force=time_in_force,
        limit_price=_price(body, "limit_price"),
        stop_price=_price(body, "stop_price"),
        trail=_price(body, "trail"),
        client_order_id=client_id(body),
    )
