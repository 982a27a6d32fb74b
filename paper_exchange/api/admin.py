"""``/admin``: the exchange's own endpoints, without keys but only from this machine."""

import orjson

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.decimals import parse, text
from paper_exchange.errors import invalid, not_found
from paper_exchange.witness import LARGEST_PAGE

_JSON = (b"content-type", b"application/json; charset=UTF-8")


def get_health(call: Call) -> Reply:
    """``GET /admin/health``."""
    return Reply({"status": "ok", "session": call.exchange.settings.session})


def get_log(call: Call) -> Reply:
    """``GET /admin/log?since=&limit=``: trading requests, oldest first; ``since`` is an index."""
    witness = call.exchange.witness
    since = call.query.get("since", "0")
    if not since.isascii() or not since.isdigit():
        raise invalid("invalid since")
    entries = witness.since(int(since), call.number("limit", LARGEST_PAGE, LARGEST_PAGE))
    # Written out entry by entry: as objects, a long log would weigh ten times as much.
    rows = b",".join(orjson.dumps(entry.render()) for entry in entries)
    return Reply(b'{"count":%d,"entries":[%b]}' % (witness.count, rows), headers=(_JSON,))


def get_orders(call: Call) -> Reply:
    """``GET /admin/orders``: every order of every account, oldest first per account."""
    return Reply(
        [
            {**order.render(), "account_id": account.id, "key_id": account.key_id}
            for account in call.exchange.accounts
            for order in account.orders
        ]
    )


def set_prices(call: Call) -> Reply:
    """``POST /admin/prices {symbol: price}``: hold a price; null lets it walk on from there."""
    exchange, now = call.exchange, call.now_ns
    changes = []
    for symbol, value in call.body().items():
        asset = exchange.assets.find(symbol)
        if asset is None:
            raise not_found(f"asset not found for {symbol}")
        try:
            price = None if value is None else parse(value)
        except ValueError:
            raise invalid(f"price of {symbol} must be a number") from None
        if price is not None and (price <= 0 or price % asset.increment(price)):
            raise invalid(f"price of {symbol} must be > 0 and a multiple of its increment")
        changes.append((asset.symbol, price))
    for symbol, price in changes:
        exchange.market.set_price(symbol, price, now)
        exchange.journal.price(symbol)
    # Resting orders see the new prices before the answer leaves.
    exchange.engine.tick()
    return Reply({symbol: text(exchange.market.quote(symbol, now).last) for symbol, _ in changes})


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/admin/health", get_health)
    router.add("GET", "/admin/log", get_log)
    router.add("GET", "/admin/orders", get_orders)
    router.add("POST", "/admin/prices", set_prices)
