"""The tables of who is connected and what was asked."""

from paper_exchange.page.cells import ACCOUNT, CLIENT_ID, id_cell, shown_of, time_cell
from paper_exchange.page.model import Cell, Column, Panel, Row
from paper_exchange.page.snapshot import ConnectionLine, RequestLine, Some, Traffic
from paper_exchange.witness import ANSWERED, Seen

#: Subscriptions that are named; a client may have thousands.
_MOST_SUBJECTS = 20


def streams_panel(connections: Some[ConnectionLine], now_ns: int) -> Panel:
    """Who is connected, who of them said who it is, and how far behind each is."""
    return Panel(
        id="streams",
        title="Stream clients",
        columns=(
            Column("Stream", "", "l"),
            ACCOUNT,
            Column("Listens to", "", "l"),
            Column("Behind", "num", "s"),
            Column("Since", "time", "l"),
            Column("User-Agent", "id", "xl"),
        ),
        rows=tuple(
            Row(
                str(line.connection.arrival.number),
                (
                    Cell(line.connection.endpoint),
                    Cell("not signed in", "dim") if line.account is None else id_cell(line.account),
                    _subjects(line.connection.subjects),
                    Cell(f"{line.connection.waiting:,}", "num", "messages not yet taken"),
                    time_cell(line.connection.arrival.since_ns, now_ns),
                    id_cell(line.connection.arrival.agent or "–"),
                ),
            )
            for line in connections.rows
        ),
        note=shown_of(len(connections.rows), connections.total),
        empty="Nobody is connected to a stream.",
    )


def _subjects(subjects: tuple[str, ...]) -> Cell:
    text = ", ".join(subjects[:_MOST_SUBJECTS]) or "nothing"
    return Cell(text, "" if subjects else "dim", text)


def _fault(seen: Seen) -> Cell:
    """What struck the request, and whether it was carried out all the same."""
    if seen.outcome == ANSWERED:
        return Cell("")
    carried_out = "carried out" if seen.taken else "not carried out"
    return Cell(seen.outcome.replace("_", " "), "struck", carried_out)


def _outcomes(traffic: Traffic) -> str:
    if not traffic.sampled:
        return "0"
    parts = [f"{traffic.fine:,} fine"]
    for number, what in (
        (traffic.refused, "refused"),
        (traffic.limited, "over the limit"),
        (traffic.failed, "failed"),
        (traffic.struck, "struck by faults"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    of = "" if traffic.sampled == traffic.total else f"last {traffic.sampled:,}: "
    return of + ", ".join(parts)


def requests_panel(lines: tuple[RequestLine, ...], traffic: Traffic, now_ns: int) -> Panel:
    """What was asked of the trading API, and how it was answered."""
    return Panel(
        id="requests",
        title="Requests",
        columns=(
            Column("Time", "time", "l"),
            Column("Status", "num", "s"),
            Column("Method", "mono", "m"),
            Column("Path", "id", "xxl"),
            Column("Fault", "", "l"),
            ACCOUNT,
            CLIENT_ID,
        ),
        rows=tuple(
            Row(
                str(line.seen.index),
                (
                    time_cell(line.seen.at_ns, now_ns),
                    Cell(str(line.seen.status or "–"), f"num code{line.seen.status // 100}"),
                    Cell(line.seen.method, "mono"),
                    id_cell(line.seen.path),
                    _fault(line.seen),
                    id_cell(line.account),
                    id_cell(line.seen.client_order_id or "–"),
                ),
            )
            for line in lines
        ),
        note=_outcomes(traffic),
        empty="No trading request yet.",
    )
