"""The top of the page: whether the exchange is open, its time, and how much goes on."""

from paper_exchange.hours import Phase
from paper_exchange.page.model import Facts
from paper_exchange.page.snapshot import Session, Snapshot
from paper_exchange.page.words import coming, count, in_new_york, in_utc, rate

_PHASES = {
    Phase.CORE: "open",
    Phase.EXTENDED: "extended hours",
    Phase.CLOSED: "closed",
}


def facts_of(snapshot: Snapshot) -> Facts:
    """All facts of the page, by the id of the element that shows them."""
    now, traffic, rules = snapshot.now_ns, snapshot.traffic, snapshot.faults.rules
    return {
        "clock": in_new_york(now),
        "clock-utc": in_utc(now),
        "phase": _PHASES[snapshot.session.phase],
        "pace": snapshot.session.pace,
        "phase-next": _next(snapshot.session, now),
        "n-requests": f"{traffic.total:,}",
        "n-requests-more": f"{rate(traffic.per_second)} per second",
        "n-open": f"{snapshot.open_orders.total:,}",
        "n-open-more": count(snapshot.accounts.total, "account"),
        "n-positions": f"{snapshot.positions.total:,}",
        "n-positions-more": f"{count(snapshot.held, 'price')} held by hand",
        "n-streams": f"{snapshot.connections.total:,}",
        "n-streams-more": _listening(snapshot),
        "n-faults": f"{len(rules):,}",
        "n-faults-more": f"struck {count(sum(rule.hits for rule in rules), 'time')}",
    }


def _next(session: Session, now_ns: int) -> str:
    if session.kind == "always":
        return "round the clock"
    if session.phase is Phase.CORE:
        return f"closes {coming(session.next_close_ns, now_ns)} New York"
    return f"opens {coming(session.next_open_ns, now_ns)} New York"


def _listening(snapshot: Snapshot) -> str:
    rows = snapshot.connections.rows
    listening = sum(1 for line in rows if line.connection.subjects)
    more = "+" if len(rows) < snapshot.connections.total else ""
    return f"{listening:,}{more} listening"
