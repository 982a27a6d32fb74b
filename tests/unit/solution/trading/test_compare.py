"""Ledger against broker: what is a difference, and which one."""

from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import Intent, State
from solution.trading import compare
from solution.trading.compare import BrokerSide, Kind, LedgerSide, agreed, compared, ledger_side
from tests.helpers.ledger_rows import make_intent, make_trade

PREFIX = "sp-test-"


def row(number: int = 1, state: State = State.FILLED, filled: str = "0", **changed: Any) -> Intent:
    """A row that was sent."""
    values: dict[str, Any] = {
        "state": state,
        "filled_qty": Decimal(filled),
        "alpaca_order_id": f"order-{number}",
        "submitted_ms": 1_000_000,
    }
    return make_intent(number, **(values | changed))


def order(number: int = 1, status: str = "filled", filled: str = "0", **changed: Any) -> Any:
    """The broker's order of the row with the same number."""
    coid = f"sp-test-{number}"
    values = {"id": f"order-{number}", "client_order_id": coid, "status": status}
    return {**values, "filled_qty": filled, "symbol": "NVDA", "side": "buy", "qty": "5"} | changed


def ledger(*rows: Intent, **held: str) -> LedgerSide:
    """Rows whose executions add up."""
    return LedgerSide(
        rows={row.client_order_id: row for row in rows},
        filled={row.client_order_id: row.filled_qty for row in rows},
        held={symbol: Decimal(qty) for symbol, qty in held.items()},
    )


def broker(*orders: Any, absent: tuple[str, ...] = (), **held: str) -> BrokerSide:
    """What the broker lists and holds."""
    return BrokerSide(
        orders={one["client_order_id"]: one for one in orders},
        absent=frozenset(absent),
        positions={symbol: Decimal(qty) for symbol, qty in held.items()},
    )


def kinds(here: LedgerSide, there: BrokerSide) -> list[Kind]:
    """What differs."""
    return [difference.kind for difference in compared(here, there, PREFIX)]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.OPEN, "new"),
        (State.OPEN, "partially_filled"),
        (State.OPEN, "replaced"),
        (State.FILLED, "filled"),
        (State.CANCELED, "canceled"),
        (State.EXPIRED, "expired"),
        (State.REJECTED, "rejected"),
    ],
)
def test_what_agrees(state: State, status: str) -> None:
    """Nothing is said of it."""
    assert kinds(ledger(row(state=state)), broker(order(status=status))) == []


@pytest.mark.parametrize(
    ("state", "status", "kind"),
    [
        (State.OPEN, "filled", Kind.OPEN_HERE_ENDED_THERE),
        (State.OPEN, "canceled", Kind.OPEN_HERE_ENDED_THERE),
        (State.FILLED, "new", Kind.ENDED_HERE_OPEN_THERE),
        (State.NOT_SENT, "new", Kind.ENDED_HERE_OPEN_THERE),
        (State.CANCELED, "filled", Kind.OTHER_END),
        (State.ABSENT_CONFIRMED, "filled", Kind.OTHER_END),
        (State.SUBMITTING, "filled", Kind.UNRESOLVED),
        (State.UNKNOWN, "new", Kind.UNRESOLVED),
        (State.EXPIRED_UNCONFIRMED, "filled", Kind.UNRESOLVED),
    ],
)
def test_what_two_states_of_one_order_differ_in(state: State, status: str, kind: Kind) -> None:
    """One difference, with both words."""
    (found,) = compared(ledger(row(state=state)), broker(order(status=status)), PREFIX)
    assert found.kind is kind
    assert found.ledger == str(state)
    assert found.broker == status


def test_shares_filled_on_one_side_only() -> None:
    """But not the parts of a replaced chain, each of which counts its own."""
    here = ledger(row(filled="5"))
    assert kinds(here, broker(order(filled="5"))) == []
    assert kinds(here, broker(order(filled="4"))) == [Kind.FILLED_QTY]
    assert kinds(here, broker(order(filled="4", replaces="order-0"))) == []


def test_a_successor_is_found_by_its_id() -> None:
    """It has another client_order_id; the first one's status says nothing any more."""
    here = ledger(row(state=State.FILLED, alpaca_order_id="order-9"))
    chain = (order(status="replaced"), order(9, client_order_id="somebody", replaces="order-1"))
    assert kinds(here, broker(*chain)) == []


def test_an_order_of_ours_without_a_row() -> None:
    """Only those with our prefix; what others trade on the account is theirs."""
    theirs = order(8, client_order_id="by-hand")
    (found,) = compared(ledger(), broker(order(7, filled="5"), theirs), PREFIX)
    assert (found.kind, found.subject, found.symbol) == (Kind.NOT_IN_LEDGER, "sp-test-7", "NVDA")
    assert found.broker == "buy 5, filled, 5 filled"


