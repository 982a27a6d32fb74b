"""The oracle sees each kind of wrong that it is there for, and nothing in what is right."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeRedis

from torture.book import Book
from torture.ledgers import LedgerFile
from torture.oracle import GROUP, STREAM, TOLD, Oracle
from torture.signals import Made

SCHEMA = """
CREATE TABLE order_intents (id INTEGER PRIMARY KEY, client_order_id, stream, entry_id, signal_id,
    state, reason, status, filled_qty, symbol);
CREATE TABLE dead_letters (entry_id, reason);
CREATE TABLE repeats (entry_id);
CREATE TABLE trades (client_order_id, qty);
CREATE TABLE history (id INTEGER PRIMARY KEY, client_order_id, at_ms, kind,
    detail);
CREATE TABLE outbox (event_id INTEGER PRIMARY KEY, fields);
"""


class Scene:
    """What the four parties say, put down by hand."""

    def __init__(self, directory: Path) -> None:
        self.redis = FakeRedis(decode_responses=True)
        self.redis.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        later: list[Callable[[], None]] = []
        self.book = Book(
            "7", {"QQ": Decimal(1000)}, lambda _, run: later.append(run), lambda *_: None
        )
        self._later = later
        self.path = directory / "ledger.db"
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(SCHEMA)
        self.oracle = Oracle(self.book, LedgerFile(self.path), self.redis)
        self._number = 0
        self._events = 0

    def publish(self, *, acked: bool = True, **about: Any) -> str:
        """A buy of as many shares as its number; read, and acknowledged if asked."""
        self._number += 1
        fields = {"ticker": "QQ", "direction": "b", "qty": str(self._number)}
        key = f"QQ buy {self._number}"
        made = Made(fields, **{"key": key, "identity": "", "kind": "market", **about})
        entry: Any = self.redis.xadd(STREAM, dict(fields))
        self.redis.xreadgroup(GROUP, "one", {STREAM: ">"})
        if acked:
            self.redis.xack(STREAM, GROUP, entry)
        self.oracle.published[entry] = made
        return str(entry)

    def post(
        self, entry: str, coid: str, *, body: bytes = b"{}", size: str = "", fault: str = "good"
    ) -> None:
        """It reaches the broker, which fills it at once."""
        asked = {
            "symbol": "QQ",
            "side": "buy",
            "type": "market",
            "time_in_force": "ioc",
            "qty": size or self.oracle.published[entry].fields["qty"],
            "client_order_id": coid,
        }
        self.book.arrived(asked)
        self.book.note(asked, body, fault)
        self.book.accept(asked)
        for run in self._later:
            run()
        self._later.clear()

    def row(self, entry: str, coid: str, state: str = "FILLED", **about: str) -> None:
        """Its row in the ledger; again to replace it."""
        order = self.book.orders.get(coid)
        filled = order.filled if order and state == "FILLED" else Decimal(0)
        values = {"signal_id": "", "reason": "", "status": state.lower(), "filled": str(filled)}
        values |= about
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute("DELETE FROM order_intents WHERE client_order_id = ?", (coid,))
            db.execute(
                "INSERT INTO order_intents (client_order_id, stream, entry_id, signal_id, state,"
                " reason, status, filled_qty, symbol) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'QQ')",
                (coid, STREAM, entry, values["signal_id"], state, values["reason"],
                 values["status"], values["filled"]),
            )  # fmt: skip
            db.execute("DELETE FROM trades WHERE client_order_id = ?", (coid,))
            db.execute("INSERT INTO trades VALUES (?, ?)", (coid, values["filled"]))

    def dead(self, entry: str, reason: str) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute("INSERT INTO dead_letters VALUES (?, ?)", (entry, reason))

    def tell(self, entry: str, event: str = "fill", final: str = "1") -> None:
        self._events += 1
        fields = {"event_id": self._events, "entry_id": entry, "event": event, "final": final}
        self.redis.xadd(TOLD, dict(fields))  # type: ignore[arg-type]

    def good(self, coid: str = "sp-1", **about: Any) -> str:
        """One signal from beginning to end, as it should be."""
        entry = self.publish(**about)
        self.post(entry, coid)
        self.row(entry, coid, signal_id=about.get("identity", ""))
        self.tell(entry)
        return entry

    def crash(self) -> set[str]:
        """Names of the checks that fail after a crash."""
        return {v.check for v in self.oracle.after_a_crash(self.oracle.look())}

    def rest(self) -> set[str]:
        """The same once all is at rest."""
        return {v.check for v in self.oracle.at_rest(self.oracle.look())}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.redis.close()


def test_what_is_right_passes(scene: Scene) -> None:
    """Filled, acknowledged, told; and one that is still on its way."""
    scene.good()
    waiting = scene.publish(acked=False)
    assert scene.crash() == set()
    scene.redis.xack(STREAM, GROUP, waiting)
    scene.post(waiting, "sp-2")
    scene.row(waiting, "sp-2")
    scene.tell(waiting)
    assert scene.rest() == set()
    assert scene.oracle.open_ends() == []


def test_an_acknowledgement_without_a_record(scene: Scene) -> None:
    """I3."""
    scene.publish()
    assert scene.crash() == {"ack before row"}


@pytest.mark.parametrize("state", ["SUBMITTING", "UNKNOWN"])
def test_an_acknowledgement_of_what_is_undecided(scene: Scene, state: str) -> None:
    """I1: neither ended nor owned by an order that is known to be open."""
    scene.row(scene.publish(), "sp-1", state)
    assert scene.crash() == {"ack before end"}


def test_an_acknowledgement_before_the_end_is_told(scene: Scene) -> None:
    """Neither in the stream nor in the outbox."""
    entry = scene.publish()
    scene.post(entry, "sp-1")
    scene.row(entry, "sp-1")
    assert scene.crash() == {"ack before outbox"}


def test_an_order_that_no_row_knows(scene: Scene) -> None:
    """The row comes first; but one that a power loss took is excused."""
    scene.post(scene.publish(acked=False), "sp-1")
    assert scene.crash() == {"order without row"}
    scene.oracle.forgotten.add("sp-1")
    assert scene.crash() == set()


def test_two_orders_of_one_signal(scene: Scene) -> None:
    """Whatever ids they came under."""
    entry = scene.good()
    scene.post(entry, "sp-2")
    scene.row(entry, "sp-2")
    assert scene.crash() == {"duplicate"}


def test_two_orders_of_one_signal_id(scene: Scene) -> None:
    """Published twice, with other content: one of them must not trade."""
    scene.good("sp-1", identity="same")
    scene.good("sp-2", identity="same")
    assert scene.crash() == {"duplicate"}


def test_another_body_under_the_same_id(scene: Scene) -> None:
    """A second POST repeats the stored bytes."""
    entry = scene.good()
    scene.post(entry, "sp-1", body=b'{"qty": 2}')
    assert "body changed" in scene.crash()


def test_an_end_that_is_left_again(scene: Scene) -> None:
    """I6; and a fill that shrinks, I4."""
    entry = scene.good()
    assert scene.crash() == set()
    scene.row(entry, "sp-1", "CANCELED")
    assert scene.crash() == {"end left", "fill lost"}


def test_a_stale_signal_that_is_sent(scene: Scene) -> None:
    """I5: by a process that began when its time was over."""
    entry = scene.publish(acked=False, max_age=0.5)
    scene.row(entry, "sp-1", "SUBMITTING")
    published = float(entry.split("-")[0])
    scene.oracle.lives[0.001] = published + 400
    scene.post(entry, "sp-1")
    assert scene.crash() == set()
    scene.oracle.lives = {0.001: published + 700}
    assert scene.crash() == {"stale sent"}


def test_an_order_sent_while_the_kill_switch_is_thrown(scene: Scene) -> None:
    """I5: later than what was on its way."""
    scene.good()
    at = scene.book.posts[0].at
    scene.oracle.killed = [(at - 0.05, at + 1)]
    assert scene.crash() == set()
    scene.oracle.killed = [(at - 0.5, at + 1)]
    assert scene.crash() == {"sent while killed"}


def test_an_instance_that_sends_after_its_standby_did(scene: Scene) -> None:
    """It slept through the takeover and woke."""
    scene.good("sp-1")
    asked = {"symbol": "QQ", "side": "buy", "qty": "1", "client_order_id": "sp-1"}
    scene.book.note(asked, b"{}", "429", by=2)
    assert "two instances send" not in scene.crash()
    scene.book.note(asked, b"{}", "429", by=1)
    assert "two instances send" in scene.crash()


def test_innocent_signals_taken_for_poison(scene: Scene) -> None:
    """Each costs at least two kills in which it was alone in hand."""
    entry = scene.publish()
    scene.dead(entry, "POISON")
    scene.tell(entry, "dead_letter")
    scene.oracle.kills_in_hand = 2
    assert scene.crash() == set()
    scene.oracle.kills_in_hand = 1
    assert scene.crash() == {"innocents poisoned"}


def test_a_signal_that_left_no_trace(scene: Scene) -> None:
    """Lost; one that is known and not at its end is stuck."""
    scene.publish(acked=False)
    scene.redis.xautoclaim(STREAM, GROUP, "one", 0)
    assert "stuck" in scene.rest()
    scene.redis.xgroup_destroy(STREAM, GROUP)
    assert scene.rest() == {"lost", "wrong end"}
    assert len(scene.oracle.open_ends()) == 1


def test_an_end_that_is_told_twice(scene: Scene) -> None:
    """Under two event ids; the same event twice is one."""
    entry = scene.good()
    scene.tell(entry)
    assert scene.rest() == {"told twice"}


def test_an_end_other_than_the_brokers(scene: Scene) -> None:
    """The timeout that was taken for a rejection, and executions that do not add up."""
    entry = scene.good()
    scene.row(entry, "sp-1", filled="0")
    assert scene.rest() == {"wrong end"}
    scene.row(entry, "sp-1")
    with closing(sqlite3.connect(scene.path)) as db, db:
        db.execute("INSERT INTO trades VALUES ('sp-1', '1')")
    assert scene.rest() == {"wrong executions"}


def test_a_good_signal_refused_for_a_reason_of_no_fault(scene: Scene) -> None:
    """An internal error is none that these faults may cause; being stale is."""
    entry = scene.publish()
    scene.row(entry, "sp-1", "REFUSED", reason="STALE_SIGNAL")
    scene.tell(entry, "refused")
    assert scene.rest() == set()
    scene.row(entry, "sp-1", "REFUSED", reason="INTERNAL_ERROR")
    assert scene.rest() == {"wrong end"}


def test_an_older_signal_sent_after_a_newer_one(scene: Scene) -> None:
    """Of the same asset: a lost buy must not follow its sell."""
    older = scene.publish()
    scene.good("sp-2")
    scene.post(older, "sp-1")
    scene.row(older, "sp-1")
    scene.tell(older)
    assert scene.rest() == {"overtaken"}


def test_an_old_order_taken_for_the_signals_own(scene: Scene) -> None:
    """It stood there before the signal was published."""
    entry = scene.publish(kind="old id", identity="old")
    asked = {"symbol": "QQ", "side": "buy", "type": "market", "time_in_force": "ioc", "qty": "1"}
    scene.book.place({**asked, "client_order_id": "sp-1"}, "2026-03-01T00:00:00Z")
    scene.row(entry, "sp-1", "EXPIRED_UNCONFIRMED", signal_id="old")
    scene.tell(entry, "expired_unconfirmed", "0")
    assert scene.rest() == set()
    scene.row(entry, "sp-1", signal_id="old")
    scene.tell(entry)
    assert scene.rest() == {"adopted an old order"}


def test_what_redis_forgot_before_anybody_took_it(scene: Scene) -> None:
    """It can have no end; one with a row has to come to its own."""
    entry = scene.publish(acked=False)
    scene.redis.xdel(STREAM, entry)
    scene.redis.xack(STREAM, GROUP, entry)
    assert scene.rest() == {"ack before row", "lost", "wrong end"}
    scene.oracle.gone.add(entry)
    assert scene.rest() == set()
    assert scene.oracle.open_ends() == []
    scene.row(entry, "sp-1", "SUBMITTING")
    assert "stuck" in scene.rest()


def test_an_end_whose_event_redis_lost_was_told(scene: Scene) -> None:
    """The end of the file is read before it is cut off."""
    entry = scene.publish()
    scene.post(entry, "sp-1")
    scene.row(entry, "sp-1")
    scene.oracle.heard({"event_id": "1", "entry_id": entry, "event": "fill", "final": "1"})
    assert scene.rest() == set()


def test_an_entry_trimmed_before_it_was_decided(scene: Scene) -> None:
    """PAYLOAD_LOST is an end where that happened, and nowhere else."""
    entry = scene.publish()
    scene.dead(entry, "PAYLOAD_LOST")
    scene.tell(entry, "dead_letter")
    assert scene.rest() == {"wrong end"}
    scene.oracle.trimmed.add(entry)
    assert scene.rest() == set()
    scene.oracle.redis_lost_more()
    assert scene.oracle.gone == {entry}


def test_an_undecided_row_whose_entry_was_trimmed(scene: Scene) -> None:
    """It may be acknowledged: nothing but the row can make something of it."""
    entry = scene.publish()
    scene.row(entry, "sp-1", "UNKNOWN")
    assert scene.crash() == {"ack before end"}
    scene.oracle.trimmed.add(entry)
    assert scene.crash() == set()


def test_no_cash_is_a_reason_only_where_there_is_little(scene: Scene) -> None:
    """As having nothing to sell is one only where little is held."""
    entry = scene.publish()
    scene.row(entry, "sp-1", "REFUSED", reason="INSUFFICIENT_BUYING_POWER")
    scene.tell(entry, "refused")
    assert scene.rest() == {"wrong end"}
    scene.good("sp-2", kind="scarce cash")
    assert scene.rest() == set()


def test_how_long_posts_were_unclear(scene: Scene) -> None:
    """From the doubt, or from the last start with it, to what ended it; lookups do not."""
    notes = [
        ("sp-1", 1000, "unknown", "UNKNOWN"),
        ("sp-2", 1500, "unknown", "UNKNOWN"),
        ("sp-3", 1600, "unknown", "HTTP 504; it was known already"),
        ("sp-1", 2000, "lookup", "not found"),
        ("sp-1", 2500, "recovered", "found UNKNOWN"),
        ("sp-1", 3500, "adopted", "found"),
        ("sp-2", 4500, "expired_unconfirmed", "not found"),
        ("sp-3", 8000, "redelivered", "acknowledged"),
        ("sp-2", 9000, "adopted", "found"),
    ]
    with closing(sqlite3.connect(scene.path)) as db, db:
        db.executemany(
            "INSERT INTO history (client_order_id, at_ms, kind, detail) VALUES (?, ?, ?, ?)", notes
        )
    assert scene.oracle.unclear() == ([1.0], [3.0])
