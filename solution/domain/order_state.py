"""Order life as a table: which moves are legal, and how news from three sources is merged.

News of one order comes as the POST's answer, as ``trade_updates`` and as poll results, in any
order and more than once. Merging is monotone: quantities only grow, terminal states absorb.
Statuses are Alpaca's (Trading API v2, ``OrderStatus``; lifecycle page "Orders at Alpaca").
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from solution.domain import fills
from solution.domain.executions import Correction, Counted, Execution, Fills, Leg, Standing
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
    """What one message says of an order; ``filled_qty`` is cumulative shares.

    Args:
        counts: False where the message states no filled quantity at all.
        qty: shares the order is for, None where not said.
        replaces: the id of the order that this one took the place of.
        execution_id, execution_qty, execution_price: of the one execution it is about.
        at: the broker's own time of it, RFC 3339.
    """

    status: str
    order_id: str = ""
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None
    replaced_by: str = ""
    counts: bool = True
    qty: Decimal | None = None
    replaces: str = ""
    execution_id: str = ""
    execution_qty: Decimal | None = None
    execution_price: Decimal | None = None
    at: str = ""


class Progress(NamedTuple):
    """Where an order stands after all news so far; ``filled_qty`` is net of busts."""

    state: State
    status: str = ""
    order_id: str = ""
    filled_qty: Decimal = Decimal(0)
    filled_avg_price: Decimal | None = None
    fills: Fills = Fills()

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The orders of its chain, as far as heard of."""
        return self.fills.legs


class Step(NamedTuple):
    """What merging one message changed.

    Args:
        progress: the new standing.
        filled: shares newly known to be filled, 0 for none; negative when some were taken back.
        fill_price: average price of exactly those shares.
        status_changed: the broker's status moved forward.
        late_fill: shares arrived after the end was recorded: a correction, not a state change.
        executions: ``filled`` as rows for the books; they add up to it.
        corrected: the broker took an execution back or changed it.
    """

    progress: Progress
    filled: Decimal = Decimal(0)
    fill_price: Decimal | None = None
    status_changed: bool = False
    late_fill: bool = False
    executions: tuple[Execution, ...] = ()
    corrected: bool = False

    @property
    def changed(self) -> bool:
        return self.status_changed or bool(self.executions)


def merge(before: Progress, news: News) -> Step:
    """Fold one message into what is known.

    A replaced order whose successor is named stays OPEN under the successor's id: at the broker
    it is one order with a chain of ids. What is then still said of its predecessors counts for
    the shares they filled, never for the state. Of a successor that names its predecessor before
    the predecessor names it, the same holds until it has filled something: its replacement may
    still be refused, and the predecessor live on.
    """
    counted = fills.count(
        _fills_of(before),
        before.order_id,
        before.filled_qty,
        before.filled_avg_price,
        _standing_of(news),
    )
    rows = counted.rows
    delta = _sum(counted) if rows else _NONE
    after = Progress(
        before.state,
        before.status,
        before.order_id or news.order_id,
        before.filled_qty + delta if rows else before.filled_qty,
        counted.average,
        counted.fills,
    )
    return _stepped(before, after, news, delta, rows)


def _stepped(
    before: Progress,
    after: Progress,
    news: News,
    delta: Decimal,
    rows: tuple[Execution, ...],
) -> Step:
    """The step, with what the message says of the state."""
    step = Step(after, delta, _price_of(rows), executions=rows)
    if before.ended:
        return step._replace(late_fill=delta > 0)
    if before.order_id and news.order_id not in {"", before.order_id}:
        if news.replaces != before.order_id or delta <= 0:
            return step
        after = after._replace(order_id=news.order_id)
    if news.status == "replaced" and news.replaced_by:
        if news.replaced_by == before.order_id:
            return step
        chain = fills.followed(after.fills, after.order_id, news.replaced_by)
        follow = after._replace(
            order_id=news.replaced_by, status="replaced", state=State.OPEN, fills=chain
        )
        return step._replace(progress=follow, status_changed=True)
    state = STATE_OF_STATUS.get(news.status, State.OPEN)
    if not _moves_forward(before, state, news, delta):
        return step._replace(progress=after)
    moved = Progress(state, news.status, *after[2:])
    return Step(moved, delta, step.fill_price, status_changed=True, executions=rows)


def amend(before: Progress, correction: Correction) -> Step:
    """Book a bust or a correction of an execution. No state is left or entered by it."""
    counted = fills.correct(
        _fills_of(before),
        before.order_id,
        before.filled_qty,
        before.filled_avg_price,
        correction,
    )
    delta = _sum(counted)
    after = before._replace(
        filled_qty=before.filled_qty + delta,
        filled_avg_price=counted.average,
        fills=counted.fills,
    )
    rows = counted.rows
    return Step(after, delta, correction.price, executions=rows, corrected=bool(rows))


def _fills_of(before: Progress) -> Fills:
    if before.fills.legs:
        return before.fills
    return fills.begun(before.order_id, before.filled_qty, before.filled_avg_price)


def _standing_of(news: News) -> Standing:
    return Standing(
        news.order_id,
        news.filled_qty if news.counts else None,
        news.filled_avg_price,
        news.qty,
        news.execution_id,
        news.execution_qty,
        news.execution_price,
        news.at,
        news.replaces,
    )


_NONE = Decimal(0)


def _sum(counted: Counted) -> Decimal:
    return sum((row.qty for row in counted.rows), _NONE)


def _price_of(rows: tuple[Execution, ...]) -> Decimal | None:
    """Average price of the rows; None where one of them has none."""
    if not rows or any(row.price is None for row in rows):
        return None
    if len(rows) == 1:
        return rows[0].price
    money = sum((row.qty * (row.price or Decimal(0)) for row in rows), Decimal(0))
    return (money / sum(row.qty for row in rows)).quantize(_PRICE_STEP)


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


def news_of(order: Mapping[str, Any], *, at: str = "") -> News:
    """News from a full Order object, whatever keys are missing or null.

    Args:
        at: the message's own time; the order's ``updated_at`` where there is none.
    """
    status, qty = str(order.get("status") or ""), decimal_or_none(order.get("qty"))
    filled = decimal_or_none(order.get("filled_qty"))
    if filled is None and status == "filled":
        filled = qty  # all of it, by the meaning of the word
    return News(
        status=status,
        order_id=str(order.get("id") or ""),
        filled_qty=filled or Decimal(0),
        filled_avg_price=decimal_or_none(order.get("filled_avg_price")),
        replaced_by=str(order.get("replaced_by") or ""),
        counts=filled is not None,
        qty=qty,
        replaces=str(order.get("replaces") or ""),
        at=at or str(order.get("updated_at") or ""),
    )
