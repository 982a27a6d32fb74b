"""Breaker, flips and the day's loss with the real service: tripped, kept, and ended by each way."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from solution.ledger import open_reader
from solution.ui.snapshot import read_all
from tests.helpers.clocks import eventually
from tests.helpers.service_process import GROUP, World

TICKERS = ["F", "BAC", "C", "CSCO", "INTC", "PFE", "KO", "NVDA"]
HELD, FAILING, FRESH = TICKERS[0], TICKERS[1:6], TICKERS[6:]
BUYING_POWER = json.dumps({"code": 40310000, "message": "insufficient buying power"})
INVALID = json.dumps({"code": 42210000, "message": "invalid limit_price"})


def command(made: World, *words: str) -> tuple[int, str]:
    """What `signalpaca WORDS…` exits with and prints."""
    done = made.command(*words)
    return done.returncode, done.stdout + done.stderr


def shown(made: World) -> Mapping[str, Any]:
    """The one running instance's picture of itself."""
    found = list(read_all(made.redis, GROUP).values())
    return found[0] if len(found) == 1 else {}


def change_today(made: World) -> str:
    """In percent, as shown; a total loss while a killed instance is still shown beside it."""
    return str((shown(made).get("day") or {}).get("change_pct", "-100"))


def breaker_is(made: World, state: str) -> bool:
    return bool(shown(made).get("breaker", {}).get("state") == state)


def state_row(made: World, key: str) -> dict[str, Any]:
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        return dict(json.loads(reader.get_state(key) or "{}"))


def told(made: World, entry: str) -> tuple[str, str]:
    """State of the end and its reason, once it is told."""
    made.await_ends([entry])
    event = made.final(entry)
    return event["event"], event.get("reason", "")


@pytest.fixture
def tripped(make_world: Callable[..., World]) -> World:
    """A share of F is held; then five orders in a row were answered with HTTP 500."""
    made = make_world(
        SYMBOLS=",".join(TICKERS), CIRCUIT_BREAKER_FAILURES="5", RESEND_UNKNOWN="false"
    )
    made.start()
    assert told(made, made.publish(HELD))[0] == "fill"
    made.admin("faults", {"text": "POST /v2/orders: status status=500 next=5"})
    for ticker in FAILING:
        made.publish(ticker)
    # Both: memory is first, and a row that is deleted before the trip stands in it resets nothing.
    assert eventually(lambda: state_row(made, "circuit_breaker_state").get("tripped") is True)
    assert eventually(lambda: breaker_is(made, "open"))
    return made


# --- breaker --------------------------------------------------------------------------------------


def test_five_errors_in_a_row_stop_entries_and_let_exits_pass(tripped: World) -> None:
    """Durably: the ledger has the trip, the commands and the status show it."""
    assert told(tripped, tripped.publish(FRESH[0])) == ("refused", "CIRCUIT_OPEN")
    assert told(tripped, tripped.publish(HELD, "s"))[0] == "fill"
    code, text = command(tripped, "breaker", "status")
    assert code == 1
    assert text.startswith("open: ")
    assert "HTTP 500" in text
    assert "! circuit breaker open: " in command(tripped, "status")[1]
    assert state_row(tripped, "trading_state:breaker")["state"] == "REDUCING"
    assert sum(tripped.posts().values()) == 7


def test_kill_9_and_a_restart_keep_it_open(tripped: World) -> None:
    """Nothing but the ledger remembers it."""
    tripped.services[-1].kill()
    tripped.start()
    assert told(tripped, tripped.publish(FRESH[0])) == ("refused", "CIRCUIT_OPEN")
    assert state_row(tripped, "circuit_breaker_state")["tripped"] is True


def by_command(made: World) -> None:
    code, text = command(made, "breaker", "reset", "--json")
    assert code == 0, text
    assert json.loads(text)["confirmed"] is True


