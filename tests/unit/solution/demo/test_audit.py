"""Whether the demo would notice what must not happen."""

from dataclasses import replace
from typing import Any

import pytest

from solution.demo import audit, report
from solution.demo.evidence import Evidence, nanos_of

AT = "2026-11-20T15:00:00.005250000Z"
MS = 1_795_186_800_000
"""The millisecond before AT."""


def final(entry: str, **fields: str) -> dict[str, str]:
    """The end of an entry."""
    return {"stream": "s", "entry_id": entry, "final": "1", **fields}


def filled(entry: str, coid: str, **fields: str) -> dict[str, str]:
    """An end by an order of ten shares."""
    order = {"event": "fill", "client_order_id": coid, "order_id": f"o-{coid}", "status": "filled"}
    return final(entry, filled_qty="10", **(order | fields))


def order(coid: str, **changed: str) -> dict[str, Any]:
    """An order in the exchange's list."""
    base = {"client_order_id": coid, "symbol": "NVDA", "side": "buy", "status": "filled"}
    return {**base, "filled_qty": "10", "created_at": AT, **changed}


E1, E2, E3, E4 = (("s", f"{MS}-{n}") for n in range(1, 5))

GOOD = Evidence(
    entries={E1: "", E2: "mine", E3: "mine", E4: ""},
    events=[
        {"stream": "s", "entry_id": E1[1], "client_order_id": "c1", "order_id": "o-c1"},
        filled(E1[1], "c1"),
        filled(E2[1], "c2"),
        filled(E3[1], "c2"),
        final(E4[1], event="refused", reason="AT_TARGET", client_order_id="c4"),
    ],
    orders=[order("c1"), order("c2", side="sell", filled_qty="10")],
    positions={},
    pending=0,
    account={"equity": "100010", "last_equity": "100000"},
)
"""Two orders that cancel out, one of them published twice, and a refusal."""


def test_a_run_as_it_should_be() -> None:
    """No complaint."""
    assert audit.problems(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"events": GOOD.events[:-1]}, f"s {E4[1]}: has no end"),
        ({"events": [*GOOD.events, final(E4[1])]}, f"s {E4[1]}: ended more than once"),
        ({"events": [*GOOD.events, final("9-9")]}, "s 9-9: ended and was never published"),
        ({"orders": [*GOOD.orders, order("c1")]}, "c1: stands for two orders"),
        ({"orders": [*GOOD.orders, order("c9", filled_qty="0")]}, "c9: belongs to no signal"),
        ({"orders": GOOD.orders[:1]}, "c2: is told of and not at the exchange"),
        ({"pending": 2}, "2 entries are not acknowledged"),
        ({"positions": {"NVDA": "1"}}, "NVDA: fills add up to 0, the position is 1"),
        ({"positions": {"AMD": "1"}}, "AMD: fills add up to 0, the position is 1"),
    ],
)
def test_every_breach_is_noticed(changed: dict[str, Any], said: str) -> None:
    """In one line that names what it found."""
    assert said in audit.problems(replace(GOOD, **changed))


def test_two_orders_of_one_signal_are_noticed() -> None:
    """The heart of the promise: the second entry with the same id got an order of its own."""
    events = [e if e["entry_id"] != E3[1] else filled(E3[1], "c3") for e in GOOD.events]
    orders = [*GOOD.orders, order("c3", filled_qty="0", status="canceled")]
    found = audit.problems(replace(GOOD, events=events, orders=orders))
    assert "id mine: has two orders" in found


def test_an_order_of_two_signals_is_noticed() -> None:
    """Two signals must not share one order."""
    events = [*GOOD.events, {**filled(E4[1], "c1"), "final": "0"}]
    assert "c1: belongs to two signals" in audit.problems(replace(GOOD, events=events))


@pytest.mark.parametrize("change", [{"filled_qty": "4"}, {"status": "canceled"}])
def test_an_end_told_wrongly_is_noticed(change: dict[str, str]) -> None:
    """The exchange's word counts."""
    orders = [order("c1", **change), GOOD.orders[1]]
    found = audit.problems(replace(GOOD, orders=orders))
    assert "c1: ended differently at the exchange" in found


def test_an_order_left_open_is_noticed() -> None:
    """It could still fill after everybody looked."""
    orders = [order("c1", status="new"), GOOD.orders[1]]
    assert "c1: is still open at the exchange" in audit.problems(replace(GOOD, orders=orders))


def test_many_of_a_kind_are_one_line() -> None:
    """The first three are named."""
    entries = {("s", f"{n}-0"): "" for n in range(5)}
    found = audit.problems(replace(GOOD, entries=GOOD.entries | entries))
    assert found == ["s 0-0, s 1-0, s 2-0 and 2 more: has no end"]


def test_the_report_of_a_good_run() -> None:
    """Counted from the evidence."""
    text = "\n".join(report.lines(GOOD, [], {"redis": "real"}))
    for part in (
        "redis         real",
        "4 published, 1 of them a second time",
        "2 at the exchange: 2 filled",
        "1: 1 AT_TARGET",
        "p50 5.2 ms, p99 5.2 ms",
        "positions     flat",
        "equity 100,010.00 (+10.00)",
        "✓ all 4 entries ended exactly once",
        "✓ all 2 orders at the exchange belong to one signal each",
    ):
        assert part in text
    assert "dead letters" not in text


def test_the_report_of_a_bad_run() -> None:
    """The problems stand in place of the ticks."""
    text = "\n".join(report.lines(GOOD, ["it broke"], {}))
    assert "✗ it broke" in text
    assert "✓" not in text


def test_the_report_names_partial_fills_losses_and_dead_letters() -> None:
    """And what is held at the end."""
    dead = final("1-1", event="dead_letter", reason="UNKNOWN_FIELD")
    changed = replace(
        GOOD,
        events=[*GOOD.events, dead],
        orders=[order("c1", status="canceled", filled_qty="3")],
        account={"equity": "99999"},
    )
    text = "\n".join(report.lines(changed, [], {}))
    assert "1 canceled after a part was filled" in text
    assert "dead letters  1: 1 UNKNOWN_FIELD" in text
    assert "NVDA +3" in text
    assert "(+0.00)" in text


def test_without_orders_there_is_no_latency() -> None:
    """Nor with an order whose time cannot be read."""
    assert report.latency(replace(GOOD, orders=[])) == "no orders"
    assert report.latency(replace(GOOD, orders=[order("c1", created_at="?")])) == "no orders"


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T00:00:00.5+00:00", 500_000_000),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01T00:00:00+01:00", None),
        ("yesterday", None),
    ],
)
def test_times_of_the_exchange(text: str, nanos: int | None) -> None:
    """RFC 3339 in UTC, to the nanosecond."""
    assert nanos_of(text) == nanos
