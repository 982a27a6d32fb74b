"""The order path from XADD to the last event, with a broker that fails in every way it can.

Each run publishes one signal per symbol, all at once, and each symbol has a fault of its own. The
exchange's books and the proxy's log of POSTs are the witnesses.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from solution.domain.records import Intent
from tests.helpers import fault_broker as broken
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import Fault, FaultBroker, Unread, accept_then
from tests.helpers.service_process import World, world

LIMIT = {"order_type": "limit", "limit_price": "1", "time_in_force": "day", "qty": "1"}
ERROR = broken.status(500, {"code": 50010000, "message": "internal server error occurred"})
HTML = broken.status(502, b"<html>502 Bad Gateway</html>")
TIMEOUT = broken.status(504, b"<html>504 Gateway Time-out</html>")
NO_POWER = broken.status(403, {"code": 40310000, "message": "insufficient buying power"})


@dataclass
class Story:
    """What one signal came to: events told, POSTs seen, the order and the row it left."""

    entry_id: str
    told: list[str]
    posts: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    row: Intent | None
    last: dict[str, str]


class Run:
    """A world with a proxy before its exchange, and one story per symbol."""

    def __init__(self, made: World) -> None:
        self.world = made
        self.broker: FaultBroker = made.proxy
        self.entries: dict[str, str] = {}
        self.stories: dict[str, Story] = {}

    def publish(self, symbol: str, **fields: str) -> None:
        """The symbol's one signal; its signal_id is the symbol."""
        self.entries[symbol] = self.world.publish(symbol, signal_id=symbol, **fields)

    def tell(self) -> None:
        """Collect what became of each."""
        events, told = self.world.events(), self.world.told()
        rows = {row.signal_id: row for row in self.world.rows().values()}
        orders = self.world.orders()
        for symbol, entry in self.entries.items():
            mine = [event for event in events if event.get("entry_id") == entry]
            self.stories[symbol] = Story(
                entry_id=entry,
                told=told.get(entry, []),
                posts=self.broker.posts_of(symbol),
                orders=[order for order in orders if order["symbol"] == symbol],
                row=rows.get(symbol),
                last=mine[-1] if mine else {},
            )


def faulty(directory: Path, symbols: list[str], **settings: Any) -> Any:
    """A world whose exchange lists these symbols behind a proxy."""
    return world(
        directory,
        "--symbols",
        ",".join(symbols),
        proxy=FaultBroker,
        SYMBOLS=",".join(symbols[:1]),
        **settings,
    )


# --- an unclear answer, and the order may be sent again -------------------------------------

ADOPTED: dict[str, Fault] = {
    "ADROP": accept_then(broken.drop()),
    "AERROR": accept_then(ERROR),
    "AHTML": accept_then(HTML),
    "ATIMEOUT": accept_then(TIMEOUT),
    "ACUT": broken.cut_off,
    "AEMPTY": accept_then(broken.status(200)),
    "AOTHER": accept_then(broken.status(200, {"message": "welcome"})),
    "AHANG": accept_then(broken.silence()),
    "ALOOKUP": accept_then(broken.drop()),
}
"""Taken by the exchange, and the answer says nothing."""
RESENT: dict[str, Fault | Unread] = {
    "NDROP": broken.drop(),
    "NRESET": broken.reset_unread(),
    "NERROR": ERROR,
    "NHTML": HTML,
    "NTIMEOUT": TIMEOUT,
    "NEMPTY": broken.status(200),
}
"""The same, and the exchange never got it."""
STALE: dict[str, Fault] = {"SERROR": ERROR, "SDROP": broken.drop()}
"""Never got it, and the signal is too old by the time that is known."""
STREAM = {"EDOUBLE": broken.twice, "EBACK": broken.backwards, "ESILENT": broken.never}
EARLIER = 2.0
"""Seconds by which a fill is told before the answer to its order."""
OTHERS = ["NLATE", "NTWICE", "N422", "REFUSED", "EFIRST", "DEARLY", "DSAME", "COTHER"]
LIMITED = ["RATE", "AFTER"]


