"""More situations as in ``every_reason``: broker, account, session and Redis are the cause."""

import sqlite3
import urllib.request
from contextlib import closing

import orjson

from solution.domain.reasons import Reason
from tests.helpers.clocks import eventually
from tests.helpers.every_reason import Entries, Ran, buy, fault, one_by_one, ran, until_refused
from tests.helpers.service_process import KEY, SECRET, Fields, World

A_WEEK_MS = 7 * 86_400_000
FAILING = {
    "SYMBOLS": "F,T,C,BAC",
    "SIZING": "sizes:size",
    "QTY": "",
    "RESEND_UNKNOWN": "false",
    "MAX_QUEUE_WAIT": "2",
    "ALLOW_SHORT": "false",
    "PRICE_COLLAR_PCT": "0.1",
}
SIZES = '''
"""A sizing function with two bugs."""


def size(signal, holdings, quote):
    if signal.ticker == "PFE":
        raise ValueError("no idea")
    if signal.ticker == "KO":  # not its own to change: a gate of the service trips over it
        object.__setattr__(quote, "last", "nonsense")
    return 1
'''


def failing(made: World) -> Ran:
    """Answers that go wrong, and a week later a start on an account that is blocked soon after."""
    made.directory.mkdir(parents=True, exist_ok=True)
    (made.directory / "sizes.py").write_text(SIZES)
    made.place("INTC", "taken", qty="3")
    ends = {Reason.ID_CONFLICT: made.publish_raw(buy("AMD", signal_id="taken"))}
    service = made.start()
    made.await_ends([*ends.values()])  # the faults that follow are for others
    ends |= answered_badly(made)
    own: dict[Reason, Fields] = {
        Reason.SHORT_NOT_ALLOWED: {**buy("F"), "direction": "s", "action": "short_sell"},
        Reason.SIZING_FAILED: {"ticker": "PFE", "direction": "b"},
        Reason.INTERNAL_ERROR: {"ticker": "KO", "direction": "b"},
        Reason.INSUFFICIENT_BUYING_POWER: buy("BAC", "1000000"),
    }
    ends |= {reason: one_by_one(made, fields) for reason, fields in own.items()}
    ends[Reason.ENTRY_ID_REUSED] = given_again(made)
    service.kill()
    return ran(made, ends | a_week_later(made, ends[Reason.EXPIRED_UNCONFIRMED]))


def answered_badly(made: World) -> Entries:
    """Refused, not let in, unclear, absent, too busy: one order after the other."""
    ends: Entries = {}
    for reason, ticker, text in (
        (Reason.REFUSED_BY_BROKER, "F", "status status=422"),
        (Reason.UNAUTHORIZED, "F", "status status=401"),
        (Reason.QUEUE_WAIT_EXCEEDED, "BAC", "storm ms=1900"),
    ):
        made.admin("faults", {"text": f"POST /v2/orders: {text} next=1"})
        ends[reason] = one_by_one(made, buy(ticker))
    made.admin("faults", {"text": "POST /v2/orders: reset_before next=1"})
    absent = made.publish_raw(buy("C"))
    assert eventually(lambda: "expired_unconfirmed" in made.told()[absent], 15)
    ends[Reason.OUTCOME_UNKNOWN] = ends[Reason.EXPIRED_UNCONFIRMED] = absent
    ends[Reason.EXPOSURE_UNCONFIRMED] = one_by_one(made, buy("C"))
    return ends


def given_again(made: World) -> str:
    """Redis comes back without the stream, and gives an id that is in hand to another signal."""
    made.admin("faults", {"text": "POST /v2/orders: latency ms=3000 next=1"})
    before = len(made.rows())
    entry = made.publish_raw(buy("BAC"))
    assert eventually(lambda: len(made.rows()) > before)
    made.redis.delete("nvda")
    made.redis.xadd("nvda", dict(buy("BAC", "2")), id=entry)
    assert eventually(lambda: {"dead_letter!", "fill!"} <= set(made.told()[entry]))
    return entry


def a_week_later(made: World, absent: str) -> Entries:
    """By what the ledger says; then the owner suspends the account at the broker."""
    with closing(sqlite3.connect(made.ledger_path, timeout=10)) as ledger:
        ledger.execute(
            "UPDATE order_intents SET submitted_ms = submitted_ms - ? WHERE entry_id = ?",
            (A_WEEK_MS, absent),
        )
        ledger.commit()
    made.start()
    one_by_one(made, buy("F"))  # what was filled has the account asked for
    suspend(made)
    assert eventually(lambda: made.ended([absent]), 30)
    return {
        Reason.ABSENT_CONFIRMED: absent,
        Reason.ACCOUNT_BLOCKED: until_refused(made, Reason.ACCOUNT_BLOCKED, ticker="F"),
    }


def suspend(made: World) -> None:
    """As the account's owner does on the broker's page."""
    request = urllib.request.Request(  # noqa: S310 - our own exchange
        f"{made.exchange.url}/v2/account/configurations",
        b'{"suspend_trade": true}',
        {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET},
        method="PATCH",
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own exchange


CLOSING = ("--session", "nyse", "--stepped", "--start", "2026-03-06T20:59:58Z")
"""Two seconds before the close, where the exchange's clock stands still."""


def closing_time(made: World) -> Ran:
    """The bell has rung by the time that has passed since, and the clock does not answer."""
    made.start()
    ends: Entries = {}
    with fault(made, target="GET /v2/clock", kind="status", status=503):
        ends[Reason.SESSION_UNKNOWN] = until_refused(made, Reason.SESSION_UNKNOWN, ticker="F")
    made.admin("clock", {"advance": 3600})
    ends[Reason.MARKET_CLOSED] = until_refused(made, Reason.MARKET_CLOSED, ticker="F")
    return ran(made, ends)


def losing(made: World) -> Ran:
    """Half of a position's worth is lost before the start; one asset may not be traded."""
    made.admin("prices", {"F": "20"})
    order = {"symbol": "F", "qty": "1000", "side": "buy", "type": "market", "time_in_force": "day"}
    made.broker("orders", order)
    made.admin("prices", {"F": "10"})
    assets = [one | {"tradable": one["symbol"] != "KO"} for one in made.broker("assets")]
    rule = {"target": "GET /v2/assets", "kind": "garbage", "next": 1}
    made.admin("faults", {**rule, "body": orjson.dumps(assets).decode()})
    made.start()
    return ran(
        made,
        {
            Reason.DRAWDOWN: one_by_one(made, buy("T")),
            Reason.NOT_TRADABLE: one_by_one(made, buy("KO")),
        },
    )
