"""Every reason code is reached by the real service: here, or in the test that ELSEWHERE names."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from solution.domain.reasons import Reason
from tests.helpers import every_failure, every_reason
from tests.helpers.every_reason import Ran
from tests.helpers.service_process import World, world

TESTS = Path(__file__).resolve().parents[1]
REFUSING = (
    *every_reason.alone(0),
    *(Reason.PAYLOAD_LOST, Reason.SIGNAL_ID_REUSED, Reason.STALE_SIGNAL, Reason.SUPERSEDED),
    *(Reason.ORPHAN, Reason.TICKER_HALTED, Reason.DUPLICATE_SIGNAL, Reason.NOT_ABOVE_ENTRY),
    *(Reason.WASH_TRADE, Reason.ORDERS_PER_MINUTE, Reason.GROSS_EXPOSURE_CAP),
    *(Reason.TRADES_PER_DAY, Reason.NO_PRICE, Reason.STALE_PRICE, Reason.CONTROL_REFUSED),
    *(Reason.REDUCING_ONLY, Reason.TRADING_HALTED, Reason.KILL_SWITCH),
)
FAILING = (
    *(Reason.REFUSED_BY_BROKER, Reason.UNAUTHORIZED, Reason.OUTCOME_UNKNOWN, Reason.ID_CONFLICT),
    *(Reason.QUEUE_WAIT_EXCEEDED, Reason.EXPIRED_UNCONFIRMED, Reason.EXPOSURE_UNCONFIRMED),
    *(Reason.SHORT_NOT_ALLOWED, Reason.SIZING_FAILED, Reason.INTERNAL_ERROR),
    *(Reason.INSUFFICIENT_BUYING_POWER, Reason.ENTRY_ID_REUSED, Reason.ABSENT_CONFIRMED),
    Reason.ACCOUNT_BLOCKED,
)
CLOSING = (Reason.SESSION_UNKNOWN, Reason.MARKET_CLOSED)
LOSING = (Reason.DRAWDOWN, Reason.NOT_TRADABLE)
ELSEWHERE = {
    Reason.POISON: (
        "acceptance/test_restarts.py",
        "test_an_entry_that_kills_whoever_reads_it_costs_three_lives",
    ),
    Reason.STATE_UNKNOWN: (
        "acceptance/test_trading_state.py",
        "test_a_state_that_cannot_be_read_sends_nothing",
    ),
    Reason.CIRCUIT_OPEN: (
        "acceptance/test_limits_that_trip.py",
        "test_five_errors_in_a_row_stop_entries_and_let_exits_pass",
    ),
    Reason.DAILY_LOSS: (
        "acceptance/test_limits_that_trip.py",
        "test_a_loss_stops_entries_and_a_restart_does_not_forget_it",
    ),
    Reason.LIVE_NOT_ALLOWED: (
        "acceptance/test_going_live.py",
        "test_another_account_that_answers_gets_no_order",
    ),
    Reason.KEY_LIMIT: (
        "acceptance/test_signed_intake.py",
        "test_what_a_key_may_not_do_is_refused",
    ),
    Reason.NOT_SENT: (
        "acceptance/test_order_path.py",
        "test_a_broker_that_is_down_gets_each_signal_once_or_never",
    ),
}
"""What is expensive to bring about: file and test that do."""

_ALL = list(Reason)
EVENTS = (
    dict.fromkeys(Reason, "refused")
    | dict.fromkeys(_ALL[: _ALL.index(Reason.KILL_SWITCH)], "dead_letter")
    | dict.fromkeys((Reason.REFUSED_BY_BROKER, Reason.UNAUTHORIZED, Reason.ID_CONFLICT), "rejected")
    | {
        Reason.ORPHAN: "submitted",
        Reason.CONTROL_REFUSED: "control_refused",
        Reason.OUTCOME_UNKNOWN: "unknown",
        Reason.EXPIRED_UNCONFIRMED: "expired_unconfirmed",
        Reason.ABSENT_CONFIRMED: "expired_unconfirmed",
    }
)
"""The name of the event that tells it."""
PASSING = {Reason.CONTROL_REFUSED, Reason.OUTCOME_UNKNOWN, Reason.EXPIRED_UNCONFIRMED}
"""Told, and not in the ledger once all is over: of no signal, or followed by another end."""

Worlds = Callable[..., Any]


@pytest.fixture(scope="module")
def worlds(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Worlds for one group each."""

    @contextmanager
    def make(name: str, *options: str, **settings: str) -> Iterator[World]:
        with world(tmp_path_factory.mktemp(name), *options, **settings) as made:
            yield made

    return make


