"""Where everything that is heard of orders goes: book, register, CSV and log, in this order."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from signal_generator.blocks.book import PositionBook
from signal_generator.blocks.register import UNTOLD, OrderRecord, OrderRegister
from signal_generator.blocks.trade_log import TradeLog
from signal_generator.executions import Execution

log = logging.getLogger(__name__)


class Journal:
    """Called by the listener, and by whoever finds out that an order came to nothing.

    Args:
        label: events of this strategy get a row even if an earlier run ordered them.
    """

    def __init__(
        self, book: PositionBook, register: OrderRegister, rows: TradeLog, label: str
    ) -> None:
        self._book = book
        self._register = register
        self._rows = rows
        self._label = label
        # Held while a row is written: rows of two threads would otherwise mix.
        self._row_mutex = threading.Lock()
        self._closed = False

    def take(self, update: Execution) -> None:
        """One event of the stream ``executions``, each once."""
        # The position first: who waits for the order's end looks at it next. And the row last: a
        # full disk must cost neither.
        ours = self._register.has(update.signal_id)
        self._book.take(update, ours=ours)
        self._register.take(update)
        if not ours and update.strategy != self._label:
            return
        with self._row_mutex:
            self._rows.update(update)
        if update.final:
            _tell(update)

    def missed(self, written: int) -> Callable[[Execution], None]:
        """What takes events from before this run: they have rows, and the account has their shares.

        Args:
            written: how many of them have their row already.
        """
        left = written

        def take(update: Execution) -> None:
            nonlocal left
            if update.strategy != self._label:
                return
            if left:
                left -= 1
                return
            with self._row_mutex:
                self._rows.update(update)

        return take

    def failed(self, records: Iterable[OrderRecord]) -> None:
        """Orders that did not get as far as the service."""
        for record in records:
            log.warning(
                "order not sent: %s %s %s: %s",
                *(record.side, record.quantity, record.ticker, record.message),
            )
            self._row(record)

    def unfinished(self, records: Iterable[OrderRecord]) -> None:
        """Orders that the run leaves behind: resting at the broker, or still with the service."""
        for record in records:
            log.warning(
                "order %s: %s %s %s is left %s",
                *(record.client_order_id or record.signal_id, record.side, record.quantity),
                *(record.ticker, "resting at the broker" if record.resting else record.status),
            )
            if not record.resting:
                self._row(replace(record, reason="RUN_ENDED", message="not at its end yet"))

    def gave_up(self, signal_ids: Sequence[str], why: str) -> None:
        """Signals of which nobody knows that they are in the stream."""
        self.failed(self._register.gave_up(signal_ids, why))

    def _row(self, record: OrderRecord) -> None:
        try:
            with self._row_mutex:
                # A thread of the strategy's may outlive the run; what it is told has to do.
                if not self._closed:
                    self._rows.failure(record)
        except OSError as error:
            log.error("the trade log cannot be written: %s", error)  # noqa: TRY400  # one line

    def close(self) -> None:
        """Close the CSV; orders that come later have no row."""
        with self._row_mutex:
            self._closed = True
            self._rows.close()


def _tell(update: Execution) -> None:
    """An order's end; at a level that is shown where somebody refused it."""
    refused = update.reason or update.event in UNTOLD or update.status == "rejected"
    log.log(
        logging.WARNING if refused else logging.INFO,
        "order %s: %s %s %s, filled %s at %s%s",
        *(update.client_order_id or update.signal_id, update.side, update.ticker),
        *(update.status or update.event, update.filled_qty or 0, update.filled_avg_price or "-"),
        f" ({update.reason}: {update.message})" if update.reason else "",
    )
