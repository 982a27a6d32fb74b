"""How many shares of one signal's order are filled, whatever is heard of it and in which order.

The broker states cumulative quantities per order id. Statements come late, twice, out of order or
not at all, so only their maximum counts; what lies between two standings and no message explained
is one execution of its own. Two things make this more than a maximum:

**Replaced orders.** The successor has an id of its own. Whether its ``filled_qty`` begins at zero
or at what its predecessors had filled is not documented (Alpaca; the reports contradict each
other), so each message is asked: a standing below the predecessors' total proves that the
successor counts anew, and so does a successor that was made for exactly what was left. Without
any such proof the smaller reading is taken, which never books a share that does not exist.

**Busts and corrections.** An execution that was taken back lowers the net quantity for good and
never a standing that is only stale. By the convention of FIX a broker's cumulative quantity is
stated net from then on, so what it says *after* the bust (by its own time) is counted with the
busted shares added back. Where the bust's own message still states the old quantity and we know
the execution that it names, the broker counts gross, and nothing is added back. A bust that was
never heard shows only in the position, which the account's snapshot corrects.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from solution.domain.executions import (
    ZERO,
    Amendment,
    Correction,
    Counted,
    Execution,
    Fills,
    Leg,
    Standing,
    average_after,
    correcting_rows,
    fallen,
    next_number,
    rows_between,
    running_average,
)


def begun(order_id: str, filled: Decimal, average: Decimal | None) -> Fills:
    """What a ledger row alone says."""
    if not filled:
        return Fills()
    return Fills((Leg(order_id, gross=filled, average=average, stated=filled),))


def restored(order_id: str, rows: Iterable[Execution]) -> Fills:
    """From the rows that were booked, and the order's current id."""
    rows = tuple(rows)
    legs: list[Leg] = []
    for name in dict.fromkeys([*(row.order_id for row in rows), order_id]):
        own = [row for row in rows if row.order_id == name and row.cum_qty > 0]
        gross = max((row.cum_qty for row in own), default=ZERO)
        # Rows that add up to the standing: it was counted from zero.
        anew = bool(own) and sum((row.qty for row in own), ZERO) == gross
        least, before = ZERO if anew else None, legs[-1].order_id if legs else ""
        legs.append(Leg(name, gross=gross, least=least, stated=gross, replaces=before))
    taken = tuple(
        Amendment(row.id, row.order_id, -row.qty, "", lowers=True)
        for row in rows
        if row.cum_qty < 0
    )
    return Fills(tuple(legs), rows, taken)


def total(fills: Fills) -> Decimal:
    """Net shares filled over the whole chain."""
    if len(fills.legs) == 1 and not fills.amendments:
        return fills.legs[0].gross
    legs = {leg.order_id: leg for leg in fills.legs}
    filled = max((_up_to(leg, legs) for leg in fills.legs), default=ZERO)
    return filled - sum((a.reduction for a in fills.amendments), ZERO)


def _up_to(leg: Leg, legs: Mapping[str, Leg]) -> Decimal:
    """Shares of an order and of those that it took the place of."""
    before = legs.get(leg.replaces)
    if before is None:
        return leg.gross
    others = {name: other for name, other in legs.items() if name != leg.order_id}
    filled = _up_to(before, others)
    if _counts_anew(leg, before, filled):
        return filled + leg.gross
    return max(filled, leg.gross)


def count(
    fills: Fills, order_id: str, filled: Decimal, average: Decimal | None, news: Standing
) -> Counted:
    """Fold one message's quantities into what is known.

    Args:
        order_id: the id that the order has now; news without an id is about that.
        filled, average: the net standing so far. It never falls here.
    """
    if news.filled_qty is None or _says_nothing(fills, news):
        return Counted(fills, filled, average)
    legs, place = _placed(fills.legs, order_id, news)
    was = legs[place]
    leg = _told(was, news, _added_back(fills, was, news.at) if fills.amendments else ZERO)
    after = Fills((*legs[:place], leg, *legs[place + 1 :]), fills.executions, fills.amendments)
    now = max(filled, total(after))
    if any(row.id == news.execution_id for row in fills.executions):
        news = news._replace(execution_id="", execution_qty=None, execution_price=None)
    rows = rows_between(after, was, leg, filled, average, now - filled, news)
    if rows:
        after = after._replace(executions=(*fills.executions, *rows))
    elif news.execution_id and news.execution_qty:
        name, shares, price = news.execution_id, news.execution_qty, news.execution_price
        seen = Execution(name, shares, price, leg.order_id, leg.gross, counted=False)
        after = after._replace(executions=(*fills.executions, seen))
    return Counted(after, now, average_after(after, filled, average, now, news, rows), rows)


