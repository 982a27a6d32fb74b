"""Tests of signal_generator.blocks.ending."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from signal_generator.blocks import ending
from signal_generator.blocks.ending import SessionEnd
from signal_generator.blocks.orders import read_order
from signal_generator.blocks.register import OrderRegister, record_of
from signal_generator.executions import Execution

LIMIT = {"ticker": "TSLA", "quantity": 1, "side": "buy", "order_type": "limit", "limit_price": 1}


class Desk:
    """A service that ends each order as soon as it is submitted.

    Args:
        held: positions by ticker.
        then: done with each order, after the broker has it and before its end is told.
    """

    def __init__(self, held: dict[str, float], then: Callable[[dict[str, Any]], None]) -> None:
        self.held = held
        self.register = OrderRegister()
        self.submitted: list[dict[str, Any]] = []
        self.dropped: list[int] = []
        self._then = then
        self.end = SessionEnd(
            *(self.register, self.positions, self.submit, ["AAPL", "MSFT"]),
            lambda: self.dropped.append(len(self.submitted)),
            lambda: 0.0,
        )

    def positions(self) -> list[dict[str, Any]]:
        """As strategies get them."""
        return [{"ticker": t, "quantity": q} for t, q in self.held.items() if q]

    def submit(self, orders: Any) -> list[str]:
        """Take them."""
        ids = []
        for order in orders if isinstance(orders, list) else [orders]:
            self.submitted.append(order)
            ids.append(f"s-{len(self.submitted)}")
            self.register.add([record_of(read_order(order), ids[-1])])
            self._then(order)
            self.tell(ids[-1], "fill", final=order["order_type"] == "market")
        return ids

    def tell(self, signal_id: str, event: str, *, final: bool) -> None:
        """One event."""
        facts: dict[str, Any] = {"signal_id": signal_id, "order_id": "o", "final": final}
        self.register.take(Execution(event_id=1, event=event, status=event, own={}, **facts))


def closing(desk_held: dict[str, float]) -> Callable[[dict[str, Any]], None]:
    """The position is gone after the order."""
    return lambda order: desk_held.update({order["ticker"]: 0})


def test_liquidate_closes_longs_and_shorts_of_the_runs_tickers() -> None:
    """What else the account holds stays."""
    held = {"AAPL": 5.0, "MSFT": -2.0, "KEEP": 9.0}
    desk = Desk(held, closing(held))
    desk.end.run("liquidate", None, {})
    common = {"order_type": "market", "action": "liquidate"}
    assert desk.submitted == [
        {"ticker": "AAPL", "side": "sell", **common},
        {"ticker": "MSFT", "side": "buy", **common},
    ]
    assert held["KEEP"] == 9.0


def test_liquidate_reaches_what_was_ordered_beyond_the_tickers() -> None:
    """A strategy may order what it has no quotes of; what rests would open it again."""
    desk = Desk({}, lambda _: None)
    desk.register.add([record_of(read_order(LIMIT), "resting")])
    desk.tell("resting", "new", final=False)

    def cancelled(_: dict[str, Any]) -> None:
        desk.tell("resting", "canceled", final=True)

    desk._then = cancelled
    desk.end.run("liquidate", None, {})
    assert [(o["ticker"], o["side"]) for o in desk.submitted] == [("TSLA", "sell")]


def test_a_pair_is_found_under_the_brokers_name() -> None:
    """Ordered as BTC/USD, held as BTCUSD: one order closes it."""
    held = {"BTCUSD": 0.5}
    desk = Desk(held, closing(held))
    desk.register.add([record_of(read_order({**LIMIT, "ticker": "BTC/USD"}), "resting")])
    desk.tell("resting", "new", final=False)
    desk._then = lambda _: (held.clear(), desk.tell("resting", "canceled", final=True))[0]
    desk.end.run("liquidate", None, {})
    assert [(o["ticker"], o["side"]) for o in desk.submitted] == [("BTCUSD", "sell")]


def test_what_came_in_meanwhile_is_closed_too() -> None:
    """The first round sells five; a waiting buy fills behind it."""
    held = {"AAPL": 5.0}
    fills = [3.0, 0.0]
    desk = Desk(held, lambda _: held.update(AAPL=fills.pop(0)))
    desk.end.run("liquidate", None, {})
    assert len(desk.submitted) == 2
    assert held == {"AAPL": 0.0}


def test_what_was_not_sent_is_dropped_before_anything_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A buy behind the rate limit would go out before the sell that is to close its ticker."""
    monkeypatch.setattr(ending, "SENT_S", 0.0)
    held = {"AAPL": 5.0}
    desk = Desk(held, closing(held))
    waiting = {**LIMIT, "ticker": "AAPL"}
    desk.register.add([record_of(read_order(waiting), f"waiting-{n}") for n in range(2)])
    desk.end.run("liquidate", None, {})
    assert desk.dropped == [0]
    assert [(o["ticker"], o["side"]) for o in desk.submitted] == [("AAPL", "sell")] * len(
        desk.submitted
    )
    assert "2 orders that still wait are dropped" in caplog.text


def test_with_nothing_waiting_nothing_is_dropped() -> None:
    """The usual end costs no new service."""
    held = {"AAPL": 5.0}
    desk = Desk(held, closing(held))
    desk.end.run("liquidate", None, {})
    assert desk.dropped == []


def test_it_does_not_go_on_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be closed, as in a closed market, the rest is told."""
    desk = Desk({"AAPL": 5.0}, lambda _: None)
    desk.end.run("liquidate", None, {})
    assert len(desk.submitted) == 3
    assert "still held at the end: {'AAPL': 5.0}" in caplog.text


def test_with_nothing_held_nothing_is_sent() -> None:
    """And nobody waits."""
    desk = Desk({}, lambda _: None)
    desk.end.run("liquidate", None, {})
    assert desk.submitted == []


def test_hold_keeps_everything() -> None:
    """It only waits for what is under way."""
    desk = Desk({"AAPL": 5.0}, lambda _: None)
    desk.end.run("hold", None, {})
    assert desk.submitted == []


class Undecided(list[Any]):
    """As an array of numpy's: more than one element has no truth value."""

    def __bool__(self) -> bool:
        raise ValueError


@pytest.mark.parametrize(
    ("answer", "count"),
    [([LIMIT, LIMIT], 2), (Undecided([LIMIT, LIMIT]), 2), (LIMIT, 1), (None, 0)],
)
def test_custom_submits_what_the_action_returns(answer: Any, count: int) -> None:
    """A list, a dict or nothing; a limit that rests is not waited for."""
    desk = Desk({}, lambda _: None)
    seen: list[Any] = []

    def action(context: Any) -> Any:
        seen.append(context)
        return answer

    desk.end.run("custom", action, {"key": "value"})
    assert len(desk.submitted) == count
    assert seen == [{"key": "value"}]


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
def test_a_failing_action_is_shown(
    caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    """The run still ends in order."""

    def action(_: Any) -> Any:
        raise kind("my mistake")

    Desk({}, lambda _: None).end.run("custom", action, {})
    assert "custom_shutdown_action failed" in caplog.text
    assert f"{kind.__name__}: my mistake" in caplog.text