def test_a_row_without_an_order() -> None:
    """Absent by a question is a difference, not listed is none, unresolved always is one."""
    assert kinds(ledger(row()), broker()) == []
    assert kinds(ledger(row()), broker(absent=("sp-test-1",))) == [Kind.NOT_AT_BROKER]
    (open_one,) = compared(ledger(row(state=State.UNKNOWN)), broker(), PREFIX)
    assert (open_one.kind, open_one.broker) == (Kind.UNRESOLVED, "not listed")


def test_executions_must_add_up_to_the_row() -> None:
    """Shares taken back count against."""
    trades = [make_trade(1, qty=Decimal(5)), make_trade(1, qty=Decimal(-2), execution_id="bust")]
    assert kinds(ledger_side([row(filled="3")], trades), broker(order(filled="3"), NVDA="3")) == []
    wrong = ledger_side([row(filled="5")], trades)
    assert kinds(wrong, broker(order(filled="5"), NVDA="3")) == [Kind.TRADES]


def test_positions_by_symbol() -> None:
    """Bought less sold; flat symbols agree with absent ones."""
    trades = [
        make_trade(1, qty=Decimal(5)),
        make_trade(2, qty=Decimal(7), side="sell"),
        make_trade(3, qty=Decimal(1), symbol="F"),
        make_trade(4, qty=Decimal(1), symbol="F", side="sell"),
    ]
    here = ledger_side([], trades)
    assert kinds(here, broker(NVDA="-2")) == []
    found = compared(here, broker(NVDA="-2.5", AMD="1"), PREFIX)
    assert [(d.subject, d.ledger, d.broker) for d in found] == [
        ("AMD", "0", "1"),
        ("NVDA", "-2", "-2.5"),
    ]


def test_only_what_both_readings_differ_in_counts() -> None:
    """A row that was on its way when the broker was asked is no difference."""
    there = broker(order(1, filled="5"), order(2))
    before = compared(ledger(row(1, State.OPEN)), there, PREFIX)
    after = compared(ledger(row(1, filled="5"), row(2, State.OPEN)), there, PREFIX)
    assert {d.kind for d in before} == {Kind.OPEN_HERE_ENDED_THERE, Kind.NOT_IN_LEDGER}
    assert agreed(before, after) == []
    assert agreed(before, before) == before


def test_symbols_that_traded_between_two_readings() -> None:
    """Theirs cannot be compared."""
    assert compare.moved(ledger(NVDA="1", F="2"), ledger(NVDA="1", F="3", AMD="1")) == {"F", "AMD"}


def test_who_must_be_asked_by_id() -> None:
    """Unended first; ended only if the list should have named it and the broker had it."""
    here = ledger(
        row(1, submitted_ms=2_000_000),
        row(2, State.OPEN, submitted_ms=1),
        row(3, submitted_ms=2_000_000, alpaca_order_id=""),
        row(4, submitted_ms=1_000),
        row(5, submitted_ms=2_000_000),
    )
    there = BrokerSide(orders={"sp-test-5": order(5)}, since_ms=1_000_000)
    asked = [one.client_order_id for one in compare.must_be_asked(here, there)]
    assert asked == ["sp-test-2", "sp-test-1"]
    cut = BrokerSide(orders={}, since_ms=1_000_000, is_complete=False)
    assert [one.client_order_id for one in compare.must_be_asked(here, cut)] == ["sp-test-2"]


def test_every_kind_has_a_meaning() -> None:
    """It is shown under the table."""
    assert set(compare.MEANINGS) == set(Kind)


@pytest.mark.parametrize(
    ("position", "expected"),
    [("0.005", []), ("0", []), ("0.006", []), ("0.007", [Kind.POSITION]), ("-1", [Kind.POSITION])],
)
def test_fees_on_coins_are_no_difference(position: str, expected: list[Kind]) -> None:
    """They add up over all that was bought, and no execution tells them."""
    trades = [
        make_trade(1, symbol="BTC/USD", side="buy", qty=Decimal(2)),
        make_trade(2, symbol="BTC/USD", side="sell", qty=Decimal("1.994")),
    ]
    here = ledger_side([], trades)
    found = [
        one.kind
        for one in compared(here, broker(**{"BTC/USD": position}), PREFIX)
        if one.kind is Kind.POSITION
    ]
    assert found == expected


def test_a_share_has_no_fee() -> None:
    """A share less is a share less."""
    here = ledger_side([], [make_trade(1, symbol="NVDA", side="buy", qty=Decimal(1000))])
    assert Kind.POSITION in kinds(here, broker(NVDA="999"))
