"""The whole service over a Redis that fails over, fills up, or loses what it had."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from solution.redis_client import make_client
from solution.ui.snapshot import read_all
from tests.helpers.clocks import eventually
from tests.helpers.redis_sentinel import sentinels
from tests.helpers.service_process import GROUP, ROOT, World, world

CHEAP = ["F", "BAC", "C", "CSCO"]


@pytest.fixture
def make_world(redis_executable: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Worlds that end with the test."""
    with ExitStack() as stack:
        yield lambda *options, **settings: stack.enter_context(
            world(tmp_path, *options, **settings)
        )


def persistently(call: Callable[[], str]) -> str:
    """What it returns, once Redis takes it: as a producer that does not give up."""
    results: list[str] = []

    def tried() -> bool:
        try:
            results.append(call())
        except redis.RedisError:
            return False
        return True

    assert eventually(tried, 60)
    return results[-1]


def publish_some(made: World, count: int, name: str) -> list[str]:
    """That many buys over the cheap assets, with signal_ids, so that a repeat does nothing."""
    return [
        persistently(
            lambda n=number: made.publish(CHEAP[n % len(CHEAP)], signal_id=f"{name}-{n}")  # type: ignore[misc]
        )
        for number in range(count)
    ]


def test_a_failover_under_sentinel_costs_no_signal_and_doubles_none(
    make_world: Callable[..., World], redis_executable: str, tmp_path: Path
) -> None:
    """The master is killed between signals: each is traded once and told; commands follow, too."""
    with sentinels(tmp_path / "sentinels", executable=redis_executable) as made_sentinels:
        made = make_world(SYMBOLS=",".join(CHEAP), REDIS_URL=made_sentinels.url)
        made.redis.close()
        made.redis = make_client(made_sentinels.url)
        service = made.start()
        entries = publish_some(made, 40, "before")
        made.await_ends(entries, 60)
        assert eventually(made_sentinels.replicated, 60)
        made_sentinels.fail_over()
        more = publish_some(made, 40, "after")
        await_orders(made, 80)
        assert eventually(lambda: persistently(lambda: str(made.pending())) == "0", 60)
        assert eventually(lambda: set(more) <= ended(made), 60)
        assert service.process.poll() is None
        assert set(made.posts().values()) == {1}
        assert service.stop() == 0
        assert_commands_find_the_master(made)


def await_orders(made: World, count: int) -> None:
    """Until the exchange has as many orders, and then no more."""
    assert eventually(lambda: len(made.orders()) >= count, 60), len(made.orders())
    assert len(made.orders()) == count


def ended(made: World) -> set[str]:
    """Entries told to their end on the stream as it is now; an empty set while Redis is away."""
    try:
        return {event["entry_id"] for event in made.events() if event["final"] == "1"}
    except redis.RedisError:
        return set()


def assert_commands_find_the_master(made: World) -> None:
    """``signalpaca status`` and ``publish`` go by the same address."""
    made.start()
    seen = eventually(lambda: made.command("status", "--json").returncode == 0)
    assert seen, made.command("status", "--json").stderr
    assert made.command("publish", "F", "b").returncode == 0


def test_a_full_redis_loses_neither_signal_nor_event(make_world: Callable[..., World]) -> None:
    """OOM: what was published is traded and acknowledged; `executions` is complete afterwards."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    first = made.publish("F")
    made.await_ends([first])
    with made.redis.pipeline(transaction=True) as together:
        for _ in range(20):
            together.xadd("nvda", {"ticker": "F", "direction": "b"})
        together.config_set("maxmemory", "1")
        replies = together.execute()
    entries = [first, *(reply.decode() for reply in replies[:-1])]
    await_orders(made, 21)
    assert eventually(lambda: made.pending() == 0)
    assert eventually(lambda: "REDIS_OUT_OF_MEMORY" in service.text)
    assert not made.ended(entries)
    made.redis.config_set("maxmemory", "0")
    made.await_ends(entries)
    made.check(entries)


def test_a_hung_redis_is_told_and_loses_nothing(make_world: Callable[..., World]) -> None:
    """SIGSTOP of Redis in the middle of traffic: named in the log, and all of it is traded."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    service = made.start()
    entries = [made.publish(ticker) for ticker in CHEAP * 10]
    made.redis_server.pause()
    assert eventually(lambda: "REDIS_SILENT" in service.text)
    made.redis_server.unpause()
    entries += [made.publish(ticker) for ticker in CHEAP]
    made.await_ends(entries, 60)
    made.check(entries)


