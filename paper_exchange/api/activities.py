"""``/v2/account/activities``: only executions happen here."""

from datetime import date, timedelta
from itertools import islice

from paper_exchange.api.activity_types import ACTIVITY_TYPES
from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.books.selection import ExecutionSelection
from paper_exchange.clock import new_york_midnight
from paper_exchange.errors import invalid
from paper_exchange.ids import is_uuid

_DIRECTIONS = frozenset({"asc", "desc"})
_CATEGORIES = frozenset({"trade_activity", "non_trade_activity"})
_LARGEST_PAGE = 100
_FIRST_DAY = date(1970, 1, 1)


def get_activities(call: Call) -> Reply:
    """``GET /v2/account/activities[/{type}]``, the newest first by default."""
    wanted = _wants_executions(call)
    size = call.number("page_size", _LARGEST_PAGE, _LARGEST_PAGE)
    selection = _selection(call)
    if not wanted:
        return Reply([])
    return Reply([fill.render() for fill in islice(call.account.fills.select(selection), size)])


def _wants_executions(call: Call) -> bool:
    kinds = [kind.upper() for kind in call.names("activity_types")]
    if "type" in call.params:
        kinds = [call.params["type"].upper()]
    if not ACTIVITY_TYPES.issuperset(kinds):
        raise invalid(
            "invalid activity_type" if "type" in call.params else "invalid activity_types"
        )
    if "category" in call.query:
        category = call.choice("category", "trade_activity", _CATEGORIES)
        if kinds:
            raise invalid("category cannot be used with activity_types")
        return category == "trade_activity"
    return not kinds or "FILL" in kinds


def _selection(call: Call) -> ExecutionSelection:
    """Bounds exclusive; a day is one of New York's."""
    after, until = call.time("after"), call.time("until")
    if "date" in call.query:
        day = call.day("date", _FIRST_DAY)
        begin, end = new_york_midnight(day) - 1, new_york_midnight(day + timedelta(days=1))
        after = begin if after is None else max(after, begin)
        until = end if until is None else min(until, end)
    order_id = call.query.get("order_id")
    if order_id is not None and not is_uuid(order_id):
        raise invalid("invalid order_id")
    order = call.account.orders.get(order_id.lower()) if order_id else None
    if order is not None:
        # An order is executed during its life, which spares a search through all others'.
        after = max(after or 0, order.submitted_ns - 1)
        until = min(until or order.updated_ns + 1, order.updated_ns + 1)
    return ExecutionSelection(
        after_ns=after,
        until_ns=until,
        order_id=order_id.lower() if order_id else None,
        past=_past(call),
        descending=call.choice("direction", "desc", _DIRECTIONS) == "desc",
    )


def _past(call: Call) -> tuple[int, int] | None:
    """Where the page before this one ended."""
    token = call.query.get("page_token")
    if token is None:
        return None
    place = call.account.fills.place(token)
    if place is None:
        raise invalid("invalid page_token")
    return place


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/v2/account/activities", get_activities)
    router.add("GET", "/v2/account/activities/{type}", get_activities)
