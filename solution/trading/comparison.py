"""Reads both sides for :mod:`solution.trading.compare`, with a handful of requests."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from solution.clock import Clock, Deadline, SystemClock
from solution.domain.crypto import book_symbol
from solution.domain.legs import is_leg
from solution.domain.order_state import decimal_or_none
from solution.domain.records import TERMINAL, Intent, State, Trade
from solution.errors import NotFound
from solution.trading import compare
from solution.trading.compare import BrokerSide, Difference, Kind, LedgerSide

PAGE = 500
MOST_PAGES = 10
"""Of one list: 5,000 orders, newest first."""
MOST_ASKED = 20
"""Orders asked for one by one."""
MOST_AGAIN = 50
"""Rows read one by one for the second reading; beyond that the whole ledger is read again."""
SETTLE = 2.0
"""Seconds a running service gets to write down what the broker already knows."""
LOOK_EVERY = 0.2
ALL = 10_000_000
_OPEN = tuple(state for state in State if state not in TERMINAL)


class Rows(Protocol):
    """What is asked of the ledger."""

    def list_intents(
        self, limit: int = 50, states: Iterable[State] | None = None
    ) -> list[Intent]: ...

    def find_intents(self, key: str) -> list[Intent]: ...

    def list_trades(self, client_order_id: str = "", limit: int = 500) -> list[Trade]: ...


class Broker(Protocol):
    """What is asked of the broker: GETs only."""

    def list_orders(
        self,
        *,
        status: Literal["open", "closed", "all"] = "open",
        after: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int = PAGE,
        direction: Literal["asc", "desc"] = "desc",
    ) -> list[dict[str, Any]]: ...

    def get_order_by_client_id(self, client_order_id: str) -> Mapping[str, Any]: ...

    def positions(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Both sides, and what is not the same.

    Args:
        moving: symbols that traded while they were compared; their positions are left out.
        not_asked: client_order_ids beyond MOST_ASKED that stayed unexplained.
        requests: how many the broker was sent.
    """

    ledger: LedgerSide
    broker: BrokerSide
    differences: list[Difference]
    moving: list[str]
    not_asked: list[str]
    requests: int


