"""Tests of signal_generator.blocks.register."""

import threading
from typing import Any

from signal_generator.blocks.orders import read_order
from signal_generator.blocks.register import OrderRegister, malformed, record_of, status_of
from signal_generator.executions import Execution

ORDER = read_order({"ticker": "AAPL", "quantity": 5, "side": "buy", "order_type": "market"})


def told(event: str, **more: Any) -> Execution:
    """An event of the first order."""
    texts = {"status": event, "signal_id": "s-1", "client_order_id": "sp-1", "order_id": "o-1"}
    return Execution(**{"event_id": 1, "event": event, "own": {}, **texts, **more})


def register(*ids: str) -> OrderRegister:
    """With a market order of each id."""
    made = OrderRegister()
    made.add([record_of(ORDER, name) for name in ids or ("s-1",)])
    return made


def test_an_order_is_waiting_until_it_is_heard_of() -> None:
    """What is given away is a dict of plain values."""
    shown = register().all()[0].shown()
    assert (shown["status"], shown["quantity"], shown["final"]) == ("waiting", 5.0, False)


def test_an_order_follows_what_is_told() -> None:
    """Status, ids and fills; the end stays."""
    made = register()
    made.take(told("new"))
    record = made.take(told("fill", status="filled", final=True, filled_qty=5, filled_avg_price=2))
    assert record is not None
    assert (record.status, record.filled_qty, record.filled_avg_price) == ("filled", 5.0, 2.0)
    assert (record.client_order_id, record.order_id, record.final) == ("sp-1", "o-1", True)
    assert made.all() == [record]


def test_a_refusal_keeps_its_reason() -> None:
    """Where the broker never had it, the service's word is the status."""
    made = register()
    record = made.take(
        told("refused", status="", reason="MARKET_CLOSED", message="why", final=True)
    )
    assert record is not None
    assert (record.status, record.reason, record.message) == ("refused", "MARKET_CLOSED", "why")


def test_the_reason_of_the_end_counts() -> None:
    """What was unclear on the way is not, once the order is filled."""
    made = register()
    made.take(told("unknown", reason="OUTCOME_UNKNOWN", message="no usable answer"))
    made.take(told("new"))
    assert made.all()[0].reason == "OUTCOME_UNKNOWN"
    made.take(told("fill", status="filled", final=True, filled_qty=5))
    assert (made.all()[0].reason, made.all()[0].message) == ("", "")


def test_an_end_that_is_told_again_keeps_its_reason() -> None:
    """As where a price was corrected."""
    made = register()
    made.take(told("rejected", reason="REFUSED_BY_BROKER", message="why", final=True))
    made.take(told("corrected", status="rejected", final=True))
    assert (made.all()[0].reason, made.all()[0].message) == ("REFUSED_BY_BROKER", "why")


def test_a_leg_of_a_bracket_is_not_the_order() -> None:
    """Another client_order_id under the same signal."""
    made = register()
    made.take(told("new"))
    made.take(told("canceled", client_order_id="leg", final=False))
    assert made.all()[0].status == "new"


def test_other_signals_are_none_of_ours() -> None:
    """Another strategy's."""
    assert register().take(told("fill", signal_id="theirs")) is None


def test_orders_stay_in_the_order_given() -> None:
    """Whatever is heard of first."""
    made = register("s-2", "s-1")
    made.take(told("new"))
    assert [record.signal_id for record in made.all()] == ["s-2", "s-1"]


def test_giving_up_leaves_out_what_was_heard_of() -> None:
    """The lost answer was to a block that had arrived."""
    made = register("s-1", "s-2")
    made.take(told("new"))
    failed = made.gave_up(["s-1", "s-2"], "no answer")
    assert [(r.signal_id, r.status, r.message) for r in failed] == [("s-2", "error", "no answer")]
    assert [r.status for r in made.all()] == ["new", "error"]


def test_what_was_given_up_may_be_heard_of_after_all() -> None:
    """Then that counts."""
    made = register()
    made.gave_up(["s-1"], "no answer")
    record = made.take(told("new"))
    assert record is not None
    assert record.status == "new"


def test_a_malformed_order_keeps_what_can_be_read() -> None:
    """And is at its end."""
    record = malformed({"ticker": "AAPL", "side": 3}, "s-9", "why")
    assert (record.ticker, record.side, record.status, record.final) == ("AAPL", "3", "error", True)
    assert malformed("nonsense", "s-9", "why").ticker == ""


def test_waiting_ends_with_the_last_order() -> None:
    """The waiter is woken by the listener's thread."""
    made = register("s-1", "s-2")
    left: list[Any] = ["not yet"]
    waiter = threading.Thread(target=lambda: left.__setitem__(0, made.wait(lambda r: r.final, 20)))
    waiter.start()
    made.take(told("fill", final=True))
    made.take(told("fill", final=True, signal_id="s-2"))
    waiter.join(20)
    assert left == [[]]


def test_waiting_ends_when_the_time_is_over() -> None:
    """With what is missing."""
    made = register("s-1", "s-2")
    made.take(told("fill", final=True))
    assert [record.signal_id for record in made.wait(lambda r: r.final, 0)] == ["s-2"]


def test_tickers_of_all_orders() -> None:
    """For the end of the session."""
    made = register()
    made.add([malformed(None, "s-2", "why")])
    assert made.tickers() == {"AAPL"}


def test_the_status_is_the_brokers_word() -> None:
    """Except where there is none, or the service's says more."""
    assert status_of(told("fill", status="filled")) == "filled"
    assert status_of(told("unknown", status="new")) == "unknown"
    assert status_of(told("canceled", status="")) == "canceled"
