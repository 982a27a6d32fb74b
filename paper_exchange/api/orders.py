"""``/v2/orders``."""

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.errors import ApiError, invalid, not_found
from paper_exchange.ids import is_uuid
from paper_exchange.orders import Order
from paper_exchange.validation import SIDES, parse_changes, parse_order

_STATUSES = frozenset({"open", "closed", "all"})
_DIRECTIONS = frozenset({"asc", "desc"})
_CLASSES = frozenset(
    {
        "us_equity",
        "us_option",
        "crypto",
        "crypto_perp",
        "treasury",
        "corporate",
        "global_equity",
        "us_index",
        "us_equity_chain",
        "ipo",
    }
)
_DEFAULT_LIMIT = 50
_LARGEST_LIMIT = 500


def create(call: Call) -> Reply:
    """``POST /v2/orders``."""
    body = call.body()
    _note(call, body)
    exchange = call.exchange
    new = parse_order(body, exchange.assets, exchange.engine.new_id)
    call.client_order_id = new.client_order_id
    return Reply(exchange.engine.submit(call.account, new))


def _note(call: Call, body: dict[str, object]) -> None:
    """Let the witness see the id even when the order is refused."""
    given = body.get("client_order_id")
    if isinstance(given, str):
        call.client_order_id = given


def _order(call: Call) -> Order:
    order_id = call.params["id"]
    if not is_uuid(order_id):
        raise invalid("order_id is missing")
    order = call.exchange.engine.find(call.account, order_id.lower())
    call.client_order_id = order.client_order_id
    return order


def get(call: Call) -> Reply:
    """``GET /v2/orders/{id}``; ``nested`` changes nothing while all orders are simple."""
    call.flag("nested")
    return Reply(_order(call).render())


def get_by_client_id(call: Call) -> Reply:
    """``GET /v2/orders:by_client_order_id``."""
    wanted = call.query.get("client_order_id", "")
    call.client_order_id = wanted
    order = call.account.by_client_id.get(wanted)
    if order is None:
        raise not_found(f"order not found for {wanted}")
    return Reply(order.render())


def list_orders(call: Call) -> Reply:
    """``GET /v2/orders``: bounds exclusive and on submission time, newest first by default."""
    status = call.choice("status", "open", _STATUSES)
    descending = call.choice("direction", "desc", _DIRECTIONS) == "desc"
    limit = call.number("limit", _DEFAULT_LIMIT, _LARGEST_LIMIT)
    found = []
    candidates = _candidates(call, status)
    wanted = _filter(call)
    for order in reversed(candidates) if descending else candidates:
        if order.is_open is (status == "open") or status == "all":
            if not wanted(order):
                continue
            found.append(order.render())
            if len(found) == limit:
                break
    return Reply(found)


def _candidates(call: Call, status: str) -> list[Order]:
    after, until = call.time("after"), call.time("until")
    account = call.account
    if status == "open":
        return [
            order
            for order in account.open_orders.values()
            if (after is None or order.submitted_ns > after)
            and (until is None or order.submitted_ns < until)
        ]
    return account.submitted_between(after, until)


class _Filter:
    """Symbols, side and asset class, as the query asks."""

    def __init__(self, call: Call) -> None:
        assets = [call.exchange.assets.find(name) for name in call.names("symbols")]
        self._by_symbol = bool(assets)
        self._symbols = {asset.symbol for asset in assets if asset is not None}
        self._side = call.choice("side", "buy", SIDES) if "side" in call.query else None
        self._classes = set(call.names("asset_class")) - {"all"}
        if not _CLASSES.issuperset(self._classes):
            raise invalid("invalid asset_class")

    def __call__(self, order: Order) -> bool:
        return (
            (not self._by_symbol or order.asset.symbol in self._symbols)
            and self._side in {None, order.side}
            and (not self._classes or order.asset.asset_class in self._classes)
        )


def _filter(call: Call) -> _Filter:
    call.flag("nested")  # as in get: read so that nonsense is refused
    for name in ("before_order_id", "after_order_id"):
        if name in call.query:
            raise invalid(f"{name} is not supported by this exchange")
    return _Filter(call)


def replace(call: Call) -> Reply:
    """``PATCH /v2/orders/{id}``."""
    order = _order(call)
    body = call.body()
    _note(call, body)
    return Reply(call.exchange.engine.replace(call.account, order, parse_changes(body)))


def cancel(call: Call) -> Reply:
    """``DELETE /v2/orders/{id}``."""
    order = _order(call)
    call.exchange.engine.cancel(call.account, order)
    return Reply(status=204)


def cancel_all(call: Call) -> Reply:
    """``DELETE /v2/orders``: 207 with one row per order."""
    account, engine = call.account, call.exchange.engine
    rows = []
    for order in list(account.open_orders.values()):
        status = 200
        try:
            engine.cancel(account, order)
        except ApiError as refusal:
            status = refusal.status
        rows.append({"id": order.id, "status": status})
    return Reply(rows, 207)


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("POST", "/v2/orders", create)
    router.add("GET", "/v2/orders", list_orders)
    router.add("DELETE", "/v2/orders", cancel_all)
    router.add("GET", "/v2/orders:by_client_order_id", get_by_client_id)
    router.add("GET", "/v2/orders/{id}", get)
    router.add("PATCH", "/v2/orders/{id}", replace)
    router.add("DELETE", "/v2/orders/{id}", cancel)
