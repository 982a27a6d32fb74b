"""What counts as a failure, by the answers that Alpaca is known to give."""

from typing import Any

import pytest

from solution.errors import (
    BrokerError,
    DuplicateOrder,
    NoBudget,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.trading.blame import counts


def no(message: str, status: int = 403, code: int = 40310000, **members: Any) -> Rejected:
    return Rejected(status, code, message, {"message": message, **members})


@pytest.mark.parametrize(
    "error",
    [
        NotSent("connection refused"),
        OutcomeUnknown("HTTP 500"),
        OutcomeUnknown("timed out"),
        Unauthorized(401, 0, "unauthorized."),
        Unauthorized(403, 0, "forbidden"),
        no("new orders are rejected by user request"),
        no("account is not authorized to trade"),
        no("insufficient permissions"),
        no("please try again shortly"),
        no("request body format is invalid", 400, 40010000),
        no("endpoint not found", 404, 40410000),
        NotFound(404, 40410000, "account not found"),
    ],
)
def test_the_brokers_and_our_own_failures_count(error: BrokerError) -> None:
    """No producer can cause them, and the next order would meet them as well."""
    assert counts(error)


@pytest.mark.parametrize(
    "error",
    [
        no("insufficient buying power", buying_power="3388.32", cost_basis="27032.36"),
        no("insufficient qty available for order (requested: 200, available: 20)", symbol="PFE"),
        no("insufficient balance for ETH (requested: 1, available: 0.5)"),
        no('asset "X" is not fractionable'),
        no("account is not allowed to trade fractional shares"),
        no("potential wash trade detected. use complex orders", existing_order_id="1"),
        no("cannot open a short sell while a long buy order is open"),
        no("cannot open a long buy while a short sell order is open"),
        no("account is not allowed to short"),
        no('asset "X" cannot be sold short'),
        no("trade denied due to pattern day trading protection", code=40310100),
        no("cost basis must be >= minimal amount of order 10"),
        no("account is restricted to closing trades: positions exceed 600% of equity"),
        no("worded anew", buying_power="1"),
        no("invalid limit_price 290.123. sub-penny increment", 422, 42210000),
        no("qty must be > 0", 422, 40010001),
        NotFound(404, 40410000, 'asset "X" not found'),
        DuplicateOrder(422, 40010001, "client_order_id must be unique"),
        RateLimited("too many requests", 3.0),
        NoBudget("no slot in the rate budget"),
    ],
)
def test_mistakes_of_producers_and_the_state_of_the_account_do_not(error: BrokerError) -> None:
    """Neither does waiting: HTTP 429 is nobody's failure."""
    assert not counts(error)
