"""What all builders build on."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import redis

from solution.clock import Clock
from solution.config import Settings
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX
from solution.ledger.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One instance, its settings and the account that it trades on.

    Args:
        settings: validated, tickers as the broker spells them.
        ledger: its lease is ours, and it is bound to the account.
        account_id: the account behind the keys.
        deployment: what tells our orders from any other's on the account.
        consumer: this instance's name in the consumer group; new at each start.
        stop: ends waiting within parts.
        clock: of all parts.
        connect: makes a new client of the configured Redis.
    """

    settings: Settings
    ledger: Store
    account_id: str
    deployment: str
    consumer: str
    stop: threading.Event
    clock: Clock
    connect: Callable[[], "redis.Redis"]

    @property
    def prefix(self) -> str:
        """What every client_order_id of ours begins with."""
        return f"{CLIENT_ORDER_ID_PREFIX}-{self.deployment}-"

    def is_ours(self, client_order_id: str) -> bool:
        """Whether an order is of this deployment, by its id."""
        return client_order_id.startswith(self.prefix)