class Comparison:
    """One comparison; made for one use.

    Args:
        prefix: with which this deployment's client_order_ids begin.
        since: ended orders are compared from here on; open ones whatever their age.
        with_positions: whether a position that differs is a difference.
        settle: seconds to wait for a running service before a difference counts.

    Every method may raise LedgerError or BrokerError.
    """

    def __init__(
        self,
        rows: Rows,
        broker: Broker,
        *,
        prefix: str,
        since: datetime,
        with_positions: bool = True,
        settle: float = SETTLE,
        clock: Clock | None = None,
    ) -> None:
        self._rows = rows
        self._broker = broker
        self._prefix = prefix
        self._since = since
        self._with_positions = with_positions
        self._settle = settle
        self._clock = clock or SystemClock()
        self._requests = 0

    def run(self) -> Result:
        """Read ledger, broker, ledger, and compare."""
        before = self._ledger()
        broker, not_asked = self._ask(before)
        first = self._compared(before, broker)
        after, found = before, first
        deadline, tick = Deadline(self._settle, self._clock), threading.Event()
        while found and not deadline.passed():
            tick.wait(min(LOOK_EVERY, deadline.left()))
            after = self._again(before, first)
            found = compare.agreed(first, self._compared(after, broker))
        moving = compare.moved(before, after)
        kept = [d for d in found if d.kind is not Kind.POSITION or d.symbol not in moving]
        return Result(
            ledger=after,
            broker=broker,
            differences=kept,
            moving=sorted(moving & {d.symbol for d in found if d.kind is Kind.POSITION}),
            not_asked=not_asked,
            requests=self._requests,
        )

    def _compared(self, ledger: LedgerSide, broker: BrokerSide) -> list[Difference]:
        found = compare.compared(ledger, broker, self._prefix)
        return [d for d in found if self._with_positions or d.kind is not Kind.POSITION]

    # --- the ledger ---------------------------------------------------------------------------

    def _ledger(self) -> LedgerSide:
        since_ms = int(self._since.timestamp() * 1000)
        rows = {row.client_order_id: row for row in self._rows.list_intents(ALL, _OPEN)}
        rows.update(
            (row.client_order_id, row)
            for row in self._recent(since_ms)
            if row.submitted_ms or is_leg(row)  # the broker made it, so it was never sent
        )
        return compare.ledger_side(rows.values(), self._rows.list_trades(limit=ALL))

    def _again(self, before: LedgerSide, differences: list[Difference]) -> LedgerSide:
        """The ledger once more, as far as it decides whether these are differences."""
        ids = {d.subject for d in differences if d.kind is not Kind.POSITION}
        if len(ids) > MOST_AGAIN:
            return self._ledger()
        found = [row for coid in ids for row in self._rows.find_intents(coid)]
        rows = {row.client_order_id: row for row in found if row.client_order_id in ids}
        filled = compare.ledger_side(
            (), (trade for coid in rows for trade in self._rows.list_trades(coid, ALL))
        ).filled
        held = before.held
        if len(ids) < len(differences):
            held = compare.ledger_side((), self._rows.list_trades(limit=ALL)).held
        return LedgerSide(
            rows={**before.rows, **rows}, filled={**before.filled, **filled}, held=held
        )

    def _recent(self, since_ms: int) -> list[Intent]:
        """Rows made since then; the ledger lists them newest first."""
        limit = 1_000
        while True:
            rows = self._rows.list_intents(limit)
            if len(rows) < limit or rows[-1].created_ms < since_ms:
                return [row for row in rows if row.created_ms >= since_ms]
            limit *= 16

    # --- the broker ---------------------------------------------------------------------------

    def _ask(self, ledger: LedgerSide) -> tuple[BrokerSide, list[str]]:
        open_orders, all_open = self._list("open", None)
        since = self._since - timedelta(milliseconds=compare.CLOCKS_DIFFER_MS)
        listed, is_complete = self._list("all", since)
        # What ended between the two lists stands in the second as it is now.
        orders = {str(o.get("client_order_id")): o for o in (*open_orders, *listed)}
        side = BrokerSide(
            orders=orders,
            since_ms=int(self._since.timestamp() * 1000),
            is_complete=is_complete and all_open,
        )
        found, absent, not_asked = self._one_by_one(ledger, side)
        # Positions last: the reading of the ledger that follows is the nearest to them.
        side = replace(
            side, orders=orders | found, absent=frozenset(absent), positions=self._positions()
        )
        return side, not_asked

    def _list(
        self, status: Literal["open", "all"], after: datetime | None
    ) -> tuple[list[dict[str, Any]], bool]:
        """Newest first, page by page; and whether that was all of them."""
        found: dict[str, dict[str, Any]] = {}
        until: datetime | None = None
        for _ in range(MOST_PAGES):
            self._requests += 1
            page = self._broker.list_orders(
                status=status, after=after, until=until, limit=PAGE, direction="desc"
            )
            fresh = [order for order in page if str(order.get("id")) not in found]
            found.update((str(order.get("id")), order) for order in page)
            if len(page) < PAGE:
                return list(found.values()), True
            oldest = _instant(page[-1].get("submitted_at") or page[-1].get("created_at"))
            if not fresh or oldest is None:
                break
            # `until` is exclusive: orders of one instant may straddle the page's end.
            until = oldest + timedelta(milliseconds=1)
        return list(found.values()), False

    def _one_by_one(
        self, ledger: LedgerSide, side: BrokerSide
    ) -> tuple[dict[str, Mapping[str, Any]], list[str], list[str]]:
        ids = [row.client_order_id for row in compare.must_be_asked(ledger, side)]
        found: dict[str, Mapping[str, Any]] = {}
        absent = []
        for coid in ids[:MOST_ASKED]:
            self._requests += 1
            try:
                found[coid] = self._broker.get_order_by_client_id(coid)
            except NotFound:
                absent.append(coid)
        return found, absent, ids[MOST_ASKED:]

    def _positions(self) -> dict[str, Decimal]:
        self._requests += 1
        return {
            book_symbol(row): decimal_or_none(row.get("qty")) or Decimal(0)
            for row in self._broker.positions()
        }


def _instant(text: object) -> datetime | None:
    """The broker's time; None when unreadable."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None
