"""Crashes, restarts, redelivery and a Redis in trouble: no signal lost, none sent twice."""

import random
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.helpers.clocks import eventually
from tests.helpers.service_process import GROUP, World

CHEAP = ["F", "BAC", "C", "CSCO"]
SEED = 20260304
CYCLES = 12
DEAD = "dead-peer"


class Publisher:
    """Publishes about 60 buys a second over four assets, until stopped; a context manager."""

    def __init__(self, made: World, pause: float = 0.015) -> None:
        self.entries: list[str] = []
        self._world = made
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            ticker = CHEAP[len(self.entries) % len(CHEAP)]
            self.entries.append(self._world.publish(ticker))


def deliver_to_nobody(made: World, count: int) -> None:
    """Entries are handed to a consumer that dies with them."""
    made.redis.xgroup_create("nvda", GROUP, "0", mkstream=True)
    reply: Any = made.redis.xreadgroup(GROUP, DEAD, {"nvda": ">"}, count=count)
    assert len(reply[0][1]) == count


# --- kill -9 ------------------------------------------------------------------------------


def test_kill_9_again_and_again_loses_and_doubles_nothing(
    make_world: Callable[..., World],
) -> None:
    """Twelve kills at seeded moments under load: an order for each signal, and one end."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    draw = random.Random(SEED)
    with Publisher(made) as publisher:
        for _ in range(CYCLES):
            service = made.start()
            threading.Event().wait(draw.uniform(0.0, 0.6))
            service.kill()
    last = made.start(workers=8)
    made.await_ends(publisher.entries, 30)
    assert last.stop() == 0
    # An entry that three of the kills met in its decision is taken for what kills: that happens on
    # a busy machine, where every decision takes long. It has its end, and it never was sent.
    unsent = made.unsent()
    assert {reason for _, reason, _ in unsent} <= {"POISON"}
    assert len(unsent) <= CYCLES // 3
    made.check(publisher.entries, orders=len(publisher.entries) - len(unsent))
    assert len(publisher.entries) > 300


@pytest.mark.parametrize(("max_age", "sent_later"), [("60", True), ("2", False)])
def test_unsent_signals_are_sent_after_a_crash_only_while_fresh(
    make_world: Callable[..., World], max_age: str, sent_later: bool
) -> None:
    """Killed while sixty wait in one lane: sent once each, or STALE_SIGNAL and never."""
    made = make_world(SYMBOLS="F")
    # Before a row: an order that may have left is looked up first, whatever its age.
    service = made.start(SIGNALPACA_FAILPOINTS="pipeline.decided=kill:15")
    entries = [made.publish("F", max_age=max_age) for _ in range(60)]
    assert service.wait() == -signal.SIGKILL
    sent = len(made.orders())
    assert sent == 14
    assert made.pending() > 0
    assert eventually(lambda: made.redis_ms() > int(entries[-1].split("-")[0]) + 2100)
    made.start()
    made.await_ends(entries)
    made.check(entries, orders=60 if sent_later else sent)
    reasons = {event.get("reason") for event in made.events() if event["event"] == "refused"}
    assert reasons == (set() if sent_later else {"STALE_SIGNAL"})


# --- redelivery ---------------------------------------------------------------------------


def test_one_signal_id_makes_one_order_whenever_it_comes(
    make_world: Callable[..., World],
) -> None:
    """At once, after the end, after a restart, after kill -9: told each time, sent once."""
    made = make_world(SYMBOLS="F")
    made.start()
    entries = [made.publish("F", signal_id="one") for _ in range(5)]
    made.await_ends(entries)
    entries.append(made.publish("F", signal_id="one"))
    made.await_ends(entries)
    made.services[-1].kill()
    made.start()
    entries.append(made.publish("F", signal_id="one"))
    made.await_ends(entries)
    made.check(entries, orders=1)
    assert {made.final(entry)["event"] for entry in entries} == {"fill"}


def test_a_signal_id_with_other_content_is_refused_and_the_ticker_goes_on(
    make_world: Callable[..., World],
) -> None:
    """SIGNAL_ID_REUSED, also when both come at the same moment in two assets' lanes."""
    made = make_world(SYMBOLS="F,C")
    made.start()
    both = [made.publish("F", signal_id="one"), made.publish("C", signal_id="one")]
    made.await_ends(both)
    later = made.publish("F", signal_id="one", qty="3")
    after = made.publish("F")
    made.await_ends([*both, later, after])
    made.check([*both, later, after], orders=2)
    finals = sorted(made.final(entry)["event"] for entry in both)
    assert finals == ["dead_letter", "fill"]
    assert made.final(later)["reason"] == "SIGNAL_ID_REUSED"
    assert made.final(after)["event"] == "fill"


def test_a_dead_consumers_entries_are_sent_in_order(make_world: Callable[..., World]) -> None:
    """Delivered to a peer that died: taken over before anything new, once each."""
    made = make_world(SYMBOLS="F")
    entries = [made.publish("F") for _ in range(5)]
    deliver_to_nobody(made, 4)
    made.start()
    made.await_ends(entries)
    made.check(entries)
    sent = [order["created_at"] for order in made.orders()]
    assert sent == sorted(sent)
    fills = [event["entry_id"] for event in made.events() if event["event"] == "submitted"]
    assert fills == entries
    names = [row["name"] for row in made.redis.xinfo_consumers("nvda", GROUP)]
    assert DEAD.encode() not in names


