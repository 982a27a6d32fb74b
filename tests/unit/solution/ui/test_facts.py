"""A snapshot as facts."""

from typing import Any

import pytest

from solution.ui import facts
from solution.ui.troubles import troubles
from tests.helpers.snapshots import snapshot


def test_unusual_states_are_said() -> None:
    """No limit, reserved money, a stream that is quiet for too long."""
    one = snapshot(
        rate={"limit": 0},
        account={"equity": "1", "reserved_orders": 2, "reserved_buying_power": "12.5"},
        stream={"connected": True, "state": "listening", "age_s": 31.0, "reconnects": 0},
    )
    found = dict(facts.facts(one))
    assert found["rate"] == "unlimited"
    assert found["account"].endswith("12.50 reserved")
    assert found["stream"] == "listening · heard 31.0 s ago (QUIET)"
    assert facts.ages(one).startswith("orders heard 31.0 s ago (QUIET)")


def test_the_ages_of_all_streams_in_one_line() -> None:
    """A dash for what was never heard."""
    assert facts.ages(snapshot()) == (
        "orders heard 1.5 s ago · prices 0.1 s ago · Redis read 0.2 s ago"
    )
    assert facts.ages({}) == "orders heard – · prices – · Redis read –"


@pytest.mark.parametrize(
    ("prices", "shown"),
    [
        (
            {"watched": 3, "newest_s": 0.1, "oldest_s": 0.94},
            "3 watched · newest 0.1 s ago · oldest 0.9 s ago",
        ),
        ({"watched": 2, "newest_s": None}, "2 watched · newest – · oldest –"),
        ({"watched": 0}, "none watched"),
        (None, "–"),
    ],
)
def test_prices(prices: Any, shown: str) -> None:
    """How many are watched, and how old the newest and the oldest of them are."""
    assert dict(facts.facts(snapshot(prices=prices)))["prices"] == shown


def test_orders_on_their_way() -> None:
    """How many, and the first of them."""
    assert facts.orders(snapshot()) == "1 on their way · buy 3 AAPL new"
    assert facts.orders(snapshot(open_orders=[{"state": "OPEN"}] * 9)) == (
        "9 on their way · OPEN · OPEN · OPEN"
    )
    assert facts.orders(snapshot(open_orders=[])) == "none on their way"


@pytest.mark.parametrize(
    ("breaker", "shown"),
    [
        ({}, "–"),
        ({"state": "off", "limit": 0, "failures": 0}, "off"),
        ({"state": "closed", "limit": 5, "failures": 0}, "closed · 0 failures in a row, 5 open it"),
        (
            {"state": "closed", "limit": 5, "failures": 2, "why": "HTTP 500"},
            "closed · 2 failures in a row, 5 open it · last: HTTP 500",
        ),
    ],
)
def test_the_breaker(breaker: dict[str, Any], shown: str) -> None:
    """Its state and how far it is from opening."""
    assert dict(facts.facts(snapshot(breaker=breaker)))["breaker"] == shown
    assert troubles(snapshot(breaker=breaker)) == []


def test_flips() -> None:
    """The tickers with most changes first; what halts one beside them."""
    changes = {"A": 1, "B": 7, "C": 2, "D": 1, "E": 1, "F": 1}
    shown = dict(facts.facts(snapshot(flips={"limit": 30, "changes": changes})))["flips"]
    assert shown == "B 7 · C 2 · A 1 · D 1 · E 1 · 30 halt a ticker"
    assert dict(facts.facts(snapshot()))["flips"] == "none · no limit"


def test_the_day() -> None:
    """Change since the opening in money and per cent, distance to the peak, limits."""
    day = {
        "opening": "100000.00",
        "peak": "103000.00",
        "change": "-1000.00",
        "change_pct": "-1.00",
        "below_peak_pct": "4.00",
        "limits": {"daily_loss": "5.00"},
    }
    rest = "-1.00 % since 100,000.00 · 4.00 % below 103,000.00 · loss limit 5.00 %"
    assert facts.day(snapshot(day=day)) == f"-1,000.00 · {rest}"
    assert facts.day(snapshot(day={})) == "not known yet"
    bare = facts.day(snapshot(day={"change_pct": "x"}))
    assert bare == "– % since – · – % below – · no limit"


def test_a_thread_that_does_not_run() -> None:
    """Is named beside the number of those that do."""
    shown = facts.threads(snapshot(threads={"workers": True, "prices": False}))
    assert shown == "1 running · NOT RUNNING: prices"
