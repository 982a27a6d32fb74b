"""The tables of orders and executions."""

from decimal import Decimal

from paper_exchange.orders import Order
from paper_exchange.page.cells import (
    ACCOUNT,
    CLIENT_ID,
    id_cell,
    shown_of,
    side_cell,
    time_cell,
)
from paper_exchange.page.model import Cell, Column, Panel, Row
from paper_exchange.page.snapshot import ExecutionLine, OrderLine, Some
from paper_exchange.page.words import money, price, quantity

_ORDER = (
    Column("Symbol", "", "l"),
    Column("Side", "", "xs"),
    Column("Quantity", "num", "l"),
    Column("Filled", "num", "l"),
)
_STATE = (
    Column("Terms", "", "xl"),
    Column("Status", "", "xl"),
)


def open_orders_panel(orders: Some[OrderLine], now_ns: int) -> Panel:
    """What waits in the market or for it."""
    return Panel(
        id="open-orders",
        title="Open orders",
        columns=(
            *_ORDER,
            Column("Price", "num", "l"),
            *_STATE,
            Column("Submitted", "time", "l"),
            ACCOUNT,
            CLIENT_ID,
        ),
        rows=tuple(
            _order(line, _limits(line.order), time_cell(line.order.submitted_ns, now_ns))
            for line in orders.rows
        ),
        note=shown_of(len(orders.rows), orders.total),
        empty="No order is open.",
    )


def ended_panel(orders: tuple[OrderLine, ...], now_ns: int) -> Panel:
    """What was filled, canceled, rejected or replaced, or has expired."""
    return Panel(
        id="ended-orders",
        title="Ended orders",
        columns=(
            *_ORDER,
            Column("Average", "num", "l"),
            *_STATE,
            Column("Ended", "time", "l"),
            ACCOUNT,
            CLIENT_ID,
        ),
        rows=tuple(
            _order(
                line,
                Cell(price(line.order.filled_avg_price), "num"),
                time_cell(line.order.updated_ns, now_ns),
            )
            for line in orders
        ),
        note=f"newest {len(orders)}" if orders else "0",
        empty="No order has ended yet.",
    )


def _order(line: OrderLine, at: Cell, when: Cell) -> Row:
    order = line.order
    amount = order.notional or Decimal(0)
    asked = quantity(order.qty) if order.qty is not None else f"${money(amount)}"
    cells = (
        Cell(order.asset.symbol, "sym"),
        side_cell(order.side),
        Cell(asked, "num strong"),
        Cell(quantity(order.filled_qty), "num"),
        at,
        Cell(_terms(order), "dim", _terms(order)),
        Cell(order.status.replace("_", " "), f"status {order.status}"),
        when,
        id_cell(line.account),
        id_cell(order.client_order_id),
    )
    return Row(order.id, cells)


def _terms(order: Order) -> str:
    """``stop limit gtc``, with its class if it belongs to others."""
    words = (order.type.replace("_", " "), order.time_in_force, order.order_class)
    return " ".join(word for word in words if word)


def _limits(order: Order) -> Cell:
    """The price an order waits for: stop, limit, or the distance that it trails by."""
    parts = [price(order.stop_price)] if order.stop_price is not None else []
    if order.limit_price is not None:
        parts.append(price(order.limit_price))
    if order.trail_percent is not None:
        parts.append(f"{quantity(order.trail_percent)} %")
    if order.trail_price is not None:
        parts.append(f"±{price(order.trail_price)}")
    return Cell(" / ".join(parts) or "–", "num")


def executions_panel(lines: tuple[ExecutionLine, ...], now_ns: int) -> Panel:
    """What was traded."""
    return Panel(
        id="executions",
        title="Executions",
        columns=(
            Column("Symbol", "", "l"),
            Column("Side", "", "xs"),
            Column("Quantity", "num", "l"),
            Column("Price", "num", "m"),
            Column("Amount", "num", "l"),
            Column("Time", "time", "l"),
            ACCOUNT,
        ),
        rows=tuple(row for line in lines for row in _execution(line, now_ns)),
        note=f"newest {len(lines)}" if lines else "0",
        empty="Nothing has been executed yet.",
    )


def _execution(line: ExecutionLine, now_ns: int) -> tuple[Row, ...]:
    event, execution = line.event, line.event.execution
    if execution is None:
        return ()
    cells = (
        Cell(event.order.asset.symbol, "sym"),
        side_cell(event.order.side),
        Cell(quantity(execution.qty), "num strong"),
        Cell(price(execution.price), "num"),
        Cell(money(execution.qty * execution.price), "num"),
        time_cell(event.at_ns, now_ns),
        id_cell(line.account),
    )
    return (Row(event.execution_id, cells),)
