"""A comparison of ledger and broker as text and as JSON values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from solution.domain.order_state import STATE_OF_STATUS
from solution.domain.records import TERMINAL, EquityPoint, State
from solution.trading.compare import MEANINGS, UNRESOLVED, Difference, Kind
from solution.trading.comparison import Result
from solution.ui.reading import money

WORDS = {
    Kind.NOT_IN_LEDGER: "not in the ledger",
    Kind.NOT_AT_BROKER: "not at the broker",
    Kind.OPEN_HERE_ENDED_THERE: "open here, ended there",
    Kind.ENDED_HERE_OPEN_THERE: "ended here, open there",
    Kind.OTHER_END: "another end",
    Kind.FILLED_QTY: "filled quantity",
    Kind.TRADES: "executions",
    Kind.POSITION: "position",
    Kind.UNRESOLVED: "unresolved",
}

COUNTS = ("ledger", "broker", "open_here", "open_there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is shown.

    Args:
        account: the broker's account object.
        halted: reason by ticker that takes no orders until somebody resumes it.
        equity: the newest point of the ledger's curve, None when there is none.
        requests: sent to the broker.
    """

    ledger: str
    broker: str
    account: Mapping[str, Any]
    since: datetime
    result: Result
    halted: Mapping[str, str]
    equity: EquityPoint | None
    requests: int


def lines_of(report: Report) -> Iterator[str]:
    """The summary; differences come as a table after it."""
    result = report.result
    yield f"ledger  {report.ledger}"
    yield f"broker  account {report.account.get('id')} at {report.broker}"
    yield ""
    yield _fact("account", _account(report.account))
    if report.equity is not None:
        last = report.equity
        yield _fact("", f"equity {money(last.equity)} in the ledger, of {last.at}")
    yield _fact("orders", _orders(report))
    yield _fact("positions", _positions(result))
    unresolved = [row for row in result.ledger.rows.values() if row.state in UNRESOLVED]
    counts = ", ".join(
        f"{number} {state}"
        for state in State
        if (number := sum(row.state is state for row in unresolved))
    )
    yield _fact("unresolved", counts or "none")
    halts = ", ".join(f"{symbol} ({reason})" for symbol, reason in sorted(report.halted.items()))
    yield _fact("halted", halts or "none")
    yield from (_fact("note", note) for note in notes_of(result))
    yield _fact("requests", f"{report.requests}, of the account's rate limit")


def notes_of(result: Result) -> Iterator[str]:
    """What the comparison could not see."""
    if not result.broker.is_complete:
        yield (
            "the broker's list of orders was cut: older ones were not compared; "
            "give a later --since"
        )
    if result.not_asked:
        number = len(result.not_asked)
        yield f"{number} more orders are not in the broker's lists and were not asked for"
    if result.moving:
        yield f"traded while they were compared, so not compared: {', '.join(result.moving)}"


def rows_of(differences: Sequence[Difference]) -> list[tuple[str, ...]]:
    """Cells for WHAT, SYMBOL, LEDGER, BROKER, ORDER."""
    return [
        (WORDS[d.kind], d.symbol, d.ledger, d.broker, "" if d.kind is Kind.POSITION else d.subject)
        for d in differences
    ]


def meanings_of(differences: Sequence[Difference]) -> Iterator[str]:
    """A sentence for each kind that occurs."""
    for kind in Kind:
        if any(d.kind is kind for d in differences):
            yield f"{WORDS[kind]}: {MEANINGS[kind]}"


def as_object(report: Report) -> dict[str, Any]:
    """JSON values; decimals as text."""
    result, account = report.result, report.account
    return {
        "agrees": not result.differences,
        "ledger": report.ledger,
        "broker": report.broker,
        "since": report.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "account": {n: account.get(n) for n in ("id", "equity", "cash", "buying_power")},
        "equity_in_ledger": None
        if report.equity is None
        else {"at": report.equity.at, "equity": f"{report.equity.equity:f}"},
        "orders": dict(
            zip(("ledger", "broker", "open_here", "open_there"), _counts(result), strict=True)
        ),
        "positions": {
            "ledger": {s: f"{q:f}" for s, q in sorted(result.ledger.held.items()) if q},
            "broker": {s: f"{q:f}" for s, q in sorted(result.broker.positions.items())},
        },
        "differences": [
            {
                "kind": str(d.kind),
                "subject": d.subject,
                "symbol": d.symbol,
                "ledger": d.ledger,
                "broker": d.broker,
                "meaning": MEANINGS[d.kind],
            }
            for d in result.differences
        ],
        "halted": dict(report.halted),
        "not_compared": {"moving": result.moving, "not_asked": result.not_asked},
        "complete": result.broker.is_complete,
        "requests": report.requests,
    }


def _fact(label: str, text: str) -> str:
    return f"  {label:<10} {text}"


def _account(account: Mapping[str, Any]) -> str:
    return (
        f"equity {money(account.get('equity'))} · cash {money(account.get('cash'))}"
        f" · buying power {money(account.get('buying_power'))}"
    )


def _orders(report: Report) -> str:
    rows, orders, open_here, open_there = _counts(report.result)
    return (
        f"{rows} sent by the ledger, {orders} at the broker since {report.since:%Y-%m-%d %H:%M} UTC"
        f" · open: {open_here} here, {open_there} there"
    )


def _counts(result: Result) -> tuple[int, int, int, int]:
    """Orders here and there, whoever sent them, and how many of them are open."""
    rows, orders = result.ledger.rows.values(), result.broker.orders.values()
    here = sum(row.state not in TERMINAL for row in rows)
    there = sum(STATE_OF_STATUS.get(str(o.get("status")), State.OPEN) is State.OPEN for o in orders)
    return len(rows), len(orders), here, there


def _positions(result: Result) -> str:
    here = {symbol: qty for symbol, qty in result.ledger.held.items() if qty}
    differing = {d.symbol for d in result.differences if d.kind is Kind.POSITION}
    skipped = differing | set(result.moving)
    agreeing = sorted((here.keys() & result.broker.positions.keys()) - skipped)
    text = ", ".join(f"{symbol} {here[symbol]:f}" for symbol in agreeing[:10])
    more = f" and {len(agreeing) - 10} more" if len(agreeing) > 10 else ""
    parts = [f"{len(agreeing)} agree ({text}{more})"] if agreeing else []
    parts += [f"{len(differing)} differ"] if differing else []
    return ", ".join(parts) or "none held"
