"""Reading both sides: how many requests, in which order, and what a moving ledger means."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from solution.domain.records import Intent, State, Trade
from solution.errors import NotFound
from solution.trading import comparison
from solution.trading.compare import Kind
from solution.trading.comparison import Comparison, Result
from tests.helpers.ledger_rows import make_intent, make_trade
from tests.unit.solution.trading.test_compare import PREFIX, order, row

NOW = datetime(2026, 3, 4, 15, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


class Ledger:
    """Rows and trades, one list per reading; the last one stays."""

    def __init__(self, *readings: tuple[list[Intent], list[Trade]]) -> None:
        self.readings = list(readings)
        self.reads = 0
        self.limits: list[int] = []
        self.found: list[str] = []

    def list_intents(self, limit: int = 50, states: Iterable[State] | None = None) -> list[Intent]:
        rows = sorted(self.readings[0][0], key=lambda one: -one.created_ms)
        if states is None:
            self.limits.append(limit)
            return rows[:limit]
        return [one for one in rows if one.state in set(states)][:limit]

    def find_intents(self, key: str) -> list[Intent]:
        self.found.append(key)
        return [one for one in self.readings[0][0] if one.client_order_id == key]

    def list_trades(self, client_order_id: str = "", limit: int = 500) -> list[Trade]:
        if client_order_id:
            return [one for one in self.readings[0][1] if one.client_order_id == client_order_id]
        self.reads += 1
        trades = self.readings[0][1]
        if len(self.readings) > 1:
            del self.readings[0]
        return trades


class Broker:
    """Orders by submission time, newest first, in pages."""

    def __init__(self, orders: Iterable[Any] = (), **held: str) -> None:
        self.orders = list(orders)
        self.held = held
        self.asked: list[str] = []

    def list_orders(self, **asked: Any) -> list[dict[str, Any]]:
        self.asked.append(f"list {asked['status']}")
        found = [
            one
            for one in sorted(self.orders, key=lambda one: one["submitted_at"], reverse=True)
            if (asked["after"] is None or one["submitted_at"] > asked["after"].isoformat())
            and (asked["until"] is None or one["submitted_at"] < asked["until"].isoformat())
            and (asked["status"] == "all" or one["status"] == "new")
        ]
        return found[: asked["limit"]]

    def get_order_by_client_id(self, client_order_id: str) -> Any:
        self.asked.append(f"order {client_order_id}")
        for one in self.orders:
            if one["client_order_id"] == client_order_id:
                return one
        raise NotFound(404, 40410000, "order not found")

    def positions(self) -> list[dict[str, Any]]:
        self.asked.append("positions")
        return [{"symbol": symbol, "qty": qty} for symbol, qty in self.held.items()]


def at(number: int, status: str = "filled", *, hours: float = 1, **changed: Any) -> Any:
    """The broker's order, submitted some hours ago."""
    moment = NOW - timedelta(hours=hours)
    return order(number, status, submitted_at=moment.isoformat(), **changed)


def mine(number: int, state: State = State.FILLED, *, hours: float = 1, **changed: Any) -> Intent:
    """Its row."""
    ms = int((NOW - timedelta(hours=hours)).timestamp() * 1000)
    return row(number, state, created_ms=ms, submitted_ms=ms, **changed)


def run(ledger: Ledger, broker: Broker, **changed: Any) -> Result:
    """Compare the last day, without patience."""
    since = NOW - timedelta(hours=24)
    values: dict[str, Any] = {"prefix": PREFIX, "since": since, "settle": 0.0}
    return Comparison(ledger, broker, **(values | changed)).run()


def test_three_requests_when_all_is_well() -> None:
    """Open orders, the day's orders, positions; the ledger is read once."""
    ledger = Ledger(([mine(1), mine(2, State.OPEN)], []))
    broker = Broker([at(1), at(2, "new")])
    result = run(ledger, broker)
    assert result.differences == []
    assert broker.asked == ["list open", "list all", "positions"]
    assert (result.requests, ledger.reads) == (3, 1)


def test_an_open_order_older_than_the_list_is_compared_all_the_same() -> None:
    """From the list of open ones, or by its id when it is open here only."""
    ledger = Ledger(([mine(1, State.OPEN, hours=99), mine(2, State.OPEN, hours=99)], []))
    broker = Broker([at(1, "new", hours=99), at(2, "canceled", hours=99)])
    result = run(ledger, broker)
    assert [(d.kind, d.subject) for d in result.differences] == [
        (Kind.OPEN_HERE_ENDED_THERE, "sp-test-2")
    ]
    assert "order sp-test-2" in broker.asked
    assert "order sp-test-1" not in broker.asked


def test_signals_never_sent_and_rows_of_last_week_are_no_rows() -> None:
    """They have no order to compare, or one beyond the list."""
    refused = make_intent(3, state=State.REFUSED, created_ms=NOW_MS)
    result = run(Ledger(([refused, mine(4, hours=200)], [])), Broker())
    assert (dict(result.ledger.rows), result.differences) == ({}, [])


def test_the_ledger_is_listed_as_far_back_as_needed() -> None:
    """A thousand rows, then more."""
    rows = [mine(number, hours=1) for number in range(1_500)]
    ledger = Ledger((rows, []))
    result = run(ledger, Broker([at(n) for n in range(1_500)]))
    assert len(result.ledger.rows) == 1_500
    assert ledger.limits == [1_000, 16_000]


