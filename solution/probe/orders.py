"""Probes that send an order: each for one share at half the price, each ended before the next."""

from collections.abc import Iterator
from datetime import time
from decimal import Decimal

from solution.errors import BrokerError, DuplicateOrder, NotFound, Rejected
from solution.probe.bench import OVER, Bench, Placed
from solution.probe.ears import Ears
from solution.probe.finding import Finding, untested
from solution.probe.judging import judge, words
from solution.session import NEW_YORK

LOOKUP_WITHIN = 2.0
"""Seconds over which the service looks for an order before it takes it for absent."""
ANSWER_FIELDS = ("id", "client_order_id", "status", "created_at", "filled_qty")
ACCEPTED = ("accepted", "pending_new", "new")
NOT_SENT_AT = {"opg": (time(9, 20), time(19, 5)), "cls": (time(15, 40), time(19, 5))}
"""When Alpaca documents a refusal (New York), and some minutes around it: an order that is in time
must also be cancelled in time."""
DAY = (
    *("order answer", "lookup delay", "day order rests", "list of open orders"),
    *("duplicate id, open order", "event of a new order", "cancel", "event of a cancel"),
    *("duplicate id, ended order", "cancel of an ended order"),
)
"""What one resting order tells."""
DEAR, CHEAP = Decimal("1.2"), Decimal("0.8")
"""Of the entry's price: where a bracket's exits stand."""


def ioc(bench: Bench) -> Iterator[Finding]:
    """The time in force that market orders get by default."""
    now, other = ("open", "closed") if bench.is_open else ("closed", "open")
    try:
        placed = bench.place("ioc")
    except Rejected as e:
        yield judge(f"ioc while {now}", holds=False, seen=words(e))
        yield untested("ioc ends at once", "none was accepted")
    else:
        yield judge(f"ioc while {now}", holds=True, seen=f"answered {placed.status}")
        yield _ends_at_once(bench, placed, "ioc ends at once")
    yield untested(f"ioc while {other}", f"the market is {now}")


def fok(bench: Bench) -> Iterator[Finding]:
    """Its sibling."""
    try:
        placed = bench.place("fok")
    except Rejected as e:
        yield judge("fok", holds=False, seen=words(e))
    else:
        yield _ends_at_once(bench, placed, "fok")


def _ends_at_once(bench: Bench, placed: Placed, name: str) -> Finding:
    seconds = bench.ended(placed)
    if seconds is None:
        bench.cancelled(placed)
        return judge(name, holds=False, seen=f"not after {bench.within:g} s; now {placed.status}")
    bought = Decimal(str(placed.order.get("filled_qty") or 0))
    seen = f"{placed.status} after {seconds * 1000:.0f} ms, {bought:f} bought"
    return judge(name, holds=placed.status == "canceled" and not bought, seen=seen)


def day_order(bench: Bench, ears: Ears) -> Iterator[Finding]:
    """One resting order from its POST to after its end."""
    placed = bench.place("day")
    missing = [name for name in ANSWER_FIELDS if placed.order.get(name) in {None, ""}]
    seen = f"without {', '.join(missing)}" if missing else ", ".join(ANSWER_FIELDS)
    yield judge("order answer", holds=not missing, seen=seen)
    yield _lookup(bench, placed)
    status = bench.look(placed)
    rests = status not in OVER
    yield judge("day order rests", holds=rests, seen=f"{status} after its POST")
    listed = [o for o in bench.client.list_orders() if o.get("id") == placed.id]
    seen = f"it is listed as {status}" if listed else f"it is {status}, and not listed"
    yield judge("list of open orders", holds=bool(listed) or not rests, seen=seen)
    yield _duplicate(bench, placed, "duplicate id, open order")
    yield _event(ears, placed, "event of a new order", ACCEPTED, placed.sent_at)
    yield from _cancel(bench, ears, placed)
    yield _duplicate(bench, placed, "duplicate id, ended order")
    yield _cancel_again(bench, placed)


def _lookup(bench: Bench, placed: Placed) -> Finding:
    name, misses = "lookup delay", 0

    def found() -> bool:
        nonlocal misses
        try:
            bench.client.get_order_by_client_id(placed.client_order_id)
        except NotFound:
            misses += 1
            return False
        return True

    seconds = bench.until(found, placed.answered_at)
    if seconds is None:
        return judge(name, holds=False, seen=f"not found within {bench.within:g} s of the answer")
    seen = f"found {seconds * 1000:.0f} ms after the answer, {misses} times not found before"
    return judge(name, holds=seconds <= LOOKUP_WITHIN, seen=seen)