@pytest.fixture(scope="module")
def resending(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run with RESEND_UNKNOWN=true over every fault."""
    symbols = [*ADOPTED, *RESENT, *STALE, *STREAM, *OTHERS, *LIMITED]
    folder = tmp_path_factory.mktemp("resending")
    with faulty(folder, symbols, RESEND_UNKNOWN="true") as made:
        run = Run(made)
        _script(run.broker)
        run.publish("DEARLY")
        made.place("DEARLY", "DEARLY", qty="1")
        service = made.start(workers=32)
        made.place("DSAME", "DSAME", qty="1")
        made.place("COTHER", "COTHER", qty="2")
        for symbol in [*ADOPTED, *RESENT, *STREAM, *OTHERS]:
            if symbol != "DEARLY":
                run.publish(symbol)
        for symbol in STALE:
            run.publish(symbol, max_age="2")
        made.await_ends([entry for s, entry in run.entries.items() if s not in STALE], 25)
        run.publish("RATE")
        # Arrived is not yet answered: the next may leave until the service has read the 429.
        refused = f"order_not_taken client_order_id={made.coid('RATE')}"
        assert eventually(lambda: refused in service.text), service.text
        run.publish("AFTER")
        made.await_ends([run.entries[symbol] for symbol in LIMITED])
        assert service.stop() == 0, service.text
        run.tell()
        yield run


def _script(broker: FaultBroker) -> None:
    """The faults of the resending run."""
    for symbol, fault in {**ADOPTED, **RESENT, **STALE}.items():
        broker.on_post(symbol, fault)
    for symbol in ADOPTED:
        broker.on_stream(symbol, broken.never)  # so that only a lookup can tell
    for symbol, policy in STREAM.items():
        broker.on_stream(symbol, policy)
    broker.on_lookup("ALOOKUP", ERROR, TIMEOUT, broken.drop())
    broker.on_post("NLATE", broken.late(1.0))
    broker.on_post("NTWICE", broken.late(3.5))
    broker.on_post("N422", accept_then(broken.drop()))
    broker.hide("N422", until_posts=2)
    broker.on_stream("N422", broken.never)
    broker.on_post("REFUSED", NO_POWER)
    broker.on_post("EFIRST", broken.slow_answer(EARLIER))
    broker.on_post("RATE", broken.status(429, {"message": "too many requests."}, Retry_After="1"))


@pytest.mark.parametrize("symbol", ADOPTED)
def test_an_order_whose_answer_was_lost_is_adopted(resending: Run, symbol: str) -> None:
    """Looked up and found: one POST, one order, told once, final."""
    story = resending.stories[symbol]
    assert story.told == ["unknown", "submitted", "fill!"]
    assert (len(story.posts), len(story.orders)) == (1, 1)
    assert story.row is not None
    assert story.row.filled_qty == Decimal(1)


@pytest.mark.parametrize("symbol", RESENT)
def test_an_order_that_never_arrived_is_sent_again_as_it_was(resending: Run, symbol: str) -> None:
    """Three lookups found nothing and the signal is fresh: the identical body, one order."""
    story = resending.stories[symbol]
    assert story.told[0] == "unknown"
    assert story.told[-1] == "fill!"
    assert len(story.orders) == 1
    unread = symbol == "NRESET"  # a reset before reading left no trace in the proxy's log
    assert len(story.posts) == (1 if unread else 2)
    assert all(body == story.posts[0] for body in story.posts)


@pytest.mark.parametrize("symbol", STALE)
def test_a_stale_signal_is_not_sent_again(resending: Run, symbol: str) -> None:
    """EXPIRED_UNCONFIRMED: acknowledged, told, not final, no order."""
    story = resending.stories[symbol]
    assert story.told == ["unknown", "expired_unconfirmed"]
    assert (len(story.posts), len(story.orders)) == (1, 0)
    assert story.row is not None
    assert story.row.state == "EXPIRED_UNCONFIRMED"


def test_an_order_that_arrives_late_is_found_by_a_lookup(resending: Run) -> None:
    """404 at first, there a second later: adopted, not sent again."""
    story = resending.stories["NLATE"]
    assert story.told[-1] == "fill!"
    assert (len(story.posts), len(story.orders)) == (1, 1)


def test_an_order_that_arrives_after_its_resend_makes_no_second_one(resending: Run) -> None:
    """The exchange sees the same id twice and refuses the late one."""
    story = resending.stories["NTWICE"]
    assert story.told[-1] == "fill!"
    assert (len(story.posts), len(story.orders)) == (2, 1)
    assert eventually(lambda: resending.world.posts()[story.posts[0]["client_order_id"]] == 2)


def test_a_resend_that_meets_its_own_order_adopts_it(resending: Run) -> None:
    """Lookups lag behind, the second POST gets the 422: unclear once more, and a success path."""
    story = resending.stories["N422"]
    assert story.told == ["unknown", "unknown", "submitted", "fill!"]
    assert (len(story.posts), len(story.orders)) == (2, 1)


def test_an_order_that_is_there_already_is_adopted(resending: Run) -> None:
    """Same id, same content, made after the signal's time: ours, by an earlier process."""
    story = resending.stories["DSAME"]
    assert story.told == ["unknown", "submitted", "fill!"]
    assert (len(story.posts), len(story.orders)) == (1, 1)


def test_an_order_without_a_row_is_adopted_without_a_post(resending: Run) -> None:
    """At the broker before the service started, and its row is gone: nothing is sent."""
    story = resending.stories["DEARLY"]
    assert story.told == ["submitted", "fill!"]
    assert (len(story.posts), len(story.orders)) == (0, 1)


def test_another_order_under_our_id_is_a_conflict(resending: Run) -> None:
    """ID_CONFLICT, final, in words that name the difference; nothing is sent again."""
    story = resending.stories["COTHER"]
    assert story.told == ["unknown", "rejected!"], story.last
    assert story.last["reason"] == "ID_CONFLICT"
    assert story.last["message"].startswith("qty")
    assert len(story.posts) == 1


def test_a_definite_no_ends_the_signal(resending: Run) -> None:
    """HTTP 403 with a code: REJECTED with the broker's words."""
    story = resending.stories["REFUSED"]
    assert story.told == ["rejected!"]
    assert story.last["reason"] == "REFUSED_BY_BROKER"
    assert "insufficient buying power" in story.last["message"]
    assert story.orders == []


def test_a_fill_that_overtakes_its_answer_is_told_at_once(resending: Run) -> None:
    """The order's end is on record before the POST's answer comes."""
    story = resending.stories["EFIRST"]
    assert story.told[-1] == "fill!"
    assert "unknown" not in story.told
    assert story.row is not None
    assert story.row.ended_ms - story.row.submitted_ms < EARLIER * 1000


@pytest.mark.parametrize("symbol", STREAM)
def test_a_stream_that_repeats_reverses_or_keeps_silent_changes_nothing(
    resending: Run, symbol: str
) -> None:
    """One fill told, one execution booked; without any message a poll finds the end."""
    story = resending.stories[symbol]
    assert story.told[0] == "submitted"
    assert [name for name in story.told if "fill" in name] == ["fill!"]
    assert story.row is not None
    assert story.row.filled_qty == Decimal(1)


def test_the_rate_limit_pauses_everything_and_loses_nothing(resending: Run) -> None:
    """HTTP 429: nothing goes out before Retry-After, then the same body and the next signal."""
    limited, after = resending.stories["RATE"], resending.stories["AFTER"]
    first, second = resending.broker.times_of("RATE")
    assert limited.posts[0] == limited.posts[1]
    assert second - first >= 1.0
    assert resending.broker.times_of("AFTER")[0] - first >= 1.0
    assert limited.told[-1] == after.told[-1] == "fill!"
    assert len(limited.orders) == 1


def test_every_signal_of_the_run_has_one_end_and_every_order_a_row(resending: Run) -> None:
    """I1, I2: one final event each but for the unconfirmed, and no order without its row."""
    finals = [event["entry_id"] for event in resending.world.events() if event["final"] == "1"]
    confirmed = [entry for symbol, entry in resending.entries.items() if symbol not in STALE]
    assert sorted(finals) == sorted(confirmed)
    ids = [order["client_order_id"] for order in resending.world.orders()]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= set(resending.world.rows())


# --- an unclear answer, and nothing may be sent again ---------------------------------------


@pytest.fixture(scope="module")
def careful(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One run with RESEND_UNKNOWN=false."""
    symbols = ["LOST", "TAKEN", "LFILL", "LOPEN", "LQUIET"]
    folder = tmp_path_factory.mktemp("careful")
    with faulty(folder, symbols, RESEND_UNKNOWN="false") as made:
        run = Run(made)
        run.broker.on_post("LOST", ERROR)
        run.broker.on_post("TAKEN", accept_then(HTML))
        run.broker.on_stream("LQUIET", broken.never)
        for symbol in symbols[2:]:
            run.broker.on_post(symbol, broken.late(4.5))
        service = made.start(workers=8)
        for symbol in symbols:
            run.publish(symbol, **(LIMIT if symbol == "LOPEN" else {}))
        made.await_ends([entry for s, entry in run.entries.items() if s != "LOST"], 25)
        assert service.stop() == 0, service.text
        run.tell()
        yield run


def test_without_permission_an_absent_order_is_not_sent_again(careful: Run) -> None:
    """One POST, EXPIRED_UNCONFIRMED, acknowledged."""
    story = careful.stories["LOST"]
    assert story.told == ["unknown", "expired_unconfirmed"]
    assert (len(story.posts), len(story.orders)) == (1, 0)


def test_without_permission_an_order_that_got_through_is_adopted(careful: Run) -> None:
    """Looking up needs no permission."""
    assert careful.stories["TAKEN"].told[-1] == "fill!"
    assert len(careful.stories["TAKEN"].posts) == 1


@pytest.mark.parametrize("symbol", ["LFILL", "LQUIET"])
def test_a_late_order_is_corrected_and_its_fill_booked(careful: Run, symbol: str) -> None:
    """Accepted after we gave up; told by the stream, or found by the watch when that is silent."""
    story = careful.stories[symbol]
    assert story.told[:3] == ["unknown", "expired_unconfirmed", "corrected"]
    assert story.told[-1] == "fill!"
    assert (len(story.posts), len(story.orders)) == (1, 1)
    assert story.row is not None
    assert (story.row.state, story.row.filled_qty) == ("FILLED", Decimal(1))


def test_a_late_order_that_is_open_is_cancelled(careful: Run) -> None:
    """Nobody waits for it any more: cancelled at the exchange, one final event."""
    story = careful.stories["LOPEN"]
    assert story.told[:3] == ["unknown", "expired_unconfirmed", "corrected"]
    assert story.told[-1] == "canceled!"
    assert [order["status"] for order in story.orders] == ["canceled"]


# --- the broker is away ---------------------------------------------------------------------


def test_a_broker_that_is_down_gets_each_signal_once_or_never(
    redis_executable: str, tmp_path: Path
) -> None:
    """Back after three seconds: sent once. Beyond a signal's age: NOT_SENT, never an order."""
    with faulty(tmp_path, ["DOWN", "GONE"]) as made:
        run = Run(made)
        made.start()
        run.broker.close()
        back_at = time.monotonic() + 3.0
        run.publish("GONE", max_age="1")
        run.publish("DOWN")
        gone, down = run.entries["GONE"], run.entries["DOWN"]
        assert eventually(lambda: made.told()[gone] == ["refused!"], 10)
        assert eventually(lambda: time.monotonic() > back_at)
        assert made.told()[down] == []
        run.broker.open()
        made.await_ends([down, gone])
        run.tell()
        assert run.stories["GONE"].last["reason"] == "NOT_SENT"
        assert run.stories["GONE"].orders == []
        assert run.stories["DOWN"].told[-1] == "fill!"
        assert len(run.stories["DOWN"].posts) == len(run.stories["DOWN"].orders) == 1


def polls(made: World) -> int:
    """How often an order was asked for by its id."""
    asked = [e for e in made.admin("log")["entries"] if e["path"].startswith("/v2/orders/")]
    return len(asked)


def test_a_reconnected_stream_is_reconciled(redis_executable: str, tmp_path: Path) -> None:
    """An order fills while the stream is cut: known at once after it is back, not by a poll."""
    with faulty(tmp_path, ["REST"]) as made:
        run = Run(made)
        made.start()
        run.publish("REST", **LIMIT)
        entry = run.entries["REST"]
        assert eventually(lambda: polls(made) == 3, 10)  # the fourth is four seconds away
        run.broker.stream_open = False
        run.broker.cut_streams()
        made.admin("prices", {"REST": 0.5})
        assert eventually(lambda: made.orders()[0]["status"] == "filled")
        run.broker.stream_open = True
        made.await_ends([entry], 3.5)
        assert made.told()[entry] == ["submitted", "new", "fill!"]


# --- nothing fails --------------------------------------------------------------------------


def test_the_clean_path(redis_executable: str, tmp_path: Path) -> None:
    """N signals, N orders, one final event each; ledger, broker and executions agree."""
    symbols = ["NVDA", "AAPL", "AMD", "MSFT"]
    with world(tmp_path, "--partial-fill-rate", "0.3", SYMBOLS=",".join(symbols)) as made:
        service = made.start(workers=8)
        entries = [made.publish(symbols[n % 4], qty=str(1 + n % 3)) for n in range(400)]
        made.await_ends(entries)
        made.check(entries)
        assert service.stop() == 0
        assert "ERROR" not in service.text
        assert set(made.posts().values()) == {1}


def test_a_target_and_an_exit_meet_our_own_resting_orders(
    redis_executable: str, tmp_path: Path
) -> None:
    """The exchange refuses wash trades: what rests goes first, and with nothing held as well."""
    higher = {"order_type": "limit", "limit_price": "100000", "time_in_force": "day", "qty": "4"}
    with world(tmp_path) as made:
        made.start()
        resting = []

        def ends(direction: str, **fields: str) -> None:
            named = {"direction": direction} if direction else {}
            made.await_ends([made.publish_raw({"ticker": "NVDA", **named, **fields})])

        def rests(direction: str, **fields: str) -> None:
            entry = made.publish("NVDA", direction, **fields)
            resting.append(entry)
            assert eventually(lambda: made.told()[entry] == ["submitted", "new"])

        ends("b", qty="10")
        rests("b", **LIMIT)
        ends("", target_qty="7")
        rests("s", **higher)
        ends("", target_qty="5")
        ends("s")
        rests("b", **LIMIT)
        ends("", target_qty="0")
        made.await_ends(resting)
        sent = [(o["side"], o["qty"], o["status"]) for o in made.orders()]
        assert sent == [
            ("buy", "10", "filled"),
            ("buy", "1", "canceled"),
            ("sell", "3", "filled"),
            ("sell", "4", "canceled"),
            ("sell", "2", "filled"),
            ("sell", "5", "filled"),
            ("buy", "1", "canceled"),
        ]
        (unsent,) = made.unsent()
        assert unsent[1] == "AT_TARGET"
        assert unsent[2].endswith("; 1 of 1 resting orders cancelled")
