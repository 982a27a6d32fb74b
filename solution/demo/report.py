"""The demo's summary, from the evidence. Pure: evidence in, lines out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

from solution.demo import audit
from solution.demo.evidence import Evidence, nanos_of
from solution.ui.reading import money


def lines(evidence: Evidence, problems: Sequence[str], head: Mapping[str, str]) -> list[str]:
    """Name and text pairs aligned, then the verdict."""
    rows = [*head.items(), *_facts(evidence)]
    out = [f"  {name:<13} {text}" for name, text in rows]
    out.append("")
    if problems:
        out += [f"  ✗ {problem}" for problem in problems]
    else:
        out += [f"  ✓ {text}" for text in _kept(evidence)]
    return out


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    ends = audit.finals(evidence).values()
    refused = Counter(e.get("reason", "") for e in ends if e.get("event") == "refused")
    dead = Counter(e.get("reason", "") for e in ends if e.get("event") == "dead_letter")
    statuses = Counter(_status(order) for order in evidence.orders)
    facts = [
        ("signals", _signals(evidence)),
        ("orders", f"{len(evidence.orders)} at the exchange: {_counted(statuses)}"),
        ("refused", f"{sum(refused.values())}: {_counted(refused)}"),
        ("dead letters", f"{sum(dead.values())}: {_counted(dead)}"),
        ("latency", latency(evidence)),
        ("positions", _changes(evidence)),
        ("account", _account(evidence)),
    ]
    return [(name, text) for name, text in facts if not text.startswith("0:")]


def _signals(evidence: Evidence) -> str:
    entries = evidence.entries
    again = len(entries) - len({audit.signal_of(e, s) for e, s in entries.items()})
    return f"{len(entries)} published" + (f", {again} of them a second time" if again else "")


def _status(order: Mapping[str, object]) -> str:
    status = str(order.get("status", ""))
    part = status != "filled" and Decimal(str(order.get("filled_qty") or 0)) > 0
    return f"{status} after a part was filled" if part else status


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counter.most_common()) or "none"


def latency(evidence: Evidence) -> str:
    """From the entry's time in Redis to the exchange's own time of acceptance, per order.

    An entry id is cut to whole milliseconds, so each figure may be up to 1 ms too high.
    """
    published: dict[str, int] = {}
    for event in evidence.events:
        ms = int(event.get("entry_id", "0-0").partition("-")[0] or 0)
        coid = event.get("client_order_id", "")
        # A repeated signal_id tells one order under two entries: the first one made it.
        published[coid] = min(ms, published.get(coid, ms))
    times = []
    for order in evidence.orders:
        at = nanos_of(str(order.get("created_at", "")))
        sent = published.get(str(order.get("client_order_id", "")))
        if at is not None and sent is not None:
            times.append(at / 1e6 - sent)
    if not times:
        return "no orders"
    times.sort()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms from the stream to the exchange"


def _changes(evidence: Evidence) -> str:
    total = {s: q for s, q in sorted(audit.changes(evidence).items()) if q}
    return ", ".join(f"{symbol} {qty:+f}" for symbol, qty in total.items()) or "flat"


def _account(evidence: Evidence) -> str:
    account = evidence.account
    change = Decimal(account["equity"]) - Decimal(account.get("last_equity") or account["equity"])
    sign = "+" if change >= 0 else ""
    return f"equity {money(account['equity'])} ({sign}{money(change)})"


def _kept(evidence: Evidence) -> list[str]:
    entries, orders = len(evidence.entries), len(evidence.orders)
    return [
        f"all {entries} entries ended exactly once, none is pending",
        f"all {orders} orders at the exchange belong to one signal each, no signal has two",
        "outcomes and positions agree with the exchange's own books",
    ]
