"""What a strategy gets: the keys that it knows, and some that say more."""

import logging
import queue
from typing import Any

from signal_generator.blocks.book import PositionBook
from signal_generator.blocks.desk import OrderDesk
from signal_generator.blocks.quotes import QuoteBoard
from signal_generator.blocks.register import OrderRegister

log = logging.getLogger(__name__)


class Trading:
    """The functions behind the keys of a context; all of them are safe from any thread."""

    def __init__(
        self, quotes: QuoteBoard, book: PositionBook, register: OrderRegister, desk: OrderDesk
    ) -> None:
        self._quotes = quotes
        self._book = book
        self._register = register
        self._desk = desk
        self._inert: dict[str, Any] = {
            "shm_meta": {},
            "result_queue": queue.Queue(),
            "command_queue": queue.Queue(),
        }

    def get_current_data(
        self,
    ) -> tuple[dict[str, dict[str, float]] | None, list[dict[str, Any]]]:
        """Quotes by ticker (None while none is known) and all positions; copies, yours to keep."""
        return self._quotes.all(), self._book.rows(self._quotes.top)

    def submit_order(
        self, payload: Any, test_mode: bool = False
    ) -> None:  # the signature that is called there
        """Send a block or a single order.

        Returns nothing, so that a strategy may end with ``return submit_order(orders)`` and does
        not send them twice.
        """
        if test_mode:
            log.warning("submit_order: test_mode has no effect; the orders are sent")
        self._desk.submit(payload)

    def orders(self) -> list[dict[str, Any]]:
        """Every order of the run in the order given, with what became of it."""
        return [record.shown() for record in self._register.all()]

    def positions(self) -> list[dict[str, Any]]:
        """All positions of the account."""
        return self._book.rows(self._quotes.top)

    def quote_age(self, ticker: str) -> float | None:
        """Seconds since the exchange made the newest quote; None while there is none."""
        return self._quotes.age(ticker)

    def context(self) -> dict[str, Any]:
        """A fresh dict: what a strategy does to it stays there."""
        return {
            "get_current_data": self.get_current_data,
            "submit_order": self.submit_order,
            "quote_age": self.quote_age,
            "orders": self.orders,
            **self._inert,
        }
