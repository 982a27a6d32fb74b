"""What the ledger remembers, as the parts ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from solution.book.positions import Portfolio
from solution.building.ground import Ground
from solution.domain.orders import client_order_id
from solution.domain.records import EntryRef, Trade
from solution.feeds.signal_listener import Fields
from solution.trading import recovery
from solution.trading.duplicates import Duplicates
from solution.trading.recovery import ListDesk


@dataclass(frozen=True, slots=True)
class History:
    """Questions to the ledger; long ones have a reader of their own."""

    ground: Ground

    def is_known(self, identity: str) -> bool:
        """Whether a signal has a row."""
        coid = client_order_id(self.ground.deployment, identity)
        return self.ground.ledger.find(identity, coid) is not None

    def has_row(self, client_order_id: str) -> bool:
        """Whether an order has one."""
        return self.ground.ledger.find_by_client_order_id(client_order_id) is not None

    def has_dead_letter(self, ref: EntryRef, fields: Fields | None) -> bool:
        """Whether an entry with this content was found to be no signal before."""
        letter = self.ground.ledger.find_dead_letter(ref)
        return letter is not None and letter.is_of(fields)

    def trades_since(self, since: datetime) -> list[Trade]:
        """Executions on record since then, oldest first."""
        with self.ground.ledger.open_reader() as reader:
            return reader.trades_since(since.isoformat())

    def booked(self, client_order_id: str) -> list[Trade]:
        """Executions on record: asked at start and for news of orders long ended, so rarely."""
        with self.ground.ledger.open_reader() as reader:
            return reader.list_trades(client_order_id, limit=100_000)

    def unclaimed(self, desk: ListDesk, since_ms: int) -> Mapping[str, Mapping[str, Any]]:
        """Orders of ours without a row; see :func:`solution.trading.recovery.unclaimed`."""
        ground = self.ground
        return recovery.unclaimed(ground.ledger, desk, ground.deployment, ground.clock, since_ms)

    def restore_counts(self, portfolio: Portfolio, duplicates: Duplicates) -> None:
        """What orders before this process have used up of the limits, and said already."""
        settings, clock = self.ground.settings, self.ground.clock
        strategies = bool(settings.limits.strategy_caps)
        window_ms = int(settings.gates.duplicate_window * 1000)
        with self.ground.ledger.open_reader() as reader:
            recovery.restore_counts(reader, portfolio, clock, strategies=strategies)
            if window_ms:
                duplicates.restore(reader.contents_since(clock.epoch_ms() - window_ms))
