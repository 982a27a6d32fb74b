"""Tests of signal_generator.blocks.trade_log."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signal_generator.blocks.register import malformed
from signal_generator.blocks.trade_log import TradeLog, path_of
from signal_generator.executions import Execution

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
HEADER = (
    "type,client_order_id,ticker,executed_price,executed_qty,status,side,action,timestamp,"
    "raw_status"
)


def told(event: str, **more: Any) -> Execution:
    """An event of an order."""
    texts = {"client_order_id": "sp-1", "ticker": "AAPL", "side": "buy", "status": "new"}
    return Execution(**{"event_id": 1, "event": event, "own": {}, **texts, **more})


def rows(path: Path) -> list[dict[str, str]]:
    """What stands in the file now, while it is still open."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In a directory that does not exist yet."""
    return path_of(str(tmp_path / "logs" / "deep"), "mine")


def test_the_header_is_written_once(path: Path) -> None:
    """Appended to by later runs."""
    for _ in range(2):
        log = TradeLog(path, lambda: NOW)
        log.update(told("new"))
        log.close()
    lines = path.read_text().splitlines()
    assert path.name == "mine.csv"
    assert lines[0] == HEADER
    assert len(lines) == 3


def test_a_fill(path: Path) -> None:
    """The row stands in the file at once; the average price is of all that is filled."""
    log = TradeLog(path, lambda: NOW)
    facts = {"filled_qty": Decimal(5), "filled_avg_price": Decimal("181.25"), "price": Decimal(182)}
    log.update(told("fill", status="filled", own={"action": "buy_long"}, at=NOW, **facts))
    assert rows(path) == [
        {
            "type": "execution",
            "client_order_id": "sp-1",
            "ticker": "AAPL",
            "executed_price": "181.25",
            "executed_qty": "5.0",
            "status": "filled",
            "side": "buy",
            "action": "buy_long",
            "timestamp": str(NOW.timestamp()),
            "raw_status": "OrderStatus.FILLED",
        }
    ]
    log.close()


@pytest.mark.parametrize(
    ("event", "status", "kind", "shown", "raw"),
    [
        ("submitted", "pending_new", "submitted", "pending_new", "OrderStatus.PENDING_NEW"),
        ("new", "new", "execution", "new", "OrderStatus.NEW"),
        ("partial_fill", "partially_filled", "execution", "partially_filled", None),
        ("canceled", "canceled", "execution", "canceled", "OrderStatus.CANCELED"),
        ("corrected", "filled", "corrected", "filled", "OrderStatus.FILLED"),
        ("unknown", "", "unknown", "unknown", "OrderStatus.UNKNOWN"),
    ],
)
def test_every_update_has_a_row(
    path: Path, event: str, status: str, kind: str, shown: str, raw: str | None
) -> None:
    """The type says whether the broker or the service is the source."""
    log = TradeLog(path, lambda: NOW)
    log.update(told(event, status=status))
    log.close()
    (row,) = rows(path)
    assert (row["type"], row["status"]) == (kind, shown)
    assert row["raw_status"] == (raw or f"OrderStatus.{status.upper()}")
    assert (row["action"], row["timestamp"]) == ("order", str(NOW.timestamp()))


def test_a_fill_is_in_one_row_only(path: Path) -> None:
    """An order found at the broker is filled already when it is told of for the first time."""
    log = TradeLog(path, lambda: NOW)
    facts = {"status": "filled", "filled_qty": Decimal(5), "filled_avg_price": Decimal(10)}
    log.update(told("submitted", **facts))
    log.update(told("fill", price=Decimal(10), **facts))
    log.close()
    assert [(r["type"], r["status"], r["executed_qty"]) for r in rows(path)] == [
        ("submitted", "accepted", "0.0"),
        ("execution", "filled", "5.0"),
    ]


def test_a_refusal_says_why(path: Path) -> None:
    """The reason where the broker's raw status would stand."""
    log = TradeLog(path, lambda: NOW)
    log.update(told("refused", reason="MARKET_CLOSED", message="opens on Monday"))
    log.update(told("dead_letter", reason="INVALID_VALUE", status=""))
    log.close()
    assert [(r["type"], r["raw_status"]) for r in rows(path)] == [
        ("refused", "MARKET_CLOSED: opens on Monday"),
        ("dead_letter", "INVALID_VALUE"),
    ]


def test_an_order_that_was_never_sent_has_a_row(path: Path) -> None:
    """With the sentence that says what is wrong with it."""
    log = TradeLog(path, lambda: NOW)
    log.failure(malformed({"ticker": "AAPL", "side": "buy"}, "s-1", "quantity: None"))
    log.close()
    (row,) = rows(path)
    assert (row["type"], row["status"], row["ticker"]) == ("error", "error", "AAPL")
    assert row["raw_status"] == "MALFORMED: quantity: None"


def test_a_torn_row_is_left_alone(path: Path) -> None:
    """Of a process that died while it wrote: the next row is a line of its own."""
    TradeLog(path, lambda: NOW).close()
    with path.open("a") as file:
        file.write("execution,sp-")
    log = TradeLog(path, lambda: NOW)
    log.update(told("new"))
    log.close()
    assert [row["client_order_id"] for row in rows(path)] == ["sp-", "sp-1"]
