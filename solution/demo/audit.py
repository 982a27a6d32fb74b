"""Whether each signal ended exactly once, and each order belongs to exactly one signal. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal

from solution.demo.evidence import Event, Evidence, Key, Order

TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
_SHOWN = 3


def problems(evidence: Evidence) -> list[str]:
    """Everything that contradicts the promise, one line each; empty when it was kept."""
    return [
        *_ends(evidence),
        *_orders(evidence),
        *_outcomes(evidence),
        *_positions(evidence),
        *_pending(evidence),
    ]


def finals(evidence: Evidence) -> dict[Key, Event]:
    """The final event of each entry (the first, where there are wrongly two)."""
    out: dict[Key, Event] = {}
    for event in evidence.events:
        if event.get("final") == "1":
            out.setdefault(_entry(event), event)
    return out


def _entry(event: Event) -> Key:
    return event.get("stream", ""), event.get("entry_id", "")


def signal_of(entry: Key, signal_id: str) -> str:
    """Two entries with one signal_id are one signal."""
    return f"id {signal_id}" if signal_id else f"entry {entry[1]}"


def _ends(evidence: Evidence) -> Iterator[str]:
    """Exactly one final event for every entry, and for nothing else."""
    count = Counter(_entry(e) for e in evidence.events if e.get("final") == "1")
    yield from _some("has no end", (e for e in evidence.entries if not count[e]))
    yield from _some("ended more than once", (e for e in evidence.entries if count[e] > 1))
    yield from _some(
        "ended and was never published", (e for e in count if e not in evidence.entries)
    )


def _orders(evidence: Evidence) -> Iterator[str]:
    """Each order of the exchange under one id, of one signal; no signal with two."""
    signals: defaultdict[str, set[str]] = defaultdict(set)
    for event in evidence.events:
        if event.get("order_id"):
            entry = _entry(event)
            signal_id = evidence.entries.get(entry, event.get("signal_id", ""))
            signals[event.get("client_order_id", "")].add(signal_of(entry, signal_id))
    ids = Counter(_coid(order) for order in evidence.orders)
    yield from _some("stands for two orders", (coid for coid, n in ids.items() if n > 1))
    yield from _some("belongs to no signal", (coid for coid in ids if not signals.get(coid)))
    yield from _some("belongs to two signals", (coid for coid in ids if len(signals[coid]) > 1))
    yield from _some("is told of and not at the exchange", (c for c in signals if c not in ids))
    owners: Counter[str] = Counter()
    for coid in ids:
        owners.update(signals[coid])
    yield from _some("has two orders", (signal for signal, n in owners.items() if n > 1))


def _outcomes(evidence: Evidence) -> Iterator[str]:
    """The final event says of an order what the exchange says, and every order is at its end."""
    orders = {_coid(order): order for order in evidence.orders}
    still_open = (c for c, o in orders.items() if o.get("status") not in TERMINAL)
    yield from _some("is still open at the exchange", still_open)
    wrong = []
    for event in finals(evidence).values():
        order = orders.get(event.get("client_order_id", ""))
        if event.get("order_id") and order is not None and not _agree(event, order):
            wrong.append(_coid(order))
    yield from _some("ended differently at the exchange", wrong)


def _agree(event: Event, order: Order) -> bool:
    same = Decimal(event.get("filled_qty") or 0) == Decimal(str(order.get("filled_qty") or 0))
    return same and event.get("status") == order.get("status")


def _positions(evidence: Evidence) -> Iterator[str]:
    """The fills add up to the positions; the account was empty before."""
    total = changes(evidence)
    for symbol in sorted({*total, *evidence.positions}):
        held = Decimal(evidence.positions.get(symbol, "0"))
        if total.get(symbol, Decimal(0)) != held:
            yield f"{symbol}: fills add up to {total.get(symbol, 0)}, the position is {held}"


def changes(evidence: Evidence) -> Mapping[str, Decimal]:
    """Shares bought less sold by symbol, from the exchange's orders."""
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for order in evidence.orders:
        qty = Decimal(str(order.get("filled_qty") or 0))
        total[str(order["symbol"])] += qty if order.get("side") == "buy" else -qty
    return total


def _pending(evidence: Evidence) -> Iterator[str]:
    if evidence.pending:
        yield f"{evidence.pending} entries are not acknowledged"


def _coid(order: Order) -> str:
    return str(order.get("client_order_id", ""))


def _some(what: str, which: Iterator[object] | list[str]) -> Iterator[str]:
    """One line for all that share a fault, naming the first few."""
    found = [" ".join(one) if isinstance(one, tuple) else str(one) for one in which]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield f"{', '.join(found[:_SHOWN])}{more}: {what}"
