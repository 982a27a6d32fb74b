"""``/v2/positions``."""

import contextlib
from decimal import ROUND_DOWN, Decimal

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.books.accounts import Position
from paper_exchange.clock import new_york, new_york_midnight
from paper_exchange.decimals import ZERO, floor_qty, parse, text
from paper_exchange.errors import ApiError, invalid, not_found, unprocessable
from paper_exchange.orders import NewOrder

_HUNDRED = Decimal(100)


def _position(call: Call) -> Position:
    asset = call.exchange.assets.find(call.params["asset"])
    position = call.account.positions.get(asset.id) if asset else None
    if position is None:
        raise not_found("position does not exist")
    return position


def _render(call: Call, position: Position) -> dict[str, object]:
    asset, qty = position.asset, position.qty
    market, now = call.exchange.market, call.now_ns
    price = market.quote(asset.symbol, now).last
    midnight = new_york_midnight(new_york(now).date())
    yesterday = market.price_at(asset.symbol, midnight)
    cost = qty * position.avg_entry_price
    value = qty * price
    gain = value - cost
    share = text(round(gain / abs(cost), 8))
    held = call.account.held_qty(asset)
    return {
        "asset_id": asset.id,
        "symbol": asset.position_symbol,
        "exchange": asset.exchange,
        "asset_class": asset.asset_class,
        "asset_marginable": not asset.crypto,
        "avg_entry_price": text(round(position.avg_entry_price, 6)),
        "qty": text(qty),
        "qty_available": text(qty - held if qty > 0 else qty + held),
        "side": "long" if qty > 0 else "short",
        "market_value": text(round(value, 4)),
        "cost_basis": text(round(cost, 4)),
        "unrealized_pl": text(round(gain, 4)),
        "unrealized_plpc": share,
        "unrealized_intraday_pl": text(round(gain, 4)),
        "unrealized_intraday_plpc": share,
        "current_price": text(price),
        "lastday_price": text(yesterday),
        "change_today": text(round((price - yesterday) / yesterday, 8)),
    }


def list_positions(call: Call) -> Reply:
    """``GET /v2/positions``."""
    return Reply([_render(call, position) for position in call.account.positions.values()])


def get(call: Call) -> Reply:
    """``GET /v2/positions/{symbol or asset id}``."""
    return Reply(_render(call, _position(call)))


def _amount(call: Call, position: Position) -> Decimal:
    """How much of the position to close, from ``qty`` or ``percentage``; all without either."""
    whole = abs(position.qty)
    given = {name: call.query[name] for name in ("qty", "percentage") if name in call.query}
    if len(given) > 1:
        raise invalid("only one of qty or percentage is accepted")
    for name, value in given.items():
        try:
            number = parse(value)
        except ValueError:
            raise invalid(f"{name} must be a number") from None
        if number <= 0 or (name == "percentage" and number > _HUNDRED):
            raise invalid(f"invalid {name}")
        return number if name == "qty" else _share(position, number)
    return whole


def _share(position: Position, percentage: Decimal) -> Decimal:
    """A percentage of the position; whole units of what has no fractions."""
    part = floor_qty(abs(position.qty) * percentage / _HUNDRED)
    fractions = position.asset.fractionable and position.qty > 0
    return part if fractions else part.to_integral_value(ROUND_DOWN)


def _close(call: Call, position: Position, qty: Decimal) -> dict[str, object]:
    asset, engine = position.asset, call.exchange.engine
    if qty <= ZERO:
        raise unprocessable("qty must be > 0")
    new = NewOrder(
        asset=asset,
        side="sell" if position.qty > 0 else "buy",
        type="market",
        time_in_force="gtc" if asset.crypto else "day",
        client_order_id=engine.new_id(),
        qty=qty,
    )
    return engine.submit(call.account, new)


def close(call: Call) -> Reply:
    """``DELETE /v2/positions/{symbol or asset id}``: a market order for all or a part."""
    position = _position(call)
    return Reply(_close(call, position, _amount(call, position)))


def close_all(call: Call) -> Reply:
    """``DELETE /v2/positions``: 207 with an order, or an error, per position."""
    account, engine = call.account, call.exchange.engine
    if call.flag("cancel_orders"):
        for order in list(account.open_orders.values()):
            # One that is being replaced stays, as in ``DELETE /v2/orders``.
            with contextlib.suppress(ApiError):
                engine.cancel(account, order)
    rows: list[dict[str, object]] = []
    for position in list(account.positions.values()):
        status = 200
        try:
            body: object = _close(call, position, abs(position.qty))
        except ApiError as refusal:
            status, body = refusal.status, refusal.body
        rows.append({"symbol": position.asset.position_symbol, "status": status, "body": body})
    return Reply(rows, 207)


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/v2/positions", list_positions)
    router.add("DELETE", "/v2/positions", close_all)
    router.add("GET", "/v2/positions/{asset}", get)
    router.add("DELETE", "/v2/positions/{asset}", close)
