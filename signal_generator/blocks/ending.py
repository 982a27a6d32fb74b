"""The end of a session: what is closed, and how long its orders are waited for."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from signal_generator.blocks.book import key_of
from signal_generator.blocks.desk import is_given
from signal_generator.blocks.loop import FAILURES
from signal_generator.blocks.options import AtTheEnd, Callback
from signal_generator.blocks.register import WAITING, OrderRecord, OrderRegister

log = logging.getLogger(__name__)

WAIT_S = 90.0
"""For the last orders: longer than the minute after which a used-up rate limit is free."""
SENT_S = 2.0
"""For an order to be heard of that waits for nothing."""
ROUNDS = 3
"""How often is looked whether something came in while the rest was being closed."""

_BUY, _SELL = "buy", "sell"

Rows = Callable[[], Sequence[Mapping[str, Any]]]


class SessionEnd:
    """For the strategy's thread.

    Args:
        positions: as strategies get them.
        submit: returns the identities of the orders.
        tickers: what the run may close, beside what it has ordered.
        drop_waiting: makes sure that what was not sent yet never is.
    """

    def __init__(
        self,
        register: OrderRegister,
        positions: Rows,
        submit: Callable[[Any], Sequence[str]],
        tickers: Iterable[str],
        drop_waiting: Callable[[], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._register = register
        self._positions = positions
        self._submit = submit
        self._tickers = frozenset(tickers)
        self._drop_waiting = drop_waiting
        self._monotonic = monotonic

    def run(self, how: AtTheEnd, action: Callback | None, context: dict[str, Any]) -> None:
        """Do what was asked for and wait, a bounded time, until it is done."""
        if how == "liquidate":
            self._liquidate()
        elif how == "custom" and action is not None:
            self._custom(action, context)
        else:
            self._register.wait(settled, WAIT_S)

    def _custom(self, action: Callback, context: dict[str, Any]) -> None:
        try:
            orders = action(context)
            if is_given(orders):
                self._submit(orders)
        except FAILURES:  # the user's own code: what it did before it failed is waited for
            log.exception("custom_shutdown_action failed")
        self._register.wait(settled, WAIT_S)

    def _liquidate(self) -> None:
        if waiting := self._register.wait(_is_told, SENT_S):
            # The orders of a ticker are sent in the order given: what closes it would wait behind
            # all that is to open it, and be followed by none of it.
            log.warning("%d orders that still wait are dropped", len(waiting))
            self._drop_waiting()
        deadline = self._monotonic() + WAIT_S
        for _ in range(ROUNDS):
            orders = self._closing()
            if not orders:
                return
            mine = frozenset(self._submit(orders))
            left = max(0.0, deadline - self._monotonic())
            self._register.wait(lambda r, mine=mine: r.final or r.signal_id not in mine, left)  # type: ignore[misc]  # default argument
        if held := self._held():
            log.error("still held at the end: %s", held)

    def _held(self) -> dict[str, float]:
        ours = {key_of(ticker) for ticker in self._tickers | self._register.tickers()}
        rows = ((row["ticker"], row["quantity"]) for row in self._positions())
        return {ticker: quantity for ticker, quantity in rows if key_of(ticker) in ours}

    def _closing(self) -> list[dict[str, Any]]:
        """Orders without a quantity: the service closes what is held when they are sent, and first
        cancels what would open it again."""
        sides = {ticker: _SELL if qty > 0 else _BUY for ticker, qty in self._held().items()}
        held = {key_of(ticker) for ticker in sides}
        for record in self._register.all():
            if not record.final and key_of(record.ticker) not in held:
                sides.setdefault(record.ticker, _SELL if record.side == _BUY else _BUY)
        return [
            {"ticker": ticker, "side": side, "order_type": "market", "action": "liquidate"}
            for ticker, side in sides.items()
        ]


def _is_told(record: OrderRecord) -> bool:
    return record.status != WAITING


def settled(record: OrderRecord) -> bool:
    """At its end, or resting at the broker, where it may stay for hours."""
    return record.final or record.resting
