"""The market-hours gate at the minute before and after everything that a calendar can do.

``market.is_open`` is what the broker's clock says; here the shipped table of sessions says it,
which is compared with an independent calendar elsewhere.
"""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from solution.book.assets import Asset
from solution.domain.market import Market
from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import Signal
from solution.session import is_open
from solution.trading.gates import order_gates
from solution.trading.gates.view import GateRules, View
from solution.trading.plan import Plan

NEW_YORK = ZoneInfo("America/New_York")
SIGNAL = Signal(stream="nvda", entry_id="1-0", ticker="NVDA", digest="d", side=Side.BUY)
EXTENDED = SIGNAL._replace(
    order_type=OrderType.LIMIT, limit_price=Decimal(100), extended_hours=True
)
CLOSED = Reason.MARKET_CLOSED


def verdict(at: datetime, tif: TimeInForce, signal: Signal = SIGNAL) -> Reason | None:
    """What the gate says of an order at a moment."""
    view = View(
        signal=signal,
        asset=Asset("id", "NVDA", "us_equity", True, True, True),
        rules=GateRules(allow_extended_hours=True),
        market=Market(is_open=is_open(at), at=at),
        age=0.0,
        starved=0.0,
        waited=0.0,
        plan=Plan(side=Side.BUY, qty=Decimal(1), price=Decimal(100), opens=True),
        time_in_force=tif,
    )
    denial = order_gates.market_open(view)
    return None if denial is None else denial.reason


SESSIONS = [
    # day, what it is, the last closed minute and the first open one, the last open and first closed
    ("2026-03-04", "an ordinary day", "09:29 09:30", "15:59 16:00"),
    ("2026-03-06", "the Friday before the clocks go forward", "09:29 09:30", "15:59 16:00"),
    ("2026-03-09", "the Monday after it", "09:29 09:30", "15:59 16:00"),
    ("2026-10-30", "the Friday before they go back", "09:29 09:30", "15:59 16:00"),
    ("2026-11-02", "the Monday after it", "09:29 09:30", "15:59 16:00"),
    ("2026-11-27", "the half day after Thanksgiving", "09:29 09:30", "12:59 13:00"),
    ("2026-12-24", "the half day before Christmas", "09:29 09:30", "12:59 13:00"),
    ("2025-07-03", "the half day before the Fourth", "09:29 09:30", "12:59 13:00"),
    ("2028-02-29", "a leap day", "09:29 09:30", "15:59 16:00"),
    ("2024-02-29", "another", "09:29 09:30", "15:59 16:00"),
    ("2026-12-31", "the last day of a year, which is no half day", "09:29 09:30", "15:59 16:00"),
    ("2027-01-04", "the first session of a year", "09:29 09:30", "15:59 16:00"),
]


def new_york(day: str, minute: str) -> datetime:
    """A wall-clock minute of New York, in UTC."""
    return datetime.fromisoformat(f"{day}T{minute}").replace(tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(("day", "what", "opening", "closing"), SESSIONS)
def test_the_minutes_around_opening_and_close(
    day: str, what: str, opening: str, closing: str
) -> None:
    """Closed until the opening minute, open until the close itself."""
    before, first = (new_york(day, minute) for minute in opening.split())
    last, after = (new_york(day, minute) for minute in closing.split())
    found = [verdict(at, TimeInForce.IOC) for at in (before, first, last, after)]
    assert found == [CLOSED, None, None, CLOSED], what


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        ("2026-03-06T14:29", CLOSED),  # winter time: New York is five hours behind
        ("2026-03-06T14:30", None),
        ("2026-03-06T20:59", None),
        ("2026-03-06T21:00", CLOSED),
        ("2026-03-09T13:29", CLOSED),  # summer time: four
        ("2026-03-09T13:30", None),
        ("2026-03-09T19:59", None),
        ("2026-03-09T20:00", CLOSED),
        ("2026-10-30T13:29", CLOSED),
        ("2026-10-30T13:30", None),
        ("2026-11-02T14:29", CLOSED),
        ("2026-11-02T14:30", None),
        ("2026-11-02T20:59", None),
        ("2026-11-02T21:00", CLOSED),
    ],
)
def test_the_same_in_utc_around_both_changes_of_the_clock(
    utc: str, expected: Reason | None
) -> None:
    """Whoever counts in UTC alone is an hour wrong on one side of them."""
    at = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert verdict(at, TimeInForce.DAY) == expected


