"""Where Alpaca's documents are silent, or stricter than Alpaca is, each with its reason.

The documents stay as published; these changes are made when they are read. A change that finds
nothing to do fails the tests, so that none outlives its cause.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deviation:
    """One change to a document, and why it is right."""

    reason: str
    apply: Callable[[Node], None]


_ERROR: Node = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string", "minLength": 1}},
}
_UNAUTHORIZED: Node = {
    "description": "No credentials (the front proxy's page), or wrong ones.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["message"],
                "properties": {"message": {"const": "unauthorized."}},
                "additionalProperties": False,
            }
        },
        "text/html": {"schema": {"type": "string"}},
    },
}
#: A point in time in a query.
_TIME: Node = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
}

#: Which errors an operation may answer beyond the ones its document lists (401 apart).
_TRADING_ERRORS: dict[tuple[str, str], tuple[int, ...]] = {
    ("/v2/account/configurations", "patch"): (400, 422),
    ("/v2/account/activities", "get"): (422,),
    ("/v2/account/activities/{activity_type}", "get"): (422,),
    ("/v2/account/portfolio/history", "get"): (422,),
    ("/v2/calendar", "get"): (422,),
    ("/v2/assets", "get"): (422,),
    ("/v2/assets/{symbol_or_asset_id}", "get"): (404,),
    ("/v2/orders", "post"): (400, 403, 422),
    ("/v2/orders", "get"): (422,),
    ("/v2/orders/{order_id}", "get"): (404, 422),
    ("/v2/orders/{order_id}", "patch"): (400, 403, 404, 422),
    ("/v2/orders/{order_id}", "delete"): (404, 422),
    ("/v2/orders:by_client_order_id", "get"): (404,),
    ("/v2/positions", "delete"): (422,),
    ("/v2/positions/{symbol_or_asset_id}", "get"): (404,),
    ("/v2/positions/{symbol_or_asset_id}", "delete"): (403, 404, 422),
}
#: The numbers that an order's request carries as text.
_ORDER_NUMBERS = {
    "CreateOrderRequest": (
        "qty", "notional", "limit_price", "stop_price", "trail_price", "trail_percent",
    ),
    "PatchOrderRequest": ("qty", "limit_price", "stop_price", "trail"),
}  # fmt: skip


def _operations(document: Node) -> Iterator[tuple[str, str, Node]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield path, method, operation


def _parameter(document: Node, path: str, name: str, method: str = "get") -> Node:
    for entry in document["paths"][path][method]["parameters"]:
        shared = entry.get("$ref", "").removeprefix("#/components/parameters/")
        parameter = document["components"]["parameters"][shared] if shared else entry
        if parameter.get("name") == name:
            found: Node = parameter["schema"]
            return found
    raise LookupError(f"{method} {path} has no parameter {name}")


def _error_response(status: int) -> Node:
    return {
        "description": f"Error {status}.",
        "content": {"application/json": {"schema": _ERROR}},
    }


def _unauthorized(document: Node) -> None:
    for _, _, operation in _operations(document):
        operation["responses"]["401"] = _UNAUTHORIZED


def _trading_errors(document: Node) -> None:
    for (path, method), statuses in _TRADING_ERRORS.items():
        responses = document["paths"][path][method]["responses"]
        for status in statuses:
            responses[str(status)] = _error_response(status)


def _numbers_as_numbers(document: Node) -> None:
    for schema, names in _ORDER_NUMBERS.items():
        for name in names:
            # Text must still be a number; the document says "string" and no more.
            document["components"]["schemas"][schema]["properties"][name] = {
                "anyOf": [
                    {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,4})?$"},
                    {"type": "number", "minimum": 0, "maximum": 1e9},
                    {"type": "null"},
                    {"const": ""},
                ]
            }


def _nulls_in_orders(document: Node) -> None:
    schemas = document["components"]["schemas"]
    for schema in ("CreateOrderRequest", "PatchOrderRequest"):
        properties = schemas[schema]["properties"]
        for name in sorted(properties.keys() - set(_ORDER_NUMBERS[schema])):
            if name not in schemas[schema].get("required", ()):
                empty = [{"type": "null"}, *([] if name == "extended_hours" else [{"const": ""}])]
                properties[name] = {"anyOf": [properties[name], *empty]}


def _nulls_in_configurations(document: Node) -> None:
    properties = document["components"]["schemas"]["AccountConfigurations"]["properties"]
    for name in properties:
        properties[name] = {"anyOf": [properties[name], {"type": "null"}]}


def _configuration_values(document: Node) -> None:
    properties = document["components"]["schemas"]["AccountConfigurations"]["properties"]
    properties["max_margin_multiplier"]["enum"] = ["1", "2", "4"]
    properties["trade_confirm_email"]["enum"] = ["all", "none"]


def _expires_at(document: Node) -> None:
    document["components"]["schemas"]["Order"]["properties"]["expires_at"]["type"] = [
        "string",
        "null",
    ]


def _times_in_queries(document: Node) -> None:
    for path in ("/v2/account/activities", "/v2/account/activities/{activity_type}"):
        for name in ("date", "after", "until"):
            _replace(_parameter(document, path, name), _TIME)
    for name in ("after", "until"):
        _replace(_parameter(document, "/v2/orders", name), _TIME)
    for name in ("start", "end"):
        _replace(_parameter(document, "/v2/calendar", name), _TIME)


def _order_list_bounds(document: Node) -> None:
    _parameter(document, "/v2/orders", "limit")["minimum"] = 1
    _replace(_parameter(document, "/v2/orders", "side"), {"enum": ["buy", "sell"]})


def _replace(node: Node, by: Node) -> None:
    node.clear()
    node.update(by)


def _closed_position_body(document: Node) -> None:
    properties = document["components"]["schemas"]["PositionClosedReponse"]["properties"]
    properties["body"] = {"anyOf": [properties["body"], _ERROR]}


def _data_errors(document: Node) -> None:
    for status in (400, 403):
        document["components"]["responses"][str(status)]["content"] = {
            "application/json": {"schema": _ERROR}
        }


def _page_size(document: Node) -> None:
    for path in ("/v2/account/activities", "/v2/account/activities/{activity_type}"):
        del _parameter(document, path, "page_size")["maximum"]


def _any_activity_type(document: Node) -> None:
    path = "/v2/account/activities"
    _parameter(document, path, "activity_types")["items"] = {"type": "string", "minLength": 1}
    _replace(_parameter(document, f"{path}/{{activity_type}}", "activity_type"), {"type": "string"})


def _values_in_prose(document: Node) -> None:
    parameters = document["components"]["parameters"]
    parameters["timeframe"]["schema"]["pattern"] = "^(1Min|5T|1Hour|12H|1Day|1W|3Month)$"
    parameters["page_token"]["schema"] = {"type": "string", "enum": [""]}
    parameters["stock_currency"]["schema"] = {"type": "string", "enum": ["USD"]}
    parameters["stock_asof"]["schema"] = {"type": "string", "enum": ["2024-01-05", "-"]}
    parameters["stock_adjustment"]["schema"] = {"type": "string", "enum": ["raw", "split,dividend"]}


def _some_symbols(document: Node) -> None:
    for name in ("stock_symbols", "crypto_symbols"):
        document["components"]["parameters"][name]["schema"]["minLength"] = 1


def _data_not_found(document: Node) -> None:
    for path, _, operation in _operations(document):
        if path.startswith("/v2/stocks/{symbol}/"):
            operation["responses"]["404"] = _error_response(404)


_SILENT_401 = Deviation(
    "Every operation wants credentials, which the document's security says and its responses do "
    "not: 401 without a code for wrong ones, the front proxy's HTML page for none (observed).",
    _unauthorized,
)

TRADING: tuple[Deviation, ...] = (
    _SILENT_401,
    Deviation(
        "The document lists almost no refusals; the error bodies and their codes are documented "
        "elsewhere or were observed.",
        _trading_errors,
    ),
    Deviation(
        "Numbers are taken as text and as JSON numbers (alpaca-py sends qty as 1.0), and text "
        "that is no number is refused, where the document says only 'string'.",
        _numbers_as_numbers,
    ),
    Deviation(
        "Null and empty text are the same as an absent field: clients serialise fields that "
        "nobody set (alpaca-py PATCHes nulls, a simple order's order_class is '').",
        _nulls_in_orders,
    ),
    Deviation(
        "The document names the values of these two in prose only.",
        _configuration_values,
    ),
    Deviation(
        "alpaca-py sends every configuration back, nulls included, and the options level is null "
        "until somebody sets it.",
        _nulls_in_configurations,
    ),
    Deviation(
        "IOC and FOK orders never expire, so they have no expires_at.",
        _expires_at,
    ),
    Deviation(
        "Times in a query may be a date alone (the descriptions say so, the schemas do not); for "
        "orders the document says only 'string'.",
        _times_in_queries,
    ),
    Deviation(
        "A list of no orders cannot be asked for, and there are two sides; the document says "
        "'integer' and 'string'.",
        _order_list_bounds,
    ),
    Deviation(
        "A page larger than the largest is cut, not refused (a choice: Alpaca's answer is not "
        "documented).",
        _page_size,
    ),
    Deviation(
        "A position that could not be closed carries an error body in its row (alpaca-py's tests "
        "show one).",
        _closed_position_body,
    ),
    Deviation(
        "Only executions happen here: any other type of activity, known to Alpaca or not, is "
        "answered with an empty list (a choice).",
        _any_activity_type,
    ),
)

DATA: tuple[Deviation, ...] = (
    _SILENT_401,
    Deviation(
        "The document describes the errors in prose; they carry code and message.",
        _data_errors,
    ),
    Deviation(
        "What is asked about one stock that does not exist is answered 404 here (a choice: "
        "Alpaca's answer is not documented).",
        _data_not_found,
    ),
    Deviation(
        "What a timeframe, an adjustment and a day look like, and that a page token comes from "
        "the page before, stand in prose; prices are in dollars only here (a choice).",
        _values_in_prose,
    ),
    Deviation(
        "A list of no symbols is refused (a choice: Alpaca's answer is not documented).",
        _some_symbols,
    ),
)
