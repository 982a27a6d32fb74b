"""The one exception that becomes an Alpaca error body, and the bodies that recur."""

from collections.abc import Iterable
from decimal import Decimal

from paper_exchange.decimals import text

VALIDATION = 40010001
UNPROCESSABLE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000


class ApiError(Exception):
    """A request the exchange refuses.

    Attributes:
        status: the HTTP status.
        body: what is sent, ``{"code", "message", ...}``.
        headers: what is sent with it beyond the usual ones.
    """

    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, status: int, code: int, message: str, **extras: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, object] = {"code": code, "message": message, **extras}


def invalid(message: str) -> ApiError:
    """422 with the code of a malformed field."""
    return ApiError(422, VALIDATION, message)


def unprocessable(message: str, **extras: str) -> ApiError:
    """422 with the code of a well-formed request that cannot be carried out."""
    return ApiError(422, UNPROCESSABLE, message, **extras)


def forbidden(message: str, **extras: str) -> ApiError:
    """403 with the code that covers every refused trade."""
    return ApiError(403, FORBIDDEN, message, **extras)


def not_found(message: str) -> ApiError:
    """404 with its code."""
    return ApiError(404, NOT_FOUND, message)


def endpoint_not_found() -> ApiError:
    """404 for a path that nothing serves."""
    return not_found("endpoint not found")


def method_not_allowed(allowed: Iterable[str]) -> ApiError:
    """405 with the methods that the path has, which RFC 9110 demands."""
    error = ApiError(405, 40510000, "method not allowed")
    error.headers = ((b"allow", ", ".join(sorted(allowed)).encode()),)
    return error


def malformed_body() -> ApiError:
    """400 for a body that is not the JSON object it should be."""
    return ApiError(400, 40010000, "request body format is invalid")


def insufficient_buying_power(available: Decimal, cost: Decimal) -> ApiError:
    """403 with both sides of the comparison."""
    return forbidden(
        "insufficient buying power",
        buying_power=text(available.quantize(Decimal("0.01"))),
        cost_basis=text(cost.quantize(Decimal("0.01"))),
    )


def insufficient_qty(
    symbol: str, requested: Decimal, available: Decimal, existing: Decimal, held: Decimal
) -> ApiError:
    """403 for a sale (or cover) of more than is free."""
    return forbidden(
        "insufficient qty available for order "
        f"(requested: {text(requested)}, available: {text(available)})",
        symbol=symbol,
        available=text(available),
        existing_qty=text(existing),
        held_for_orders=text(held),
    )


def wash_trade(existing_order_id: str, existing_type: str) -> ApiError:
    """403 for an order that could trade with the account's own opposite order."""
    kind = "market/stop" if existing_type in {"market", "stop"} else "limit"
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason=f"opposite side {kind} order exists",
    )
