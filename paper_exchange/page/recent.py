"""What ended and what was executed last, kept in passing so that nobody has to search for it."""

from collections import deque
from collections.abc import Sequence
from heapq import nlargest
from itertools import islice

from paper_exchange.books.accounts import Account
from paper_exchange.books.fills import Fill
from paper_exchange.books.selection import ExecutionSelection, OrderSelection
from paper_exchange.engine.events import Execution, TradeEvent
from paper_exchange.orders import Order

_ENDINGS = frozenset({"fill", "canceled", "expired", "rejected", "replaced"})
_CLOSED = OrderSelection(status="closed", descending=True)
_EXECUTIONS = ExecutionSelection(descending=True)
#: Accounts that are looked through for what happened in an earlier run; each may be on disk.
_ACCOUNTS = 100


class Recent:
    """The newest ended orders and executions of all accounts; one of the engine's sinks.

    It hears every event while orders are submitted, so it does no more than
    keep references.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ended: deque[Order] = deque(maxlen=limit)
        self._executions: deque[TradeEvent] = deque(maxlen=limit)
        self._recalled = False

    def hear(self, event: TradeEvent) -> None:
        """Take note of an event."""
        if event.execution is not None:
            self._executions.append(event)
        if event.event in _ENDINGS:
            self._ended.append(event.order)

    def ended(self) -> list[Order]:
        """The newest first."""
        return list(reversed(self._ended))

    def executions(self) -> list[TradeEvent]:
        """The newest first."""
        return list(reversed(self._executions))

    def recall(self, accounts: Sequence[Account]) -> None:
        """Put what the first of these accounts brought along from earlier before what was heard.

        The first call does it, the others nothing.
        """
        if self._recalled:
            return
        self._recalled = True
        heard = {order.id for order in self._ended}
        ended: list[Order] = []
        fills: list[tuple[Account, Fill]] = []
        for account in accounts[:_ACCOUNTS]:
            ended += islice(account.orders.select(_CLOSED), self._limit)
            newest = islice(account.fills.select(_EXECUTIONS), self._limit)
            fills += ((account, fill) for fill in newest)
        before = [order for order in ended if order.id not in heard]
        newest_ended = nlargest(self._limit, before, key=lambda order: order.updated_ns)
        self._ended = deque([*reversed(newest_ended), *self._ended], self._limit)
        self._executions = deque([*self._told_before(fills), *self._executions], self._limit)

    def _told_before(self, fills: list[tuple[Account, Fill]]) -> list[TradeEvent]:
        """The newest executions that were not heard, oldest first."""
        heard = {event.execution_id for event in self._executions}
        before = [(account, fill) for account, fill in fills if _execution_id(fill) not in heard]
        newest = nlargest(self._limit, before, key=lambda one: one[1].at_ns)
        return [_event_of(account, fill) for account, fill in reversed(newest)]


def _execution_id(fill: Fill) -> str:
    return fill.id.rpartition("::")[2]


def _event_of(account: Account, fill: Fill) -> TradeEvent:
    return TradeEvent(
        event="partial_fill" if fill.leaves_qty else "fill",
        order=account.orders[fill.order_id],
        at_ns=fill.at_ns,
        sequence=0,
        execution_id=_execution_id(fill),
        # What was held afterwards is not kept with a fill, and not shown here.
        execution=Execution(fill.price, fill.qty, fill.qty),
    )
