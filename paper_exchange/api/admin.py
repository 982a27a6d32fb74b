"""``/admin``: the exchange's own endpoints, without keys but only from this machine."""

import orjson

from paper_exchange.api.call import Call, Reply, Router, is_whole_number
from paper_exchange.clock import SECOND, ManualClock, stamp
from paper_exchange.decimals import parse, text
from paper_exchange.errors import invalid, not_found, unprocessable
from paper_exchange.exchange import LONGEST_STEP_NS
from paper_exchange.instants import parse_time
from paper_exchange.witness import LARGEST_PAGE

_JSON = (b"content-type", b"application/json; charset=UTF-8")


def get_health(call: Call) -> Reply:
    """``GET /admin/health``."""
    return Reply({"status": "ok", "session": call.exchange.settings.session})


def get_log(call: Call) -> Reply:
    """``GET /admin/log?since=&limit=``: trading requests, oldest first; ``since`` is an index."""
    witness = call.exchange.witness
    since = call.query.get("since", "0")
    if not is_whole_number(since):
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


def get_clock(call: Call) -> Reply:
    """``GET /admin/clock``."""
    stepped = isinstance(call.exchange.clock, ManualClock)
    return Reply({"now": stamp(call.now_ns), "stepped": stepped})


def step_clock(call: Call) -> Reply:
    """``POST /admin/clock {"advance": seconds}`` or ``{"to": time}``: move a stepped clock.

    The engine works at every moment on the way at which it has something to
    do, as it would have while the time passed by itself.
    """
    clock = call.exchange.clock
    if not isinstance(clock, ManualClock):
        raise unprocessable("the clock moves by itself; start the exchange with --stepped")
    call.exchange.step(clock, _target(call, clock.ns))
    return get_clock(call)


def _target(call: Call, now_ns: int) -> int:
    body = call.body()
    if ("advance" in body) == ("to" in body):
        raise invalid("give either advance (seconds) or to (a time)")
    try:
        if "advance" in body:
            target = now_ns + int(parse(body["advance"]) * SECOND)
        else:
            target = parse_time(str(body["to"]))
    except ValueError:
        raise invalid(
            f"cannot read {body}: advance is in seconds, to is an RFC 3339 time"
        ) from None
    if not 0 <= target - now_ns <= LONGEST_STEP_NS:
        raise invalid("the clock moves forward, by a week at most in one step")
    return target


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/admin/health", get_health)
    router.add("GET", "/admin/log", get_log)
    router.add("GET", "/admin/orders", get_orders)
    router.add("GET", "/admin/clock", get_clock)
    router.add("POST", "/admin/clock", step_clock)
    router.add("POST", "/admin/prices", set_prices)
