"""An account's orders and executions: the newest in memory, the rest in the archive."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator

from paper_exchange.books.archive import Archive
from paper_exchange.books.fills import Fill, Traded
from paper_exchange.books.journal import Journal
from paper_exchange.books.selection import ExecutionSelection, OrderSelection
from paper_exchange.orders import Order


class Orders:
    """All orders of an account, by id; iterating goes in the order of submission.

    Open orders are always in memory. An order that is read back from the
    archive is a copy that says how it ended; nothing changes it any more.
    """

    __slots__ = ("_account_id", "_archive", "_archived_until_ns", "_by_client_id", "_kept")

    def __init__(self, account_id: str, archive: Archive | None) -> None:
        self._account_id = account_id
        self._archive = archive
        self._kept: dict[str, Order] = {}
        self._by_client_id: dict[str, Order] = {}
        #: Submission time of the newest order in the archive, None while that is empty.
        self._archived_until_ns: int | None = None

    def add(self, order: Order) -> None:
        """A new order, later than all others."""
        self._kept[order.id] = order
        self._by_client_id[order.client_order_id] = order

    def forget(self, order: Order) -> None:
        """An order has been archived and leaves memory."""
        del self._kept[order.id]
        del self._by_client_id[order.client_order_id]
        self.note_archived(order.submitted_ns)

    def note_archived(self, submitted_ns: int) -> None:
        """The archive has an order that was submitted then."""
        self._archived_until_ns = max(submitted_ns, self._archived_until_ns or 0)

    def get(self, order_id: str) -> Order | None:
        """An order by its id."""
        order = self._kept.get(order_id)
        if order is None and self._archive is not None and self._archived_until_ns is not None:
            return self._archive.order(self._account_id, order_id)
        return order

    def __getitem__(self, order_id: str) -> Order:
        order = self.get(order_id)
        if order is None:
            raise KeyError(order_id)
        return order

    def __contains__(self, order_id: str) -> bool:
        return self.get(order_id) is not None

    def __iter__(self) -> Iterator[Order]:
        return self.select(OrderSelection(), self._kept.values())

    def with_client_id(self, client_order_id: str) -> Order | None:
        """An order by the client's id."""
        order = self._by_client_id.get(client_order_id)
        if order is None and self._archive is not None and self._archived_until_ns is not None:
            return self._archive.order_by_client_id(self._account_id, client_order_id)
        return order

    def has_client_id(self, client_order_id: str) -> bool:
        """Whether a client id is taken."""
        return client_order_id in self._by_client_id or (
            self._archive is not None
            and self._archived_until_ns is not None
            and self._archive.has_client_id(self._account_id, client_order_id)
        )

    def select(
        self, wanted: OrderSelection, kept: Iterable[Order] | None = None
    ) -> Iterator[Order]:
        """The orders wanted, in the direction wanted; ``kept`` are the candidates in memory."""
        candidates = list(self._kept.values() if kept is None else kept)
        if wanted.descending:
            candidates.reverse()
        here = filter(wanted.takes, candidates)
        archive, until_ns = self._archive, self._archived_until_ns
        if archive is None or until_ns is None or wanted.status == "open":
            return here
        there = archive.orders(self._account_id, wanted, until_ns, self._kept)
        return heapq.merge(here, there, key=_number, reverse=wanted.descending)


def _number(order: Order) -> int:
    return order.number


class ClientIds:
    """The same orders by the client's ids."""

    __slots__ = ("_orders",)

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def get(self, client_order_id: str) -> Order | None:
        """An order by the client's id."""
        return self._orders.with_client_id(client_order_id)

    def __contains__(self, client_order_id: str) -> bool:
        return self._orders.has_client_id(client_order_id)


class Executions:
    """All executions of an account; iterating goes from the oldest to the newest."""

    __slots__ = ("_account_id", "_archive", "_archived", "_journal", "_recent")

    def __init__(self, account_id: str, journal: Journal, archive: Archive | None) -> None:
        self._account_id = account_id
        self._journal = journal
        self._archive = archive
        self._archived = 0
        self._recent: deque[tuple[int, Fill]] = deque()

    def append(self, fill: Fill) -> None:
        """Something was executed just now."""
        self._recent.append((self._journal.execution(self._account_id, fill), fill))

    def restore(self, recent: Iterable[tuple[int, Fill]], archived: int) -> None:
        """Begin with the newest ones, oldest first, and so many others in the archive."""
        self._recent = deque(recent)
        self._archived = archived

    def forget_oldest(self) -> None:
        """The oldest one in memory has been archived and leaves it."""
        self._recent.popleft()
        self._archived += 1

    def __len__(self) -> int:
        return self._archived + len(self._recent)

    def __iter__(self) -> Iterator[Fill]:
        return self.select(ExecutionSelection())

    def place(self, execution_id: str) -> tuple[int, int] | None:
        """Number and time of an execution, for ``ExecutionSelection.past``."""
        for number, fill in self._recent:
            if fill.id == execution_id:
                return number, fill.at_ns
        if self._archive is None or not self._archived:
            return None
        return self._archive.execution(self._account_id, execution_id)

    def select(self, wanted: ExecutionSelection) -> Iterator[Fill]:
        """The executions wanted, in the direction wanted."""
        if not wanted.descending:
            yield from self._old(wanted)
        recent = list(self._recent)
        if wanted.descending:
            recent.reverse()
        for number, fill in recent:
            if wanted.takes(number, fill):
                yield fill
        if wanted.descending:
            yield from self._old(wanted)

    def traded(self, after_ns: int, until_ns: int) -> Iterator[Traded]:
        """What was executed in ``(after_ns, until_ns]``, in no particular order."""
        for _, fill in self._recent:
            if after_ns < fill.at_ns <= until_ns:
                yield Traded(fill.symbol, fill.side, fill.price, fill.qty)
        if self._archive is not None and self._archived:
            before = self._oldest_recent
            yield from self._archive.traded(self._account_id, after_ns, until_ns, before)

    def last_ns(self, until_ns: int) -> int | None:
        """The time of the newest execution at or before ``until_ns``."""
        for _, fill in reversed(self._recent):
            if fill.at_ns <= until_ns:
                return fill.at_ns
        if self._archive is None or not self._archived:
            return None
        return self._archive.last_execution_ns(self._account_id, until_ns, self._oldest_recent)

    @property
    def _oldest_recent(self) -> int | None:
        """The number of the oldest one in memory; all before it are in the archive."""
        return self._recent[0][0] if self._recent else None

    def _old(self, wanted: ExecutionSelection) -> Iterator[Fill]:
        if self._archive is None or not self._archived:
            return iter(())
        return self._archive.executions(self._account_id, wanted, self._oldest_recent)
