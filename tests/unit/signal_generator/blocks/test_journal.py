"""Tests of signal_generator.blocks.journal."""

import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signal_generator.blocks.book import PositionBook
from signal_generator.blocks.journal import Journal
from signal_generator.blocks.orders import read_order
from signal_generator.blocks.register import OrderRegister, malformed, record_of
from signal_generator.blocks.trade_log import TradeLog
from signal_generator.executions import Execution

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
ORDER = read_order({"ticker": "AAPL", "quantity": 5, "side": "buy", "order_type": "market"})
LIMIT = {"ticker": "AAPL", "quantity": 5, "side": "buy", "order_type": "limit", "limit_price": 1}


def told(event: str = "fill", **more: Any) -> Execution:
    """All five shares of the order are filled."""
    facts = {
        "event_id": 1,
        "event": event,
        "status": "filled",
        "ticker": "AAPL",
        "side": "buy",
        "signal_id": "s-1",
        "client_order_id": "sp-1",
        "order_id": "o-1",
        "strategy": "mine",
        "qty": Decimal(5),
        "price": Decimal(10),
        "filled_qty": Decimal(5),
        "filled_avg_price": Decimal(10),
        "final": True,
        "own": {},
    }
    return Execution(**{**facts, **more})


class Desk:
    """A journal and what it keeps."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "mine.csv"
        self.book = PositionBook(["AAPL"], lambda: 0.0)
        self.register = OrderRegister()
        self.rows = TradeLog(self.path, lambda: NOW)
        self.journal = Journal(self.book, self.register, self.rows, "mine")

    def types(self) -> list[str]:
        """The first column."""
        return [line.split(",")[0] for line in self.path.read_text().splitlines()[1:]]


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    """Closed in the end."""
    made = Desk(tmp_path)
    made.register.add([record_of(ORDER, "s-1")])
    yield made
    made.journal.close()


def test_a_fill_goes_everywhere(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Book, register, CSV and log."""
    caplog.set_level(logging.INFO)
    desk.journal.take(told())
    assert desk.book.holdings()["AAPL"].qty == 5
    assert desk.register.all()[0].status == "filled"
    assert desk.types() == ["execution"]
    assert "sp-1: buy AAPL filled, filled 5 at 10" in caplog.text


def test_another_strategys_fill_moves_the_account_only(desk: Desk) -> None:
    """Positions are the account's; the CSV is this strategy's."""
    desk.journal.take(told(signal_id="theirs", strategy="other", client_order_id="x"))
    assert desk.book.holdings()["AAPL"].qty == 5
    assert desk.types() == []


def test_an_earlier_runs_order_has_its_row(desk: Desk) -> None:
    """One that rested when it ended, under the same name."""
    desk.journal.take(told(signal_id="of-yesterday"))
    assert desk.types() == ["execution"]


def test_what_was_missed_has_its_row_and_moves_nothing(desk: Desk) -> None:
    """The account's reading has its shares; one row of the two is written already."""
    missed = desk.journal.missed(1)
    for _ in range(2):
        missed(told(signal_id="of-yesterday"))
        missed(told(signal_id="theirs", strategy="other"))
    assert desk.types() == ["execution"]
    assert not desk.book.holdings()


@pytest.mark.parametrize(
    ("event", "more", "level"),
    [
        ("fill", {}, logging.INFO),
        ("canceled", {"status": "canceled"}, logging.INFO),
        ("rejected", {"status": "rejected"}, logging.WARNING),
        ("refused", {"status": "", "reason": "MARKET_CLOSED"}, logging.WARNING),
        ("dead_letter", {"status": ""}, logging.WARNING),
    ],
)
def test_a_refusal_is_shown_without_any_logging_set_up(
    desk: Desk, caplog: pytest.LogCaptureFixture, event: str, more: dict[str, Any], level: int
) -> None:
    """Python shows warnings by itself."""
    caplog.set_level(logging.INFO)
    desk.journal.take(told(event, **more))
    assert [record.levelno for record in caplog.records] == [level]


def test_a_full_disk_costs_no_position(desk: Desk) -> None:
    """The row is the last thing; the listener logs the failure."""
    desk.rows.close()
    with pytest.raises(ValueError, match="closed file"):
        desk.journal.take(told())
    assert desk.book.holdings()["AAPL"].qty == 5
    assert desk.register.all()[0].final


def test_what_was_not_sent_has_a_row_and_a_line(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """With the sentence that says why."""
    desk.journal.failed([malformed({"ticker": "AAPL"}, "s-2", "side: None")])
    desk.journal.gave_up(["s-1"], "no answer from Redis")
    assert desk.types() == ["error", "error"]
    assert "side: None" in caplog.text
    assert "no answer from Redis" in caplog.text


def test_what_is_left_is_told(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """An order that rests has its rows; one that was never heard of gets one."""
    desk.register.add([record_of(read_order(LIMIT), "s-2")])
    desk.register.take(told("new", signal_id="s-2", status="new", final=False))
    desk.journal.unfinished(desk.register.all())
    assert desk.types() == ["waiting"]
    assert "is left resting at the broker" in caplog.text
    assert "is left waiting" in caplog.text


def test_a_row_that_cannot_be_written_is_logged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The strategy, in whose thread it happens, goes on."""

    def full(_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(desk.rows, "failure", full)
    desk.journal.failed([malformed({}, "s-2", "why")])
    assert "the trade log cannot be written: no space left" in caplog.text


def test_an_order_after_the_end_is_told_of_and_harms_nobody(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread of the strategy's that outlives the run."""
    desk.journal.close()
    desk.journal.gave_up(["s-1"], "the run has ended")
    assert "order not sent: buy 5.0 AAPL: the run has ended" in caplog.text
    assert desk.register.all()[0].reason == "NOT_PUBLISHED"
    assert desk.types() == []