@pytest.fixture(scope="module")
def refusing(worlds: Worlds, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Narrow settings, odd prices, and a person who stops it in the end."""
    prices = every_reason.recorded(tmp_path_factory.mktemp("prices"))
    symbols = ",".join(every_reason.CHEAP)
    options = ("--volatility", "0", "--symbols", symbols, "--replay", prices)
    options += ("--replay-times", "recorded")
    with worlds("refusing", *options, **every_reason.REFUSING) as made:
        yield every_reason.refusing(made)


@pytest.fixture(scope="module")
def failing(worlds: Worlds) -> Iterator[Ran]:
    """A broker, a sizing function and a Redis that do what they should not."""
    with worlds("failing", **every_failure.FAILING) as made:
        yield every_failure.failing(made)


@pytest.fixture(scope="module")
def closing(worlds: Worlds) -> Iterator[Ran]:
    """The end of a session; the exchange's days are not ours, so its quotes have no age by ours."""
    with worlds("closing", *every_failure.CLOSING, SYMBOLS="F", MAX_QUOTE_AGE="0") as made:
        yield every_failure.closing_time(made)


@pytest.fixture(scope="module")
def losing(worlds: Worlds) -> Iterator[Ran]:
    """An account that has lost a tenth of its worth today."""
    settings = {"SYMBOLS": "F,T", "MAX_DRAWDOWN_PCT": "0.02"}
    with worlds("losing", "--volatility", "0", **settings) as made:
        yield every_failure.losing(made)


def check(found: Ran, reason: Reason) -> None:
    """Told on the stream in words, under the name that belongs to it, and kept in the ledger."""
    told = found.told(reason)
    assert told, (reason, [e for e in found.events if e.get("entry_id") == found.entries[reason]])
    assert {event["event"] for event in told} == {EVENTS[reason]}
    assert all(event["message"] for event in told)
    assert (reason in found.kept(reason)) is (reason not in PASSING)


@pytest.mark.parametrize("reason", REFUSING)
def test_what_settings_prices_and_people_refuse(refusing: Ran, reason: Reason) -> None:
    """One service: the input errors, the limits, the prices, the ways to stop."""
    check(refusing, reason)


@pytest.mark.parametrize("reason", FAILING)
def test_what_fails_beside_us(failing: Ran, reason: Reason) -> None:
    """One service and its restart a week later."""
    check(failing, reason)


@pytest.mark.parametrize("reason", CLOSING)
def test_what_the_session_refuses(closing: Ran, reason: Reason) -> None:
    """Unknown while the clock is silent, closed once it says so."""
    check(closing, reason)


@pytest.mark.parametrize("reason", LOSING)
def test_what_account_and_asset_refuse(losing: Ran, reason: Reason) -> None:
    """As the broker's account and its list of assets say at the start."""
    check(losing, reason)


@pytest.mark.parametrize("reason", ELSEWHERE)
def test_what_another_test_reaches(reason: Reason) -> None:
    """It exists, and names the code."""
    file, name = ELSEWHERE[reason]
    source = (TESTS / file).read_text(encoding="utf-8")
    assert f"def {name}(" in source
    assert f'"{reason}"' in source


def test_no_reason_is_left_out_and_none_named_twice() -> None:
    """A new code needs a situation here, or a test elsewhere."""
    reached = Counter((*REFUSING, *FAILING, *CLOSING, *LOSING, *ELSEWHERE))
    assert reached == Counter(Reason)
