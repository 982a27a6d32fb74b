"""``/v2/orders``."""

from itertools import islice

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.books.selection import OrderSelection
from paper_exchange.engine.families import legs_of
from paper_exchange.engine.validation import SIDES, parse_changes, parse_order
from paper_exchange.errors import ApiError, invalid, not_found
from paper_exchange.ids import is_uuid
from paper_exchange.orders import Order

_STATUSES = frozenset({"open", "closed", "all"})
_DIRECTIONS = frozenset({"asc", "desc"})
_ASSET_CLASSES = frozenset(
    {
        "us_equity", "us_option", "crypto", "crypto_perp", "treasury", "corporate",
        "global_equity", "us_index", "us_equity_chain", "ipo", "all",
    }
)  # fmt: skip
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


def render(call: Call, order: Order) -> dict[str, object]:
    """The order as this call shows it: with its legs when ``nested`` is asked for."""
    nested = order.leg_ids and call.flag("nested")
    return order.render(legs_of(call.account, order) if nested else None)


def get(call: Call) -> Reply:
    """``GET /v2/orders/{id}``."""
    return Reply(render(call, _order(call)))


def get_by_client_id(call: Call) -> Reply:
    """``GET /v2/orders:by_client_order_id``."""
    wanted = call.query.get("client_order_id", "")
    call.client_order_id = wanted
    order = call.account.by_client_id.get(wanted)
    if order is None:
        raise not_found(f"order not found for {wanted}")
    return Reply(render(call, order))


def list_orders(call: Call) -> Reply:
    """``GET /v2/orders``: bounds exclusive and on submission time, newest first by default."""
    limit = call.number("limit", _DEFAULT_LIMIT, _LARGEST_LIMIT)
    wanted = _selection(call)
    found = call.account.select(wanted)
    if call.flag("nested"):
        # A leg is shown where its parent is, and by itself where that is not wanted.
        found = (order for order in found if not _under_parent(call, order, wanted))
    return Reply([render(call, order) for order in islice(found, limit)])


def _under_parent(call: Call, order: Order, wanted: OrderSelection) -> bool:
    parent = call.account.find(order.parent_id) if order.parent_id else None
    return parent is not None and wanted.takes(parent)


def _selection(call: Call) -> OrderSelection:
    assets = [call.exchange.assets.find(name) for name in call.names("symbols")]
    classes = set(call.names("asset_class"))
    if not classes <= _ASSET_CLASSES:
        raise invalid("invalid asset_class")
    before, after = (_cut(call, name) for name in ("before_order_id", "after_order_id"))
    bounds = [name for name in ("after", "until") if name in call.query]
    if before and after:
        raise invalid("only one of before_order_id and after_order_id is accepted")
    if (before or after) and bounds:
        raise invalid(f"{bounds[0]} cannot be combined with before_order_id or after_order_id")
    return OrderSelection(
        status=call.choice("status", "open", _STATUSES),
        after_ns=call.time("after"),
        until_ns=call.time("until"),
        before=before,
        after=after,
        symbols=frozenset(one.symbol for one in assets if one is not None) if assets else None,
        side=call.choice("side", "buy", SIDES) if "side" in call.query else None,
        asset_classes=frozenset(classes) if classes and "all" not in classes else None,
        descending=call.choice("direction", "desc", _DIRECTIONS) == "desc",
    )


def _cut(call: Call, name: str) -> Order | None:
    """The order that a list is to end before, or to begin after."""
    order_id = call.query.get(name)
    if order_id is None:
        return None
    if not is_uuid(order_id):
        raise invalid(f"invalid {name}")
    return call.exchange.engine.find(call.account, order_id.lower())


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
        status = 200  # also when its family took it along just now
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