def test_the_service_stops_in_time_although_redis_hangs(make_world: Callable[..., World]) -> None:
    """SIGTERM with a Redis that answers nothing: exit code 0, no thread waited for without end."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    made.await_ends([made.publish("F")])
    made.redis_server.pause()
    assert service.stop() == 0
    made.redis_server.unpause()


def test_a_lost_tail_is_recognised_and_sends_nothing_again(
    make_world: Callable[..., World],
) -> None:
    """Acknowledgements gone with the end of the file: the ledger knows the entries, XACK only."""
    made = make_world(aof=True, SYMBOLS="F")
    service = made.start()
    entries = [made.publish("F") for _ in range(10)]
    assert eventually(lambda: made.ended(entries))
    file = aof_of(made)
    text = file.read_bytes()
    made.redis_server.kill()
    # The first acknowledgement and all that follows it, the events of the orders among it.
    cut = text.rindex(b"*", 0, text.index(b"XACK"))
    file.write_bytes(text[:cut])
    made.redis_server.start()
    new = persistently(lambda: made.publish("F"))
    await_orders(made, 11)
    assert eventually(lambda: made.pending() == 0)
    assert eventually(lambda: new in ended(made))
    assert set(made.posts().values()) == {1}
    assert service.stop() == 0


def test_orders_whose_entries_are_lost_are_told(
    make_world: Callable[..., World],
) -> None:
    """All of Redis is gone, the group with it: ledger and broker are compared, it trades on."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    made.await_ends([made.publish("F") for _ in range(3)])
    assert eventually(lambda: made.pending() == 0)
    made.redis.flushall()
    new = made.publish("F")
    await_orders(made, 4)
    assert eventually(lambda: new in ended(made))
    assert service.stop() == 0
    said = [line.split(maxsplit=3)[1:] for line in service.text.splitlines()]
    names = [words[1] for words in said if len(words) > 1]
    (alert,) = [line for line in service.text.splitlines() if " orders_without_entry " in line]
    assert "stream=nvda reason=REDIS_TAIL_LOST orders=3" in alert
    steps = [names.index(n) for n in ("group_lost", "orders_without_entry", "compared_after_loss")]
    assert steps == sorted(steps)
    assert set(made.posts().values()) == {1}


def aof_of(made: World) -> Path:
    """The file that commands are appended to: one file up to 6.2, the newest of several since 7."""
    folder = made.redis_server.directory
    found = [*folder.glob("appendonly.aof"), *folder.glob("*/*.incr.aof")]
    return next(path for path in found if path.is_file())


def test_an_entry_id_given_again_to_another_signal_is_not_swallowed(
    make_world: Callable[..., World],
) -> None:
    """A dead letter's id, given to a valid signal after data loss: traded under an own identity."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    letter = made.publish("F", qty="nonsense")
    made.await_ends([letter])
    made.redis.delete("nvda")
    made.redis.xgroup_create("nvda", GROUP, "0", mkstream=True)
    made.redis.xadd("nvda", {"ticker": "F", "direction": "b"}, id=letter)
    await_orders(made, 1)
    assert eventually(lambda: made.pending() == 0)
    traded = service.stop()
    # Once more as pending of a dead peer, with yet another content: redelivered, and still its own.
    made.redis.delete("nvda")
    made.redis.xgroup_create("nvda", GROUP, "0", mkstream=True)
    made.redis.xadd("nvda", {"ticker": "F", "direction": "b", "qty": "2"}, id=letter)
    reply: Any = made.redis.xreadgroup(GROUP, "dead", {"nvda": ">"})
    assert reply
    made.start()
    await_orders(made, 2)
    assert eventually(lambda: made.pending() == 0)
    assert traded == 0


def test_a_broken_stream_is_told_and_the_others_trade(make_world: Callable[..., World]) -> None:
    """A key of another type in STREAMS: the snapshot says so, and the rest goes on."""
    made = make_world(SYMBOLS="F", STREAMS="broken,nvda")
    made.redis.set("broken", "somebody's own")
    made.start()
    entry = made.publish("F")
    made.await_ends([entry])

    def trouble() -> str:
        found = read_all(made.redis, GROUP).values()
        return "".join(json.dumps(one["redis"]) for one in found)

    assert eventually(lambda: "broken: REDIS_WRONGTYPE" in trouble())
    made.redis.delete("broken")
    assert eventually(lambda: "REDIS_WRONGTYPE" not in trouble() and trouble() != "")


def test_the_documented_rights_are_enough(make_world: Callable[..., World]) -> None:
    """The ACL of the page on Redis, word for word: a signal is traded, told and acknowledged."""
    page = (ROOT / "docs/how-to/redis-faults.md").read_text()
    found = re.search(r"```\nACL SETUSER signalpaca (.*?)```", page, re.DOTALL)
    assert found
    made = make_world(SYMBOLS="F")
    made.redis.execute_command("ACL", "SETUSER", "signalpaca", *found[1].split())  # type: ignore[no-untyped-call]
    login = "signalpaca:PASSWORD@"
    service = made.start(REDIS_URL=made.redis_server.url.replace("//", f"//{login}"))
    entries = [made.publish("F") for _ in range(3)]
    made.await_ends(entries)
    assert service.stop() == 0
    made.check(entries)
    assert "NOPERM" not in service.text
