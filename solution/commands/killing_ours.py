"""Which orders at the broker are ours, for a command that has the ledger and no running service."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from solution.clock import Clock
from solution.commands.common import clean
from solution.config import Settings
from solution.domain import legs
from solution.domain.order_state import STATE_OF_STATUS, decimal_or_none
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX, deployment_id
from solution.domain.reasons import Reason
from solution.domain.records import TERMINAL, Intent, State
from solution.errors import ConfigError, LedgerError, NotFound
from solution.ledger import open_reader
from solution.rate_limiter import Priority
from solution.trading.legs import ENOUGH, MARK
from solution.trading.verdicts import unanswered

ASK_EVERY = 1.0
ABSENT_ENOUGH = 3
"""Answers that the broker has no such order, from which on only time can tell."""
_DOUBTFUL = frozenset({State.SUBMITTING, State.UNKNOWN, State.EXPIRED_UNCONFIRMED})
_OPEN = (*_DOUBTFUL, State.OPEN)


class AskingDesk(Protocol):
    """The part of the wrapper that this module needs."""

    def lookup(self, client_order_id: str, priority: Priority) -> Mapping[str, Any]: ...
    def order(
        self, order_id: str, priority: Priority, *, nested: bool = False
    ) -> Mapping[str, Any]: ...


class OursInLedger:
    """What the service would know of its orders, as far as the ledger has it. For one thread.

    The broker makes the ids of a bracket's legs. Where a process died before it had learned them,
    the ledger has a mark, or a row whose POST was not answered: both are asked for here.

    Args:
        rows: of orders that were not at their end.
        marks: client_order_id → the broker's id of entry orders whose legs are not known.
        alone: every order of the account is to go.
        blind: why the ledger could not be read; "" when it was.
    """

    def __init__(
        self,
        desk: AskingDesk,
        clock: Clock,
        prefix: str,
        rows: Iterable[Intent] = (),
        marks: Mapping[str, str] | None = None,
        *,
        alone: bool = False,
        blind: str = "",
    ) -> None:
        rows = list(rows)
        self._desk = desk
        self._clock = clock
        self._prefix = prefix
        self._names = {row.client_order_id for row in rows}
        # What stands under the id of a conflict is not ours, and known.
        self._doubtful = {
            row.client_order_id: row
            for row in rows
            if row.state in _DOUBTFUL and row.reason != Reason.ID_CONFLICT
        }
        self._marks = dict(marks or {})
        self._asked: dict[str, int] = {}
        self._ask_at = float("-inf")
        self.alone = alone
        self.blind = "" if alone else blind

    def has(self, order: Mapping[str, Any]) -> bool:
        """Whether an order of the broker's is ours."""
        name = str(order.get("client_order_id") or "")
        return self.alone or name.startswith(self._prefix) or name in self._names

    def count_unclear(self) -> int:
        """How many orders are still asked for, and brackets whose legs are."""
        return len(self._marks) + sum(
            row.state is not State.EXPIRED_UNCONFIRMED and self._asked.get(coid, 0) < ABSENT_ENOUGH
            for coid, row in self._doubtful.items()
        )

    def late(self) -> list[str]:
        """Orders that the broker did not have, in words: they may still arrive."""
        return [unanswered(row) for row in self._doubtful.values()]

    def settle(self) -> None:
        """Ask for what is not known, no more often than once a second.

        Raises:
            BrokerError: it did not answer.
        """
        now = self._clock.monotonic()
        if now < self._ask_at:
            return
        for coid, row in list(self._doubtful.items()):
            self._look_up(coid, row)
        for coid, order_id in list(self._marks.items()):
            self._learn(coid, order_id)
        self._ask_at = now + ASK_EVERY

    def _look_up(self, coid: str, row: Intent) -> None:
        try:
            order = self._desk.lookup(coid, Priority.LOOKUP)
        except NotFound:
            self._asked[coid] = self._asked.get(coid, 0) + 1
            return
        del self._doubtful[coid]
        if legs.has_legs(row, order):
            self._asked.pop(coid, None)
            self._marks[coid] = str(order.get("id"))

    def _learn(self, coid: str, order_id: str) -> None:
        order: Mapping[str, Any] = {}
        with contextlib.suppress(NotFound):
            order = self._desk.order(order_id, Priority.LOOKUP, nested=True)
        listed = [leg for leg in order.get("legs") or () if isinstance(leg, dict)]
        self._names.update(legs.client_order_id_of(leg) for leg in listed)
        self._asked[coid] = self._asked.get(coid, 0) + 1
        if listed or _ended_empty(order) or self._asked[coid] >= ENOUGH:
            del self._marks[coid]


def _ended_empty(order: Mapping[str, Any]) -> bool:
    """With nothing filled its legs never began."""
    state = STATE_OF_STATUS.get(str(order.get("status")), State.OPEN)
    return state in TERMINAL and not decimal_or_none(order.get("filled_qty"))


def ours_in_ledger(
    settings: Settings, account: str, desk: AskingDesk, clock: Clock
) -> OursInLedger:
    """Read it. Without a ledger, what carries our prefix is ours."""
    alone = settings.broker.exclusive_account and not settings.gates.dry_run
    prefix = f"{CLIENT_ORDER_ID_PREFIX}-{deployment_id(account, settings.redis.group)}-"
    try:
        with open_reader(settings.ledger.url) as reader:
            rows = reader.list_intents(100_000, _OPEN)
            found = reader.states(MARK)
    except (ConfigError, LedgerError) as e:
        return OursInLedger(desk, clock, prefix, alone=alone, blind=clean(settings, e))
    marks = {key.removeprefix(MARK): order_id for key, order_id in found.items()}
    return OursInLedger(desk, clock, prefix, rows, marks, alone=alone)