def test_pages_of_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order once, also where many were sent in one instant."""
    monkeypatch.setattr(comparison, "PAGE", 10)
    orders = [at(n, hours=1 + n // 4) for n in range(35)]
    broker = Broker(orders)
    result = run(Ledger(([], [])), broker, since=NOW - timedelta(hours=50))
    assert len(result.broker.orders) == 35
    assert result.broker.is_complete


def test_a_list_without_end_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are compared; nobody is asked for one by one because of the cut."""
    monkeypatch.setattr(comparison, "PAGE", 10)
    monkeypatch.setattr(comparison, "MOST_PAGES", 2)
    rows = [mine(n, hours=1 + n / 10) for n in range(40)]
    broker = Broker([at(n, hours=1 + n / 10) for n in range(40)])
    result = run(Ledger((rows, [])), broker)
    assert not result.broker.is_complete
    assert not any(asked.startswith("order") for asked in broker.asked)
    assert result.differences == []


def test_a_page_within_one_instant_does_not_turn_in_a_circle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends, incomplete."""
    monkeypatch.setattr(comparison, "PAGE", 5)
    result = run(Ledger(([], [])), Broker([at(n) for n in range(9)]))
    assert not result.broker.is_complete


def test_only_so_many_are_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are named."""
    monkeypatch.setattr(comparison, "MOST_ASKED", 2)
    rows = [mine(n, State.OPEN) for n in range(5)]
    result = run(Ledger((rows, [])), Broker())
    assert [d.kind for d in result.differences] == [Kind.NOT_AT_BROKER] * 2
    assert len(result.not_asked) == 3
    assert result.requests == 5


def test_a_running_service_gets_time_to_write_down_what_the_broker_knows() -> None:
    """Differences that the second reading does not have are none."""
    trade = make_trade(1, qty=Decimal(5))
    ledger = Ledger(
        ([mine(1, State.OPEN)], []),
        ([mine(1, State.OPEN)], []),
        ([mine(1, filled="5")], [trade]),
    )
    result = run(ledger, Broker([at(1, filled="5")], NVDA="5"), settle=20.0)
    assert result.differences == []
    assert ledger.reads == 3
    assert ledger.found == ["sp-test-1"] * 2
    assert result.ledger.rows["sp-test-1"].state is State.FILLED


def test_many_differences_are_looked_at_in_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for each row by itself would take longer."""
    monkeypatch.setattr(comparison, "MOST_AGAIN", 1)
    ledger = Ledger(([mine(1, State.OPEN), mine(2, State.OPEN)], []), ([mine(1), mine(2)], []))
    result = run(ledger, Broker([at(1), at(2)]), settle=20.0)
    assert (result.differences, ledger.found) == ([], [])


def test_a_difference_that_stays_is_one() -> None:
    """After the patience."""
    ledger = Ledger(([mine(1, State.OPEN)], []), ([mine(1, State.OPEN)], []))
    result = run(ledger, Broker([at(1)]), settle=0.05)
    assert [d.kind for d in result.differences] == [Kind.OPEN_HERE_ENDED_THERE]


def test_a_position_that_moves_meanwhile_is_left_out_and_named() -> None:
    """Its ledger side was of two moments."""
    readings: list[tuple[list[Intent], list[Trade]]] = [
        ([], [make_trade(1, qty=Decimal(n))]) for n in range(1, 200)
    ]
    result = run(Ledger(*readings), Broker(NVDA="1000"), settle=0.5)
    assert (result.differences, result.moving) == ([], ["NVDA"])


def test_positions_may_be_left_out() -> None:
    """Where others trade on the account."""
    ledger = Ledger(([], [make_trade(1)]))
    assert run(ledger, Broker(), with_positions=False).differences == []
    assert [d.kind for d in run(ledger, Broker()).differences] == [Kind.POSITION]


def test_legs_are_compared_like_any_order() -> None:
    """The broker made them, so they were never sent; their executions count for the position."""
    legs = [
        mine(2, State.OPEN, identity="|leg:sp-test-1:o2", filled_qty=Decimal(4)),
        mine(3, State.CANCELED, identity="|leg:sp-test-1:o3", filled_qty=Decimal(0)),
    ]
    for leg in legs:
        leg.submitted_ms = 0
    bought, sold = make_trade(1, qty=Decimal(10)), make_trade(2, qty=Decimal(4), side="sell")
    ledger = Ledger(([mine(1, filled="10"), *legs], [bought, sold]))
    orders = [at(1, filled="10"), at(2, "new", filled="4"), at(3, "expired")]
    result = run(ledger, Broker(orders, NVDA="6"), with_positions=True)
    assert [(d.kind, d.subject) for d in result.differences] == [(Kind.OTHER_END, "sp-test-3")]


class Coins(Broker):
    """Its positions are pairs."""

    def positions(self) -> list[dict[str, Any]]:
        return [{**row, "asset_class": "crypto"} for row in super().positions()]


def test_a_pair_is_one_position_on_both_sides() -> None:
    """The broker's positions have no slash; fees on the coins are no difference."""
    ledger = Ledger(([], [make_trade(1, symbol="BTC/USD", side="buy", qty=Decimal(1))]))
    assert run(ledger, Coins(BTCUSD="0.9975")).differences == []
    ledger = Ledger(([], [make_trade(1, symbol="BTC/USD", side="buy", qty=Decimal(1))]))
    [one] = run(ledger, Coins(BTCUSD="0.9")).differences
    assert (one.kind, one.subject) == (Kind.POSITION, "BTC/USD")