def _duplicate(bench: Bench, placed: Placed, name: str) -> Finding:
    try:
        second = bench.again(placed)
    except DuplicateOrder as e:
        # That it is recognised at all is what the service needs; the words are what it goes by.
        return judge(name, holds=True, seen=words(e))
    except Rejected as e:
        return judge(name, holds=False, seen=words(e))
    if second.id == placed.id:
        return judge(name, holds=False, seen="it was answered with the first order")
    bench.cancelled(second)
    return judge(name, holds=False, seen=f"a second order was made: {second.id}")


def _event(ears: Ears, placed: Placed, name: str, events: tuple[str, ...], since: float) -> Finding:
    if not ears.connected:
        return untested(name, f"the order stream does not listen: {ears.state}")
    update = ears.hears(placed.client_order_id, events)
    if update is None:
        return judge(name, holds=False, seen=f"none of {', '.join(events)} came")
    delay = (update.received - since) * 1000
    return judge(name, holds=True, seen=f"{update.event} {delay:.0f} ms after the request")


def _cancel(bench: Bench, ears: Ears, placed: Placed) -> Iterator[Finding]:
    asked_at = bench.clock.monotonic()
    seconds = bench.cancelled(placed)
    if seconds is None:
        seen = f"still {placed.status} after {bench.within:g} s"
        yield judge("cancel", holds=False, seen=seen)
    else:
        seen = f"{placed.status} after {seconds * 1000:.0f} ms"
        yield judge("cancel", holds=placed.status == "canceled", seen=seen)
    yield _event(ears, placed, "event of a cancel", ("canceled",), asked_at)


def _cancel_again(bench: Bench, placed: Placed) -> Finding:
    name = "cancel of an ended order"
    try:
        bench.client.cancel_order(placed.id)
    except Rejected as e:
        return judge(name, holds=e.status == 422, seen=words(e))
    except BrokerError as e:
        return judge(name, holds=False, seen=words(e))
    return judge(name, holds=True, seen="accepted")


def extended_hours(bench: Bench) -> Iterator[Finding]:
    """With a time in force that permits them, and with one that does not."""
    try:
        placed = bench.place("day", extended_hours=True)
    except Rejected as e:
        yield judge("extended hours, day", holds=False, seen=words(e))
    else:
        bench.cancelled(placed)
        yield judge("extended hours, day", holds=True, seen="accepted")
    try:
        placed = bench.place("ioc", extended_hours=True)
    except Rejected as e:
        yield judge("extended hours, ioc", holds=True, seen=words(e))
    else:
        bench.cancelled(placed)
        yield judge("extended hours, ioc", holds=False, seen="accepted")


def auctions(bench: Bench) -> Iterator[Finding]:
    """At the open and at the close."""
    now = bench.market_at.astimezone(NEW_YORK).time()
    for name, (start, end) in NOT_SENT_AT.items():
        if start <= now < end:
            why = f"refused around this hour; try it between {end:%H:%M} and {start:%H:%M} New York"
            yield untested(name, why)
            continue
        try:
            placed = bench.place(name)
        except Rejected as e:
            yield judge(name, holds=False, seen=words(e))
        else:
            yield judge(name, holds=True, seen=f"answered {placed.status}")
            bench.cancelled(placed)


def bracket(bench: Bench) -> Iterator[Finding]:
    """An entry with both exits; they end with it."""
    name = "bracket legs"
    placed = bench.place(
        "day",
        order_class="bracket",
        take_profit={"limit_price": format(bench.priced(DEAR), "f")},
        stop_loss={"stop_price": format(bench.priced(CHEAP), "f")},
    )
    legs = [bench.adopt(leg) for leg in placed.order.get("legs") or () if leg.get("id")]
    bench.cancelled(placed)
    if len(legs) != 2:
        yield judge(name, holds=False, seen=f"the answer names {len(legs)} legs")
        return
    ends = [bench.ended(leg) for leg in legs]
    statuses = " and ".join(leg.status for leg in legs)
    holds = None not in ends
    yield judge(name, holds=holds, seen=f"both are named; {statuses} after the entry's cancel")
