"""The CSV of a run: one row per update, written when it is told."""

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from signal_generator.blocks.durations import WrongParameter
from signal_generator.blocks.register import ERROR, UNTOLD, WAITING, OrderRecord, status_of
from signal_generator.executions import Execution

COLUMNS = (
    *("type", "client_order_id", "ticker", "executed_price", "executed_qty"),
    *("status", "side", "action", "timestamp", "raw_status"),
)
NO_ACTION = "order"
WITHOUT_EVENT = frozenset({ERROR, WAITING})
"""Types of rows that no event on the stream has made."""
_OPEN = frozenset({"new", "accepted", "pending_new", "held", "accepted_for_bidding"})


def path_of(directory: str, name: str) -> Path:
    """Where the log of this name is."""
    return Path(directory) / f"{name}.csv"


def try_to_write(path: Path) -> None:
    """Make the file, if need be, before a run has begun.

    Raises:
        WrongParameter: there can be none.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
    except (OSError, ValueError) as error:  # a ValueError: a null byte
        why = getattr(error, "strerror", None) or error
        raise WrongParameter(f"trade_log_path: {str(path)!r} cannot be written: {why}") from None


class TradeLog:
    """Appends rows; for one thread at a time (the caller's lock).

    Args:
        now: the time of a row whose update has none.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._now = now
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        if self._file.tell() == 0:
            self._writer.writeheader()
        elif not path.read_bytes().endswith(b"\n"):
            # Whoever wrote the last row died over it; the next one must not be glued to it.
            self._file.write("\r\n")
        self._file.flush()

    def update(self, told: Execution) -> None:
        """One row for an event of the stream ``executions``."""
        status, price, filled = status_of(told), told.filled_avg_price, told.filled_qty
        if told.event == "submitted" and status not in _OPEN:
            # Its fill has a row of its own, and who adds up fills must not find it here as well.
            status, price, filled = "accepted", None, None
        self._write(
            type=_type(told),
            client_order_id=told.client_order_id,
            ticker=told.ticker,
            executed_price=float(price or 0),
            executed_qty=float(filled or 0),
            status=status,
            side={"b": "buy", "s": "sell"}.get(told.side, told.side),
            action=told.own.get("action", NO_ACTION),
            timestamp=(told.at or self._now()).timestamp(),
            raw_status=_raw(told, status),
        )

    def failure(self, record: OrderRecord) -> None:
        """One row for an order that did not get as far as the service."""
        self._write(
            type=record.status,
            client_order_id=record.client_order_id,
            ticker=record.ticker,
            executed_price=0.0,
            executed_qty=0.0,
            status=record.status,
            side=record.side,
            action=record.action or NO_ACTION,
            timestamp=self._now().timestamp(),
            raw_status=f"{record.reason}: {record.message}",
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **row: Any) -> None:
        self._writer.writerow(row)
        # Each row at once: a log is read after a crash.
        self._file.flush()


def _type(told: Execution) -> str:
    """``execution`` for what the broker says, else what the service did."""
    return told.event if told.event in UNTOLD | {"submitted", "corrected"} else "execution"


def _raw(told: Execution, status: str) -> str:
    if told.reason:
        return f"{told.reason}: {told.message}" if told.message else told.reason
    return f"OrderStatus.{status.upper()}"
