"""Order life as a table: which moves are legal, and how news from three sources is merged.

News of one order comes as the POST's answer, as ``trade_updates`` and as poll results, in any
order and more than once. Merging is monotone: quantities only grow, terminal states absorb.
Statuses are Alpaca's (Trading API v2, ``OrderStatus``; lifecycle page "Orders at Alpaca").
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from solution.domain.records import TERMINAL, State

STATE_OF_STATUS: Mapping[str, State] = {
    "accepted": State.OPEN,
    "pending_new": State.OPEN,
    "accepted_for_bidding": State.OPEN,
    "new": State.OPEN,
    "held": State.OPEN,
    "pending_review": State.OPEN,
    "partially_filled": State.OPEN,
    "pending_cancel": State.OPEN,
    "pending_replace": State.OPEN,
    "stopped": State.OPEN,
    "suspended": State.OPEN,
    # The day is over for it, the order is not: a gtc order wakes up again.
    "done_for_day": State.OPEN,
    # Settlement is being computed; the fill quantity is already final but the status is not.
    "calculated": State.OPEN,
    "filled": State.FILLED,
    "canceled": State.CANCELED,
    "expired": State.EXPIRED,
    "replaced": State.REPLACED,
    "rejected": State.REJECTED,
}

# Later news of the same quantity must not look like a step back: pending_new after new.
_RANK = {
    "": 0,
    "replaced": 0,  # the successor's life begins anew
    "accepted": 0,
    "accepted_for_bidding": 0,
    "pending_review": 0,
    "pending_new": 1,
    "held": 1,
    "new": 2,
    "partially_filled": 3,
}
_OPEN_RANK = 4
# From pending_cancel, suspended and the like an order may go back to new, never to pending_new.
_BACK_TO = _RANK["new"]

_AT_BROKER = {
    State.OPEN,
    State.FILLED,
    State.CANCELED,
    State.EXPIRED,
    State.REPLACED,
    State.REJECTED,
}

LEGAL_MOVES: Mapping[State | None, frozenset[State]] = {
    None: frozenset({State.SUBMITTING, State.REFUSED, State.DRY_RUN}),
    State.SUBMITTING: frozenset(
        # REFUSED: answered 429, so nothing happened, and a gate said no before the next try.
        {*_AT_BROKER, State.UNKNOWN, State.NOT_SENT, State.REFUSED, State.EXPIRED_UNCONFIRMED}
    ),
    # SUBMITTING: not found, still fresh, every gate passed again, the same body goes out.
    State.UNKNOWN: frozenset({*_AT_BROKER, State.SUBMITTING, State.EXPIRED_UNCONFIRMED}),
    State.EXPIRED_UNCONFIRMED: frozenset({*_AT_BROKER, State.ABSENT_CONFIRMED}),
    State.OPEN: frozenset(_AT_BROKER - {State.OPEN}),
    **{state: frozenset() for state in TERMINAL},
}


def is_legal(before: State | None, after: State) -> bool:
    """Whether the table allows the move; staying put always is."""
    return before == after or after in LEGAL_MOVES[before]


class News(NamedTuple):
    """What one message says of an order; ``filled_qty`` is cumulative shares."""

    status: str
    order_id: str = ""
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None
    replaced_by: str = ""


class Progress(NamedTuple):
    """Where an order stands after all news so far."""

    state: State
    status: str = ""
    order_id: str = ""
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL


class Step(NamedTuple):
    """What merging one message changed.

    Args:
        progress: the new standing.
        filled: shares newly known to be filled, 0 for none.
        fill_price: average price of exactly those shares.
        status_changed: the broker's status moved forward.
        late_fill: shares arrived after the end was recorded: a correction, not a state change.
    """

    progress: Progress
    filled: Decimal = Decimal(0)
    fill_price: Decimal | None = None
    status_changed: bool = False
    late_fill: bool = False

    @property
    def changed(self) -> bool:
        return self.status_changed or self.filled > 0


def merge(before: Progress, news: News) -> Step:
    """Fold one message into what is known.

    A replaced order whose successor is named stays OPEN under the successor's id: at the broker
    it is one order with a chain of ids. What is then still said of its predecessors counts for
    the shares they filled, never for the state.
    """
    filled = max(before.filled_qty, news.filled_qty)
    delta = filled - before.filled_qty
    average = _average(before, news, delta)
    after = Progress(before.state, before.status, before.order_id or news.order_id, filled, average)
    price = _price_of(before, filled, average) if delta > 0 else None
    if before.ended:
        return Step(after, delta, price, late_fill=delta > 0)
    if before.order_id and news.order_id not in {"", before.order_id}:
        return Step(after, delta, price)
    if news.status == "replaced" and news.replaced_by:
        if news.replaced_by == before.order_id:
            return Step(after, delta, price)
        follow = after._replace(order_id=news.replaced_by, status="replaced", state=State.OPEN)
        return Step(follow, delta, price, status_changed=True)
    state = STATE_OF_STATUS.get(news.status, State.OPEN)
    if not _moves_forward(before, state, news, delta):
        return Step(after, delta, price)
    return Step(after._replace(state=state, status=news.status), delta, price, status_changed=True)


def _moves_forward(before: Progress, state: State, news: News, delta: Decimal) -> bool:
    if news.status == before.status and state == before.state:
        return False
    if state in TERMINAL or before.state is not State.OPEN:
        return is_legal(before.state, state)
    if news.filled_qty < before.filled_qty:
        return False
    if delta > 0:
        return True
    return _RANK.get(news.status, _OPEN_RANK) >= _RANK.get(before.status, _BACK_TO)


def _average(before: Progress, news: News, delta: Decimal) -> Decimal | None:
    """Average price of all shares filled; one that was missing may come with a repetition."""
    late = before.filled_avg_price is None and news.filled_qty == before.filled_qty
    return news.filled_avg_price if delta > 0 or late else before.filled_avg_price


def _price_of(before: Progress, filled: Decimal, average: Decimal | None) -> Decimal | None:
    """Average price of the shares between two cumulative standings."""
    if average is None or not before.filled_qty or before.filled_avg_price is None:
        return average
    already = before.filled_qty * before.filled_avg_price
    price = ((filled * average - already) / (filled - before.filled_qty)).quantize(_PRICE_STEP)
    # The broker rounds its averages: of few shares after many, the difference may be nonsense.
    return price if price > 0 else average


_PRICE_STEP = Decimal("0.000001")
_MOST_DIGITS = 30


def decimal_or_none(value: object) -> Decimal | None:
    """A decimal of a sane size from the broker's text or number; None for null and nonsense."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    # 1e999999 is finite, and a megabyte when it is written out.
    return number if number.is_finite() and abs(number.adjusted()) <= _MOST_DIGITS else None


def news_of(order: Mapping[str, Any]) -> News:
    """News from a full Order object, whatever keys are missing or null."""
    return News(
        status=str(order.get("status") or ""),
        order_id=str(order.get("id") or ""),
        filled_qty=decimal_or_none(order.get("filled_qty")) or Decimal(0),
        filled_avg_price=decimal_or_none(order.get("filled_avg_price")),
        replaced_by=str(order.get("replaced_by") or ""),
    )