def _says_nothing(fills: Fills, news: Standing) -> bool:
    """Nothing filled of an order that was never anything else: most messages."""
    if news.filled_qty or news.replaces or fills.executions or fills.amendments:
        return False
    legs = fills.legs
    return not legs or (len(legs) == 1 and not legs[0].gross and not legs[0].replaces)


def correct(
    fills: Fills, order_id: str, filled: Decimal, average: Decimal | None, news: Correction
) -> Counted:
    """Book a bust or a correction; one that is booked already changes nothing."""
    if any(known.id == news.id for known in fills.amendments):
        return Counted(fills, filled, average)
    standing = Standing(news.order_id, news.stated, at=news.at)
    legs, place = _placed(fills.legs, order_id, standing)
    leg = legs[place]
    target = next((row for row in fills.executions if row.id == news.target), None)
    old = target.qty if target else (news.qty or fallen(leg, news))
    new = ZERO if news.busts else (old if news.qty is None else news.qty)
    gross_stated = news.stated is not None and target is not None and news.stated == leg.gross
    taken = Amendment(news.id, leg.order_id, old - new, news.at, lowers=not gross_stated)
    after = Fills(legs, fills.executions, (*fills.amendments, taken))
    if taken.lowers:
        # What was said since then, and heard first, was net of it already.
        since = bool(news.at) and not _not_before(news.at, leg.stated_at)
        later = leg.stated if since else ZERO
        said = max(later, news.stated or ZERO)
        if said:
            gross = max(leg.gross, said + _added_back(after, leg, news.at))
            leg = leg._replace(gross=gross)
            after = after._replace(legs=(*legs[:place], leg, *legs[place + 1 :]))
    rows = correcting_rows(after, leg, news, old, new, target.price if target else average)
    now = max(ZERO, total(after))
    missed = now - filled - sum((row.qty for row in rows), ZERO)
    if missed:
        # The message also tells of shares that we had not heard of, or takes back more than was.
        number = next_number(after) - len(rows)
        cum = leg.gross if missed > 0 else number
        rows = (*rows, Execution(f"{news.id}:rest", missed, average, leg.order_id, cum))
    after = after._replace(executions=(*after.executions, *rows))
    return Counted(after, now, running_average(filled, average, now, rows), rows)


# --- legs -----------------------------------------------------------------------------------------


def _placed(legs: tuple[Leg, ...], order_id: str, news: Standing) -> tuple[tuple[Leg, ...], int]:
    """The legs with the one that the message is about, and its place among them."""
    name = news.order_id or order_id
    names = [leg.order_id for leg in legs]
    if name in names:
        return legs, names.index(name)
    if names == [""]:
        return (legs[0]._replace(order_id=name),), 0
    # One that names no other may be a predecessor from before a restart, whose shares count.
    return (*legs, Leg(name, replaces=news.replaces)), len(legs)


def followed(fills: Fills, order_id: str, successor: str) -> Fills:
    """The chain with the successor of one of its orders."""
    known = next((leg for leg in fills.legs if leg.order_id == successor), None)
    if known is None:
        return fills._replace(legs=(*fills.legs, Leg(successor, replaces=order_id)))
    if known.replaces:
        return fills
    legs = (leg if leg is not known else leg._replace(replaces=order_id) for leg in fills.legs)
    return fills._replace(legs=tuple(legs))


def _told(leg: Leg, news: Standing, added_back: Decimal) -> Leg:
    said = news.filled_qty or ZERO
    least = leg.least
    if leg.replaces:
        before = said - (news.execution_qty or ZERO)
        least = before if least is None else min(least, before)
    late = leg.average is None and said + added_back == leg.gross
    grown = said + added_back > leg.gross
    newest = _not_before(news.at, leg.stated_at) if news.at else grown
    return Leg(
        leg.order_id,
        news.qty if news.qty is not None else leg.qty,
        max(leg.gross, said + added_back),
        news.average if grown or late else leg.average,
        least,
        said if newest else leg.stated,
        news.at if newest else leg.stated_at,
        leg.replaces,
    )


def _counts_anew(leg: Leg, before: Leg, filled: Decimal) -> bool:
    """Whether a successor's standing leaves out what its predecessors had filled."""
    if leg.least is not None and leg.least < filled:
        return True
    rest = None if leg.qty is None else leg.qty + before.gross
    return before.gross > 0 and rest is not None and rest == before.qty


def _added_back(fills: Fills, leg: Leg, at: str) -> Decimal:
    """Busted shares that a standing of this time leaves out."""
    return sum(
        (
            a.reduction
            for a in fills.amendments
            if a.lowers and a.order_id == leg.order_id and _not_before(at, a.at)
        ),
        ZERO,
    )


def _not_before(at: str, other: str) -> bool:
    """Whether one time of the broker's is as late as another; unknown is before everything."""
    if at == other or not other:
        return True
    first, second = _instant(at), _instant(other)
    return first is not None and (second is None or first >= second)


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
