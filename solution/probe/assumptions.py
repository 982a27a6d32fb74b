"""Every assumption that a probe can try, and every one that it cannot.

One table: what is assumed, and what follows for the user where it does not hold. The names are
those of the report, in its order.
"""

from typing import NamedTuple


class Assumption(NamedTuple):
    """What this product assumes, and what to do where the broker does otherwise."""

    assumed: str
    advice: str


ASSUMED: dict[str, Assumption] = {
    "account fields": Assumption(
        "`GET /v2/account` states id, account_number, equity, cash and buying_power",
        "do not trade: sizes and caps are computed from them",
    ),
    "rate headers": Assumption(
        "answers carry X-RateLimit-Limit, -Remaining and -Reset",
        "set RATE_LIMIT_PER_MINUTE to what your plan allows; it cannot be read off",
    ),
    "unknown order": Assumption(
        "looking up an id that was never used is answered with 404 and a JSON error",
        "set RESEND_UNKNOWN=false: an absent order cannot be told from a broken answer",
    ),
    "cancel of an unknown order": Assumption(
        "it is answered with 404 or 422",
        "nothing to set; watch `signalpaca orders` for cancels that do not end",
    ),
    "unknown time in force": Assumption(
        "it is refused with 422 and a code",
        "nothing to set; the service knows the six there are",
    ),
    "malformed request": Assumption(
        "it is refused with 400 or 422 and a JSON error",
        "nothing to set; such an order would end UNKNOWN and be looked up in vain",
    ),
    "order stream": Assumption(
        "the websocket accepts the keys and confirms trade_updates",
        "compare ALPACA_STREAM_URL; without it every order is polled for, at the cost of budget",
    ),
    "second order stream": Assumption(
        "another connection of the same account is accepted and leaves the first one alone",
        "run `signalpaca check` and other readers of the stream only while no service runs",
    ),
    "ioc while open": Assumption(
        "an `ioc` limit order for a whole share is accepted in the session",
        "set TIME_IN_FORCE=day",
    ),
    "ioc while closed": Assumption(
        "an `ioc` order is accepted while the market is closed, and cancelled",
        "nothing to set: the service sends none then (MARKET_CLOSED)",
    ),
    "ioc ends at once": Assumption(
        "what it cannot buy is `canceled` within moments",
        "set TIME_IN_FORCE=day, and `cancel_after` in the signals",
    ),
    "fok": Assumption(
        "a `fok` limit order for a whole share is accepted and ends at once",
        "publish no `time_in_force=fok`; TIME_IN_FORCE=day is what always works",
    ),
    "order answer": Assumption(
        "the answer to a POST states id, client_order_id, status, created_at and filled_qty",
        "do not trade: an order is recognised by them",
    ),
    "day order rests": Assumption(
        "a `day` limit order away from the market is accepted and stays",
        "publish no resting orders (`order_type=limit` with `day` or `gtc`)",
    ),
    "lookup delay": Assumption(
        "an order is found by its client_order_id within two seconds of its POST",
        "set RESEND_UNKNOWN=false: that an order is not found does not mean that there is none",
    ),
    "list of open orders": Assumption(
        "`GET /v2/orders?status=open` holds it, whatever its status, until it has ended",
        "run `signalpaca reconcile` by hand; kill and flatten may overlook resting orders",
    ),
    "duplicate id, open order": Assumption(
        "the same client_order_id is refused with 422, 40010001, while its order is open",
        "set RESEND_UNKNOWN=false",
    ),
    "event of a new order": Assumption(
        "accepted, pending_new or new comes by stream, with our id",
        "nothing to set; acceptance is taken from the answer to the POST",
    ),
    "cancel": Assumption(
        "a cancel is accepted, and the order ends `canceled` soon",
        "watch orders with `cancel_after`: they may live longer",
    ),
    "event of a cancel": Assumption(
        "canceled comes by stream, with our id",
        "ends are found by polling: set RATE_LIMIT_PER_MINUTE no lower than your plan allows",
    ),
    "duplicate id, ended order": Assumption(
        "the same client_order_id is refused after its order was cancelled, too",
        "set RESEND_UNKNOWN=false, and keep one CONSUMER_GROUP for ever",
    ),
    "cancel of an ended order": Assumption(
        "it is answered with 204 or 422",
        "nothing to set; watch `signalpaca orders` for cancels that do not end",
    ),
    "extended hours, day": Assumption(
        "a `day` limit order with extended_hours is accepted",
        "set ALLOW_EXTENDED_HOURS=false",
    ),
    "extended hours, ioc": Assumption(
        "extended_hours on an `ioc` order is refused",
        "nothing to set: the service refuses the pair itself",
    ),
    "opg": Assumption(
        "an `opg` limit order is accepted outside 09:28 to 19:00 in New York",
        "publish no `time_in_force=opg`; TIME_IN_FORCE=day is what always works",
    ),
    "cls": Assumption(
        "a `cls` limit order is accepted outside 15:50 to 19:00 in New York",
        "publish no `time_in_force=cls`; TIME_IN_FORCE=day is what always works",
    ),
    "bracket legs": Assumption(
        "the answer to a bracket's POST names both legs, which end with their entry",
        "publish no `take_profit` and `stop_loss`: their exits would not be followed",
    ),
}
"""Tried, in this order."""

UNTRIED: dict[str, str] = {
    "market ioc": "a market order has no price cap; the `ioc` limit order stands for it",
    "notional and fractional orders": "they are market orders of the day, whose price has no cap",
    "short sales": "what a short may lose has no cap",
    "insufficient buying power": "the order that is too large might be accepted",
    "wash trade": "it takes a sale beside a purchase",
    "429": "it would use up the account's budget: body, Retry-After, scope and window stay unknown",
    "end of a day order": "`canceled` or `expired` is told at the session's close",
    "how long an id stays taken": "beyond this minute, nobody knows",
    "intraday margin on paper": "it takes positions",
    "crypto": "its smallest order costs more than the probe may spend",
    "msgpack on the order stream": "the service does not ask for it",
    "/v2/events/trades": "the service does not use it",
}
"""Not tried, and why."""
