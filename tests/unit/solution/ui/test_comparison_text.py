"""A comparison as text and JSON: everything that could not be seen is said."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from solution.domain.records import EquityPoint, State
from solution.trading.compare import BrokerSide, Difference, Kind, LedgerSide
from solution.trading.comparison import Result
from solution.ui import comparison_text as text
from solution.ui.comparison_text import Report
from tests.helpers.ledger_rows import make_intent

POINT = EquityPoint("2026-03-04T15:00:00.000Z", Decimal("99990.5"), Decimal("-9.5"))


def report(**changed: Any) -> Report:
    """One order open on both sides, two symbols held, one of them differing."""
    row = make_intent(1, state=State.UNKNOWN)
    differing = Difference(kind=Kind.POSITION, subject="F", symbol="F", ledger="1", broker="2")
    values: dict[str, Any] = {
        "ledger": LedgerSide(
            rows={"sp-test-1": row}, filled={}, held={"NVDA": Decimal(3), "F": Decimal(1)}
        ),
        "broker": BrokerSide(
            orders={"sp-test-1": {"id": "o", "status": "new"}},
            positions={"NVDA": Decimal(3), "F": Decimal(2)},
        ),
        "differences": [differing],
        "moving": [],
        "not_asked": [],
        "requests": 4,
    }
    return Report(
        ledger="data/x.db",
        broker="https://paper",
        account={"id": "acc", "equity": "100000", "cash": "1", "buying_power": "2"},
        since=datetime(2026, 3, 4, tzinfo=UTC),
        result=Result(**(values | changed)),
        halted={"AMD": "an orphan"},
        equity=POINT,
        requests=5,
    )


def test_the_summary() -> None:
    """Account, orders, positions, unresolved rows, halts, requests."""
    lines = list(text.lines_of(report()))
    assert "  account    equity 100,000.00 · cash 1.00 · buying power 2.00" in lines
    assert "             equity 99,990.50 in the ledger, of 2026-03-04T15:00:00.000Z" in lines
    assert "  positions  1 agree (NVDA 3), 1 differ" in lines
    assert "  unresolved 1 UNKNOWN" in lines
    assert "  halted     AMD (an orphan)" in lines
    assert "  requests   5, of the account's rate limit" in lines


def test_what_was_not_compared_is_said() -> None:
    """A cut list, orders nobody asked for, symbols on the move."""
    cut = BrokerSide(orders={}, is_complete=False)
    lines = list(text.lines_of(report(broker=cut, not_asked=["a", "b"], moving=["NVDA"])))
    notes = [line.removeprefix("  note       ") for line in lines if line.startswith("  note")]
    assert notes == [
        "the broker's list of orders was cut: older ones were not compared; give a later --since",
        "2 more orders are not in the broker's lists and were not asked for",
        "traded while they were compared, so not compared: NVDA",
    ]


def test_each_kind_is_explained_once() -> None:
    """And an order is named by its id, a position by its symbol."""
    order = Difference(
        kind=Kind.OTHER_END, subject="sp-test-1", symbol="NVDA", ledger="FILLED", broker="expired"
    )
    position = Difference(kind=Kind.POSITION, subject="F", symbol="F", ledger="1", broker="2")
    assert text.rows_of([order, position]) == [
        ("another end", "NVDA", "FILLED", "expired", "sp-test-1"),
        ("position", "F", "1", "2", ""),
    ]
    assert len(list(text.meanings_of([order, order, position]))) == 2
    assert set(text.WORDS) == set(Kind)


def test_json_holds_the_same() -> None:
    """Decimals as text."""
    document = text.as_object(report())
    assert document["agrees"] is False
    assert document["positions"]["broker"] == {"F": "2", "NVDA": "3"}
    assert document["equity_in_ledger"] == {"at": POINT.at, "equity": "99990.5"}
    assert document["differences"][0]["kind"] == "position"
    assert document["since"] == "2026-03-04T00:00:00Z"