@pytest.mark.parametrize(
    ("day", "what"),
    [
        ("2026-03-07", "a Saturday"),
        ("2026-03-08", "the Sunday on which the clocks go forward"),
        ("2026-11-01", "the Sunday on which they go back"),
        ("2026-01-01", "New Year's Day"),
        ("2026-01-19", "Martin Luther King Jr. Day"),
        ("2026-02-16", "Washington's Birthday"),
        ("2026-04-03", "Good Friday"),
        ("2026-05-25", "Memorial Day"),
        ("2026-06-19", "Juneteenth"),
        ("2026-07-03", "Independence Day, observed on the Friday"),
        ("2026-09-07", "Labor Day"),
        ("2026-11-26", "Thanksgiving"),
        ("2026-12-25", "Christmas"),
        ("2027-01-01", "New Year's Day, a Friday"),
        ("2027-12-24", "Christmas, observed on the Friday"),
    ],
)
def test_days_without_a_session(day: str, what: str) -> None:
    """At the minutes at which another day opens and closes."""
    minutes = ["00:00", "09:29", "09:30", "12:59", "13:00", "15:59", "16:00", "23:59"]
    found = {verdict(new_york(day, minute), TimeInForce.IOC) for minute in minutes}
    assert found == {CLOSED}, what


def test_the_year_after_a_saturday_new_year_has_no_holiday_on_the_friday_before() -> None:
    """2021-12-31: the exchange does not observe New Year's Day on a Friday of the old year."""
    assert verdict(new_york("2021-12-31", "09:30"), TimeInForce.IOC) is None


@pytest.mark.parametrize(
    ("day", "minute", "expected"),
    [
        ("2026-03-04", "03:59", None),  # overnight
        ("2026-03-04", "04:00", None),  # pre-market
        ("2026-03-04", "09:29", None),
        ("2026-03-04", "16:00", None),  # after hours
        ("2026-03-04", "19:59", None),
        ("2026-03-04", "20:00", None),  # overnight before Thursday
        ("2026-03-06", "19:59", None),
        ("2026-03-06", "20:00", CLOSED),  # nothing runs on a Friday night
        ("2026-03-08", "19:59", CLOSED),
        ("2026-03-08", "20:00", None),  # the week begins on Sunday, on the day of the change too
        ("2026-11-01", "19:59", CLOSED),
        ("2026-11-01", "20:00", None),
        ("2026-11-25", "19:59", None),
        ("2026-11-25", "20:00", CLOSED),  # the night before Thanksgiving
        ("2026-11-26", "19:59", CLOSED),
        ("2026-11-26", "20:00", None),  # the night before the half day
        ("2026-11-27", "12:59", None),
        ("2026-11-27", "13:00", None),  # after hours of a half day
        ("2026-12-31", "19:59", None),
        ("2026-12-31", "20:00", CLOSED),
    ],
)
def test_extended_hours(day: str, minute: str, expected: Reason | None) -> None:
    """What asks for them trades in all of Alpaca's sessions, and in none that there is not."""
    assert verdict(new_york(day, minute), TimeInForce.DAY, EXTENDED) == expected


@pytest.mark.parametrize(
    ("tif", "day", "minute", "expected"),
    [
        (TimeInForce.OPG, "2026-03-04", "09:27", None),
        (TimeInForce.OPG, "2026-03-04", "09:28", CLOSED),
        (TimeInForce.OPG, "2026-03-04", "18:59", CLOSED),
        (TimeInForce.OPG, "2026-03-04", "19:00", None),
        (TimeInForce.OPG, "2026-03-09", "09:27", None),
        (TimeInForce.OPG, "2026-03-09", "09:28", CLOSED),
        (TimeInForce.CLS, "2026-03-04", "15:49", None),
        (TimeInForce.CLS, "2026-03-04", "15:50", CLOSED),
        (TimeInForce.CLS, "2026-03-04", "18:59", CLOSED),
        (TimeInForce.CLS, "2026-03-04", "19:00", None),
        (TimeInForce.CLS, "2026-11-27", "12:49", None),
        (TimeInForce.CLS, "2026-11-27", "12:50", CLOSED),
        (TimeInForce.CLS, "2028-02-29", "15:49", None),
        (TimeInForce.CLS, "2028-02-29", "15:50", CLOSED),
    ],
)
def test_auctions(tif: TimeInForce, day: str, minute: str, expected: Reason | None) -> None:
    """Half days keep their ten minutes before the real close."""
    assert verdict(new_york(day, minute), tif) == expected


@pytest.mark.parametrize(
    ("tif", "signal"),
    [
        (TimeInForce.CLS, SIGNAL),
        (TimeInForce.DAY, EXTENDED),
    ],
)
def test_without_a_calendar_nothing_is_known(tif: TimeInForce, signal: Signal) -> None:
    """Beyond the shipped table a question about it has no answer, so the gate refuses."""
    at = datetime(2150, 3, 4, 22, 0, tzinfo=UTC)
    view = View(
        signal=signal,
        asset=Asset("id", "NVDA", "us_equity", True, True, True),
        rules=GateRules(allow_extended_hours=True),
        market=Market(is_open=False, at=at),
        age=0.0,
        starved=0.0,
        waited=0.0,
        time_in_force=tif,
    )
    denial = order_gates.market_open(view)
    assert denial is not None
    assert denial.reason == Reason.SESSION_UNKNOWN
    assert "2150-03-04" in denial.message
