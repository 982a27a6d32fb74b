"""The tables of the page, from a snapshot."""

from paper_exchange.page.faults import FaultState
from paper_exchange.page.model import Action, Cell, Column, Panel, Row
from paper_exchange.page.panels_market import accounts_panel, book_panel, positions_panel
from paper_exchange.page.panels_orders import ended_panel, executions_panel, open_orders_panel
from paper_exchange.page.panels_traffic import requests_panel, streams_panel
from paper_exchange.page.snapshot import Snapshot

FAULTS_URL = "/admin/page/faults"
REMOVE_FAULT_URL = "/admin/page/faults/remove"


def panels_of(snapshot: Snapshot) -> tuple[Panel, ...]:
    """All tables, in no particular order."""
    now = snapshot.now_ns
    return (
        book_panel(snapshot),
        accounts_panel(snapshot),
        positions_panel(snapshot.positions),
        open_orders_panel(snapshot.open_orders, now),
        ended_panel(snapshot.ended, now),
        executions_panel(snapshot.executions, now),
        streams_panel(snapshot.connections, now),
        requests_panel(snapshot.requests, snapshot.traffic, now),
        faults_panel(snapshot.faults),
    )


def faults_panel(faults: FaultState) -> Panel:
    """The fault rules in force, each with a button that ends it."""
    return Panel(
        id="faults",
        title="Fault rules",
        columns=(
            Column("Fault", "", "l"),
            Column("Hits", "mono", "xl"),
            Column("Options", "id", "xl"),
            Column("Struck", "num", "m"),
            Column("", "act", "m"),
        ),
        rows=tuple(
            Row(
                rule.id,
                (
                    Cell(rule.kind, "strong"),
                    Cell(rule.target, "mono", rule.target),
                    Cell(rule.options or "–", "id", rule.options),
                    Cell(f"{rule.hits:,} / {rule.matched:,}", "num", "hits / matches"),
                    Cell(
                        "",
                        "act",
                        action=Action(
                            REMOVE_FAULT_URL,
                            (("id", rule.id),),
                            "Remove",
                            f"Remove the rule {rule.kind} on {rule.target}",
                        ),
                    ),
                ),
            )
            for rule in faults.rules
        ),
        note=f"{len(faults.rules):,}",
        empty="No rule is in force: the exchange behaves well.",
    )
