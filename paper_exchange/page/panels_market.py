"""The tables of prices, money and holdings."""

from paper_exchange.page.cells import ACCOUNT, gain_cell, id_cell, shown_of
from paper_exchange.page.model import Action, Cell, Column, Panel, Row
from paper_exchange.page.snapshot import PositionLine, QuoteLine, Snapshot, Some
from paper_exchange.page.words import money, price, quantity

PRICES_URL = "/admin/page/prices"


def book_panel(snapshot: Snapshot) -> Panel:
    """Quotes and last trades, and which prices are held by hand."""
    return Panel(
        id="book",
        title="Book",
        columns=(
            Column("Symbol", "", "l"),
            Column("Bid size", "num", "s"),
            Column("Bid", "num", "m"),
            Column("Ask", "num", "m"),
            Column("Ask size", "num", "s"),
            Column("Last", "num", "m"),
            Column("Held", "act", "xl"),
        ),
        rows=tuple(_quote(line) for line in snapshot.quotes),
        note="examples; no symbol is in use" if snapshot.examples else f"{len(snapshot.quotes)}",
    )


def _quote(line: QuoteLine) -> Row:
    quote = line.quote
    release = Action(
        PRICES_URL,
        (("symbol", quote.symbol), ("price", "")),
        "Let go",
        f"Let the price of {quote.symbol} move again",
    )
    return Row(
        quote.symbol,
        (
            Cell(quote.symbol, "sym"),
            Cell(f"{quote.bid_size:,}", "num dim"),
            Cell(price(quote.bid), "num"),
            Cell(price(quote.ask), "num"),
            Cell(f"{quote.ask_size:,}", "num dim"),
            Cell(price(quote.last), "num strong"),
            Cell("held", "held act", "", release) if line.held else Cell("", "act"),
        ),
    )


def accounts_panel(snapshot: Snapshot) -> Panel:
    """What each key pair has."""
    accounts = snapshot.accounts
    return Panel(
        id="accounts",
        title="Accounts",
        columns=(
            Column("Key id", "id", "xl"),
            Column("Equity", "num", "l"),
            Column("Today", "num", "m"),
            Column("Cash", "num", "l"),
            Column("Buying power", "num", "l"),
            Column("Open", "num", "xs"),
            Column("Fills", "num", "s"),
        ),
        rows=tuple(
            Row(
                line.id,
                (
                    Cell(line.name, "id", f"{line.name}, account {line.number}"),
                    Cell(money(line.equity), "num strong"),
                    gain_cell(line.day_change),
                    Cell(money(line.cash), "num"),
                    Cell(money(line.buying_power), "num"),
                    Cell(f"{line.open_orders:,}", "num"),
                    Cell(f"{line.fills:,}", "num"),
                ),
            )
            for line in accounts.rows
        ),
        note=shown_of(len(accounts.rows), accounts.total),
        empty="No account yet. The first request with a key pair opens one.",
    )


def positions_panel(positions: Some[PositionLine]) -> Panel:
    """What is held, marked to the last trades."""
    return Panel(
        id="positions",
        title="Positions",
        columns=(
            Column("Symbol", "", "l"),
            Column("Quantity", "num", "l"),
            Column("Entry", "num", "m"),
            Column("Last", "num", "m"),
            Column("Value", "num", "l"),
            Column("Gain", "num", "m"),
            ACCOUNT,
        ),
        rows=tuple(
            Row(
                f"{line.account_id} {line.symbol}",
                (
                    Cell(line.symbol, "sym"),
                    Cell(quantity(line.qty), "num strong"),
                    Cell(price(line.entry), "num"),
                    Cell(price(line.last), "num"),
                    Cell(money(line.value), "num"),
                    gain_cell(line.gain),
                    id_cell(line.account),
                ),
            )
            for line in positions.rows
        ),
        note=shown_of(len(positions.rows), positions.total, "first"),
        empty="No positions.",
    )