def by_sqlite(made: World) -> None:
    with contextlib.closing(sqlite3.connect(made.ledger_path, timeout=10)) as ledger:
        ledger.execute("DELETE FROM bot_state WHERE key = 'circuit_breaker_state'")
        ledger.commit()
    assert eventually(lambda: breaker_is(made, "closed"))


def by_setting(made: World) -> None:
    assert made.services[-1].stop() == 0
    made.start(CIRCUIT_BREAKER_RESET="true")


@pytest.mark.parametrize("reset", [by_command, by_sqlite, by_setting])
def test_each_reset_lets_entries_through_again(
    tripped: World, reset: Callable[[World], None]
) -> None:
    """The first two while the service runs."""
    reset(tripped)
    assert told(tripped, tripped.publish(FRESH[0]))[0] == "fill"
    assert command(tripped, "breaker", "status")[0] == 0
    assert state_row(tripped, "circuit_breaker_state") == {}
    assert state_row(tripped, "trading_state:breaker") == {}


def test_resume_closes_it_as_well(tripped: World) -> None:
    """It lifts every restriction of the account, and the breaker notices."""
    assert command(tripped, "resume")[0] == 0
    assert eventually(lambda: breaker_is(tripped, "closed"))
    assert told(tripped, tripped.publish(FRESH[0]))[0] == "fill"


def test_mistakes_of_producers_do_not_count(make_world: Callable[..., World]) -> None:
    """Twelve refusals in a row of orders that were wrong, where two failures would open it."""
    made = make_world(SYMBOLS=",".join(TICKERS), CIRCUIT_BREAKER_FAILURES="2")
    made.start()
    for status, body in ((403, BUYING_POWER), (422, INVALID)):
        fault = {"target": "POST /v2/orders", "kind": "status", "status": status, "next": 6}
        made.admin("faults", {**fault, "body": body})
        for _ in range(6):
            assert told(made, made.publish(FRESH[0])) == ("rejected", "REFUSED_BY_BROKER")
    assert state_row(made, "circuit_breaker_state") == {}
    assert told(made, made.publish(FRESH[0]))[0] == "fill"


def test_orders_that_are_rejected_after_they_were_taken_open_it(
    make_world: Callable[..., World],
) -> None:
    """Each of them was accepted."""
    made = make_world(SYMBOLS=",".join(TICKERS), CIRCUIT_BREAKER_FAILURES="3")
    made.start()
    made.admin("faults", {"text": "orders: reject next=3"})
    for ticker in FAILING[:3]:
        assert told(made, made.publish(ticker))[0] == "rejected"
    assert told(made, made.publish(FRESH[0])) == ("refused", "CIRCUIT_OPEN")


def test_after_the_cool_down_one_order_sees_whether_it_works_again(
    make_world: Callable[..., World],
) -> None:
    """A failed probe opens it anew; an accepted one closes it."""
    made = make_world(
        SYMBOLS=",".join(TICKERS),
        CIRCUIT_BREAKER_FAILURES="2",
        CIRCUIT_BREAKER_COOLDOWN="1",
        RESEND_UNKNOWN="false",
    )
    made.start()
    made.admin("faults", {"text": "POST /v2/orders: status status=500 next=3"})
    for ticker in FAILING[:2]:
        made.publish(ticker)
    assert eventually(lambda: breaker_is(made, "half-open"))
    opened = state_row(made, "circuit_breaker_state")["at_ms"]
    made.publish(FAILING[2])
    assert eventually(lambda: state_row(made, "circuit_breaker_state").get("at_ms", 0) > opened)
    assert sum(made.posts().values()) == 3
    again = state_row(made, "circuit_breaker_state")["at_ms"]
    assert eventually(lambda: made.redis_ms() > again + 1_050)
    assert told(made, made.publish(FRESH[0]))[0] == "fill"
    assert eventually(lambda: breaker_is(made, "closed"))
    assert told(made, made.publish(FRESH[1]))[0] == "fill"


