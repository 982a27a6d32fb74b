"""Executions as rows for the books: what a message adds to them, and at which price."""

from decimal import Decimal
from typing import NamedTuple

ZERO = Decimal(0)
_PRICE_STEP = Decimal("0.000001")


class Execution(NamedTuple):
    """One row of ``trades``; negative ``qty`` (shares) takes shares back.

    ``price`` is None where nobody said. ``cum_qty`` is what the order with ``order_id`` had filled
    with it, busts left aside; for rows that correct others -1, -2, …, since they are no standing.
    ``counted`` is False for one that was heard after a poll had counted its shares.
    """

    id: str
    qty: Decimal
    price: Decimal | None
    order_id: str
    cum_qty: Decimal
    counted: bool = True


class Leg(NamedTuple):
    """One order of a chain of replacements.

    Args:
        qty: what it is for; None where not said.
        gross: the most it was said to have filled, busted shares included.
        average: price of these, as said.
        least: of a successor, the least it was said to have filled before any one message.
        stated, stated_at: its newest standing by the broker's own time (RFC 3339).
        replaces: the order whose place it took; "" for the first, or where not heard yet.
    """

    order_id: str
    qty: Decimal | None = None
    gross: Decimal = ZERO
    average: Decimal | None = None
    least: Decimal | None = None
    stated: Decimal = ZERO
    stated_at: str = ""
    replaces: str = ""


class Amendment(NamedTuple):
    """A bust or correction that is booked.

    Args:
        reduction: shares taken back; negative where a correction adds some.
        lowers: whether the broker's cumulative quantity is net of it afterwards.
    """

    id: str
    order_id: str
    reduction: Decimal
    at: str
    lowers: bool


class Fills(NamedTuple):
    """Everything known of an order's executions."""

    legs: tuple[Leg, ...] = ()
    executions: tuple[Execution, ...] = ()
    amendments: tuple[Amendment, ...] = ()


class Standing(NamedTuple):
    """One message's quantities.

    ``qty`` is the order's size; ``execution_*`` are those of the one execution that the message
    is about, where it is about one. ``filled_qty`` is cumulative, None where not said.
    """

    order_id: str
    filled_qty: Decimal | None
    average: Decimal | None = None
    qty: Decimal | None = None
    execution_id: str = ""
    execution_qty: Decimal | None = None
    execution_price: Decimal | None = None
    at: str = ""
    replaces: str = ""


class Correction(NamedTuple):
    """A ``trade_bust`` or ``trade_correct``.

    Args:
        id: of the message, so that it is booked once.
        target: execution_id of what it takes back; "" where not said.
        qty, price: of the execution as it should have been; a bust's are those that it takes back.
        stated: the order's cumulative quantity in the message, None where not said.
        busts: nothing is left of the execution.
    """

    id: str
    target: str
    order_id: str
    qty: Decimal | None
    price: Decimal | None
    stated: Decimal | None
    at: str
    busts: bool


class Counted(NamedTuple):
    """What a message changed: ``filled`` net shares at ``average``; ``rows`` for the books."""

    fills: Fills
    filled: Decimal
    average: Decimal | None
    rows: tuple[Execution, ...] = ()


def rows_between(
    fills: Fills,
    was: Leg,
    leg: Leg,
    filled: Decimal,
    average: Decimal | None,
    more: Decimal,
    news: Standing,
) -> tuple[Execution, ...]:
    """The executions that make up ``more`` shares: the one told of, and what was missed before."""
    if more <= 0:
        return ()
    grown = leg.gross > was.gross
    own = (r for r in fills.executions if r.order_id == leg.order_id)
    booked = sum((r.qty for r in own if r.counted and r.cum_qty > 0), ZERO)
    end = leg.gross if grown else leg.gross - booked
    told = news.execution_qty if news.execution_id and grown else None
    if told is not None and told >= more:
        price = news.execution_price
        if price is None:
            price = _gap_price(fills, was, filled, average, more, news, None)
        return (Execution(news.execution_id, more, price, leg.order_id, end),)
    if told is None or told <= 0:
        price = _gap_price(fills, was, filled, average, more, news, None)
        return (Execution(f"{leg.order_id}:{end:f}", more, price, leg.order_id, end),)
    last = Execution(news.execution_id, told, news.execution_price, leg.order_id, end)
    price = _gap_price(fills, was, filled, average, more - told, news, last)
    start = end - told
    gap = Execution(f"{leg.order_id}:{start:f}", more - told, price, leg.order_id, start)
    return gap, last


def _gap_price(
    fills: Fills,
    was: Leg,
    filled: Decimal,
    average: Decimal | None,
    shares: Decimal,
    news: Standing,
    last: Execution | None,
) -> Decimal | None:
    """Price of shares that no message told of, from two averages and the execution after them."""
    if news.average is None:
        return None
    known, at = (was.gross, was.average) if was.replaces else (filled, average)
    simple = not fills.amendments and news.filled_qty is not None
    unpriced = (known and at is None) or (last is not None and last.price is None)
    if not simple or unpriced or (not known and last is None):
        return news.average
    money = (news.filled_qty or ZERO) * news.average - known * (at or ZERO)
    if last is not None:
        money -= last.qty * (last.price or ZERO)
    price = (money / shares).quantize(_PRICE_STEP)
    # The broker rounds its averages: of few shares after many, the difference may be nonsense.
    return price if price > 0 else news.average


def correcting_rows(
    fills: Fills,
    leg: Leg,
    news: Correction,
    old: Decimal,
    new: Decimal,
    price: Decimal | None,
) -> tuple[Execution, ...]:
    number = next_number(fills)
    name = news.id if news.busts else f"{news.id}:reversed"
    rows = [Execution(name, -old, price, leg.order_id, number)] if old else []
    if new:
        to = price if news.price is None else news.price
        rows.append(Execution(news.id, new, to, leg.order_id, number - len(rows)))
    return tuple(rows)


def next_number(fills: Fills) -> Decimal:
    return -Decimal(1 + sum(row.cum_qty < 0 for row in fills.executions))


def fallen(leg: Leg, news: Correction) -> Decimal:
    """What an unnamed bust takes back, by the order's own standing."""
    return ZERO if news.stated is None else max(ZERO, leg.gross - news.stated)


def average_after(
    fills: Fills,
    filled: Decimal,
    average: Decimal | None,
    now: Decimal,
    news: Standing,
    rows: tuple[Execution, ...],
) -> Decimal | None:
    """Average price of all shares; the broker's own where it is about all of them."""
    if len(fills.legs) > 1 or fills.amendments:
        return running_average(filled, average, now, rows) if rows else average
    if now == filled:
        # One that was missing may come with a repetition.
        late = average is None and news.filled_qty == filled
        return news.average if late else average
    if news.average is None and rows and all(row.price is not None for row in rows):
        return running_average(filled, average, now, rows)
    return news.average


def running_average(
    filled: Decimal, average: Decimal | None, now: Decimal, rows: tuple[Execution, ...]
) -> Decimal | None:
    priced = [row for row in rows if row.price is not None]
    if len(priced) < len(rows) or (filled and average is None) or now <= 0:
        return average
    money = filled * (average or ZERO) + sum((r.qty * (r.price or ZERO) for r in priced), ZERO)
    return (money / now).quantize(_PRICE_STEP) if money > 0 else average
