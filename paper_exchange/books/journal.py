"""What has changed since the last write: noted by accounts and engine, written by the store."""

from collections import deque

from paper_exchange.books.fills import Fill
from paper_exchange.orders import Order


class Journal:
    """A notebook without I/O.

    Without a state file (``everything`` is False) only what the archive must
    know is noted: which orders have ended and what was executed, oldest first.

    Attributes:
        orders, accounts, positions, prices: what a state file does not know yet.
        stepped: nor does it know how far a stepped clock was moved.
        unwritten: the executions it does not know yet.
        closed, executed: what is still in memory and may leave it for the archive.
        last_order, last_execution: the numbers given last; both count over all accounts.
    """

    def __init__(self, *, everything: bool = False) -> None:
        self.everything = everything
        self.orders: dict[str, Order] = {}
        self.accounts: set[str] = set()
        self.positions: set[tuple[str, str]] = set()
        self.prices: set[str] = set()
        self.stepped = False
        self.unwritten: list[tuple[int, str, Fill]] = []
        self.closed: deque[Order] = deque()
        self.executed: deque[tuple[int, str, Fill]] = deque()
        self.last_order = 0
        self.last_execution = 0

    def next_order(self) -> int:
        """The place of a new order in the order of submission."""
        self.last_order += 1
        return self.last_order

    def order(self, order: Order) -> None:
        """An order is new or has changed."""
        if self.everything:
            self.orders[order.id] = order

    def close(self, order: Order) -> None:
        """An order has reached its end."""
        self.closed.append(order)
        if self.everything:
            self.orders[order.id] = order

    def execution(self, account_id: str, fill: Fill) -> int:
        """Something was executed; returns its number."""
        self.last_execution += 1
        entry = (self.last_execution, account_id, fill)
        self.executed.append(entry)
        if self.everything:
            self.unwritten.append(entry)
        return self.last_execution

    def account(self, account_id: str) -> None:
        """An account is new, or its cash or configuration has changed."""
        if self.everything:
            self.accounts.add(account_id)

    def position(self, account_id: str, asset_id: str) -> None:
        """A position has changed, begun or ended."""
        if self.everything:
            self.positions.add((account_id, asset_id))

    def price(self, symbol: str) -> None:
        """A price was set or let go by hand."""
        if self.everything:
            self.prices.add(symbol)

    def step(self) -> None:
        """A stepped clock was moved."""
        self.stepped = self.everything

    @property
    def pending(self) -> bool:
        """Whether a state file has to be written."""
        changes = (self.orders, self.accounts, self.positions, self.unwritten, self.prices)
        return self.stepped or any(changes)

    def written(self) -> None:
        """All of it has been written."""
        self.orders.clear()
        self.accounts.clear()
        self.positions.clear()
        self.unwritten.clear()
        self.prices.clear()
        self.stepped = False
