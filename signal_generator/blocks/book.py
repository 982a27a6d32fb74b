"""What the account holds, kept from one reading of the broker and every fill told since.

One owner, one lock, copies out: a strategy that asks always gets all positions.

Quantities are exact. A fill is counted by how far it moves its order's cumulative quantity, so that
one told twice counts once, and one told late or by the next message is not missed.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from signal_generator.executions import Execution
from signal_generator.hosting import Position

ZERO = Decimal(0)
SETTLING = 5.0
"""Seconds after a reading in which it may hold fills that are told only now."""
_NO_FILL = frozenset({"submitted", "refused", "dead_letter", "dry_run"})

TopOfBook = Callable[[str], tuple[float, float]]
"""Bid and ask of a ticker; zeros where none is known."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Signed shares and what one of them cost on average."""

    qty: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class _Counted:
    """How much of one order has been counted."""

    qty: Decimal
    value: Decimal


def key_of(symbol: str) -> str:
    """Orders say ``BTC/USD`` of what the broker's positions call ``BTCUSD``."""
    return symbol.replace("/", "")


class PositionBook:
    """Positions of one account.

    Args:
        tickers: what the strategy trades, spelled as it does.
    """

    def __init__(self, tickers: Sequence[str], monotonic: Callable[[], float]) -> None:
        self._names = {key_of(ticker): ticker for ticker in tickers}
        self._monotonic = monotonic
        self._mutex = threading.Lock()
        self._held: dict[str, Holding] = {}
        self._orders: dict[str, _Counted] = {}
        self._version = 0
        self._settled_at = monotonic()
        self._ours_may_be_read = False
        self._doubtful = False
        self._realized = ZERO

    @property
    def version(self) -> int:
        """One more with each change."""
        with self._mutex:
            return self._version

    def adopt(self, read: Sequence[Position], version: int) -> bool:
        """Replace everything by a reading of the broker, unless a fill has come since `version`."""
        held = {key_of(p.symbol): Holding(p.qty, p.avg_entry_price) for p in read if p.qty}
        with self._mutex:
            if version != self._version:
                return False
            self._held = held
            # The first reading is made before this run has an order that it could hold.
            self._ours_may_be_read = self._version > 0
            self._version += 1
            self._doubtful = False
            self._settled_at = self._monotonic() + SETTLING
        return True

    @property
    def doubtful(self) -> bool:
        """Whether the broker said something of a position that this book cannot follow."""
        with self._mutex:
            return self._doubtful

    def take(self, update: Execution, *, ours: bool) -> bool:
        """Count an execution, `ours` if this run ordered it; whether a position has moved."""
        if update.event in _NO_FILL or update.filled_qty is None or not update.client_order_id:
            return False
        with self._mutex:
            qty, price = self._news(update, update.filled_qty)
            if not qty:
                return False
            signed = qty if update.side in {"buy", "b"} else -qty
            key = key_of(update.ticker)
            if (self._ours_may_be_read or not ours) and self._is_read(key, signed, update):
                return False
            held, realized = moved(self._held.get(key), signed, price)
            self._held[key] = held
            if not held.qty:
                del self._held[key]
            self._realized += realized
            self._version += 1
        return True

    def _news(self, update: Execution, filled: Decimal) -> tuple[Decimal, Decimal]:
        """Shares of the order that have not been counted, and their price.

        Requires holding ``_mutex``.
        """
        average = update.filled_avg_price or update.price or ZERO
        before = self._orders.get(update.client_order_id)
        if before is None:
            # Of an order from before this book only the shares that this message is about are new,
            # and only a message with a price is about shares.
            new = (update.qty or ZERO) if update.price is not None else ZERO
            before = _Counted(filled - new, (filled - new) * average)
        elif filled < before.qty and update.event != "corrected":
            return ZERO, ZERO
        qty, value = filled - before.qty, filled * average - before.value
        self._orders[update.client_order_id] = _Counted(filled, filled * average)
        if not qty:
            return ZERO, ZERO
        price = update.price if update.price is not None and update.qty == qty else value / qty
        return qty, max(ZERO, price)

    def _is_read(self, key: str, signed: Decimal, update: Execution) -> bool:
        """Whether the last reading was made after this fill, so that it must not count again.

        The broker states the position after each fill. Requires holding ``_mutex``.
        """
        if update.position_qty is None or self._monotonic() > self._settled_at:
            return False
        held = self._held.get(key)
        standing = held.qty if held else ZERO
        if standing + signed == update.position_qty:
            return False
        self._doubtful = self._doubtful or standing != update.position_qty
        return standing == update.position_qty

    def holdings(self) -> Mapping[str, Holding]:
        """All positions by the broker's symbol."""
        with self._mutex:
            return dict(self._held)

    @property
    def realized(self) -> Decimal:
        """Profit of what was closed since the start."""
        with self._mutex:
            return self._realized

    def name(self, key: str) -> str:
        """How the strategy spells a symbol of the broker's."""
        return self._names.get(key, key)

    def rows(self, top: TopOfBook) -> list[dict[str, Any]]:
        """As strategies get them; ``top`` is asked without the lock."""
        return [self._row(self.name(key), held, top) for key, held in self.holdings().items()]

    @staticmethod
    def _row(ticker: str, held: Holding, top: TopOfBook) -> dict[str, Any]:
        bid, ask = top(ticker)
        quantity, cost = float(held.qty), float(held.cost)
        mark = (bid + ask) / 2 if bid > 0 and ask > 0 else cost
        return {
            "ticker": ticker,
            "quantity": quantity,
            "bought_at": cost,
            "cost_basis": float(held.qty * held.cost),
            "pos_val": quantity * mark,
            "bid": bid,
            "ask": ask,
        }


def moved(held: Holding | None, signed: Decimal, price: Decimal) -> tuple[Holding, Decimal]:
    """The holding after a trade, and the profit that it realised.

    Adding averages the cost, reducing keeps it, and what goes beyond zero begins anew.
    """
    before, cost = (held.qty, held.cost) if held else (ZERO, ZERO)
    after = before + signed
    if before * signed >= 0:
        average = (before * cost + signed * price) / after if after else ZERO
        return Holding(after, average), ZERO
    closed = min(abs(signed), abs(before)).copy_sign(before)
    profit = closed * (price - cost)
    return Holding(after, cost if after * before > 0 else price if after else ZERO), profit