def test_entries_whose_reply_was_lost_are_found(
    make_world: Callable[..., World],
) -> None:
    """Handed to our own consumer and never seen by it: the sweep finds them."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    first = made.publish("F")  # Redis knows a consumer from its first entry on
    made.await_ends([first])
    name = made.redis.xinfo_consumers("nvda", GROUP)[0]["name"].decode()
    service.signal(signal.SIGSTOP)
    threading.Event().wait(0.7)  # its blocking read of half a second ends at Redis
    entries = [made.publish("F") for _ in range(3)]
    reply: Any = made.redis.xreadgroup(GROUP, name, {"nvda": ">"})
    assert len(reply[0][1]) == 3
    service.signal(signal.SIGCONT)
    made.await_ends(entries)
    made.check([first, *entries])


def test_lost_content_ends_an_entry_once(make_world: Callable[..., World]) -> None:
    """Deleted while pending: PAYLOAD_LOST; but with an order of its own, that one's end stands."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    ended = made.publish("F")
    made.await_ends([ended])
    assert service.stop() == 0
    made.redis.xgroup_setid("nvda", GROUP, "0")
    lost, kept = made.publish("F"), made.publish("F")
    reply: Any = made.redis.xreadgroup(GROUP, DEAD, {"nvda": ">"})
    assert len(reply[0][1]) == 3
    made.redis.xdel("nvda", ended, lost)
    made.start()
    made.await_ends([ended, lost, kept])
    made.check([ended, lost, kept], orders=2)
    assert made.final(lost)["reason"] == "PAYLOAD_LOST"
    assert made.final(ended)["event"] == "fill"


# --- Redis in trouble ---------------------------------------------------------------------


def test_an_entry_that_kills_whoever_reads_it_costs_three_lives(
    make_world: Callable[..., World],
) -> None:
    """While it is parsed, so no row of it was ever begun; what is pending beside it trades."""
    made = make_world(SYMBOLS="F,T")
    before, poison, after = (made.publish(ticker, max_age="300") for ticker in ("T", "F", "T"))
    for _ in range(3):
        service = made.launch(
            SIGNALPACA_FAILPOINTS=f"listener.taken~{poison}=kill", MAX_SIGNAL_AGE="300"
        )
        assert service.wait() == -signal.SIGKILL
    made.start(MAX_SIGNAL_AGE="300")
    made.await_ends([before, poison, after])
    ends = {entry: made.final(entry) for entry in (before, poison, after)}
    assert [end["event"] for end in ends.values()] == ["fill", "dead_letter", "fill"]
    assert ends[poison]["reason"] == "POISON"
    made.check([before, poison, after], orders=2)


def test_a_group_that_is_gone_is_made_anew_and_nothing_is_sent_again(
    make_world: Callable[..., World],
) -> None:
    """NOGROUP: the whole stream comes again, and the ledger knows all of it."""
    made = make_world(SYMBOLS="F", MAX_SIGNAL_AGE="1")
    made.start()
    bad = made.publish("F", qty="nonsense")
    entries = [bad, *(made.publish("F") for _ in range(20))]
    made.await_ends(entries)
    assert eventually(lambda: made.redis_ms() > int(entries[-1].split("-")[0]) + 1100)
    made.redis.xgroup_destroy("nvda", GROUP)
    entries.append(made.publish("F"))
    assert eventually(lambda: made.ended(entries))
    made.await_ends(entries)
    made.check(entries, orders=21)


def test_redis_killed_under_load_loses_nothing(make_world: Callable[..., World]) -> None:
    """kill -9 of Redis with an append-only file, and back: same orders, told to the end."""
    made = make_world(aof=True, SYMBOLS=",".join(CHEAP))
    made.start()
    entries = publish_some(made, 100)
    made.redis_server.kill()
    threading.Event().wait(0.3)
    made.redis_server.start()
    entries += publish_some(made, 100)
    made.await_ends(entries)
    made.check(entries)


def publish_some(made: World, count: int) -> list[str]:
    """That many buys over the cheap assets."""
    return [made.publish(CHEAP[number % len(CHEAP)]) for number in range(count)]


def test_bad_input_among_good_is_told_and_acknowledged(make_world: Callable[..., World]) -> None:
    """Every kind ends as a dead letter under its entry id, and costs no good signal its order."""
    made = make_world(SYMBOLS="F")
    made.start()
    raw: Sequence[Sequence[Any]] = [
        ["ticker", "F"],
        ["ticker", "NOSUCH", "direction", "b"],
        ["ticker", "F", "direction", "b", "direction", "b"],
        ["ticker", "F", "direction", "b", "qty", "NaN"],
        ["ticker", b"\xff\xfe", "direction", "b"],
        ["ticker", "F", "direction", "b", "x_note", "n" * 1_000_000],
        ["json", "[" * 10_000],
        [b"\x00", b"\x00"],
    ]
    bad, good = [], []
    for fields in raw:
        entry: Any = made.redis.execute_command("XADD", "nvda", "*", *fields)  # type: ignore[no-untyped-call]
        bad.append(entry.decode())
        good.append(made.publish("F"))
    made.await_ends([*bad, *good])
    made.check([*bad, *good], orders=len(good))
    assert {made.final(entry)["event"] for entry in bad} == {"dead_letter"}