def test_one_probe_goes_out_while_the_broker_takes_orders_and_answers_none(
    make_world: Callable[..., World],
) -> None:
    """Its fill by the order stream frees no place, and a kill -9 in between costs a cool-down."""
    made = make_world(
        SYMBOLS=",".join(TICKERS),
        CIRCUIT_BREAKER_FAILURES="2",
        CIRCUIT_BREAKER_COOLDOWN="2",
        RESEND_UNKNOWN="false",
    )
    made.start()
    made.admin("faults", {"text": "POST /v2/orders: status status=500 next=2"})
    for ticker in FAILING[:2]:
        made.publish(ticker)
    assert eventually(lambda: breaker_is(made, "half-open"))
    made.admin("faults", {"text": "POST /v2/orders: no_answer"})
    assert told(made, made.publish(HELD))[0] == "fill"
    for ticker in FRESH:
        assert told(made, made.publish(ticker)) == ("refused", "CIRCUIT_OPEN")
    probed = state_row(made, "circuit_breaker_state")
    assert (probed["probe"] != "", sum(made.posts().values())) == (True, 3)
    made.services[-1].kill()
    made.start()
    again = state_row(made, "circuit_breaker_state")
    assert (again["probe"], again["at_ms"] > probed["at_ms"] + 2_000) == ("", True)
    assert sum(made.posts().values()) == 3


# --- flips -------------------------------------------------------------------------------


def test_a_ticker_that_goes_round_in_circles_is_halted_until_a_person_resumes_it(
    make_world: Callable[..., World],
) -> None:
    """Counted across a kill -9; the others trade on, and after a resume it begins anew."""
    made = make_world(SYMBOLS="F,BAC", MAX_FLIPS="3")
    made.start()
    for direction in "bsb":
        assert told(made, made.publish("F", direction))[0] == "fill"
    made.services[-1].kill()
    made.start()
    for direction in "sb":
        assert told(made, made.publish("F", direction))[0] == "fill"
    assert eventually(lambda: "F" in shown(made).get("halted", {}))
    assert told(made, made.publish("F", "s")) == ("refused", "TICKER_HALTED")
    assert told(made, made.publish("BAC"))[0] == "fill"
    assert command(made, "resume", "F")[0] == 0
    for direction in "sbsb":
        assert told(made, made.publish("F", direction))[0] == "fill"
    assert shown(made)["halted"] == {}


# --- the day's loss ----------------------------------------------------------------------


def test_a_loss_stops_entries_and_a_restart_does_not_forget_it(
    make_world: Callable[..., World],
) -> None:
    """Seen within twenty seconds of the fall; the price comes back, and the trip stays."""
    made = make_world("--volatility", "0", SYMBOLS="F,BAC", MAX_DAILY_LOSS_PCT="0.02", QTY="1000")
    made.admin("prices", {"F": "20"})
    made.start()
    assert told(made, made.publish("F"))[0] == "fill"
    made.admin("prices", {"F": "10"})
    assert eventually(lambda: bool(state_row(made, "day").get("trips")), 30)
    row = state_row(made, "trading_state:daily_loss")
    assert (row["state"], row["reason"]) == ("REDUCING", "DAILY_LOSS")
    assert row["until_ms"] > row["at_ms"]
    day = state_row(made, "day")
    assert told(made, made.publish("BAC")) == ("refused", "DAILY_LOSS")
    made.services[-1].kill()
    made.start()
    assert state_row(made, "day") == day
    assert told(made, made.publish("BAC")) == ("refused", "DAILY_LOSS")
    assert told(made, made.publish("F", "s", qty="1"))[0] == "fill"
    assert "loss limit 2.00 %" in command(made, "status")[1]
    made.admin("prices", {"F": "20"})
    assert eventually(lambda: Decimal(change_today(made)) > -1, 30)
    assert told(made, made.publish("BAC", qty="1")) == ("refused", "DAILY_LOSS")
    assert command(made, "resume")[0] == 0
    assert eventually(lambda: told(made, made.publish("BAC", qty="1"))[0] == "fill")
