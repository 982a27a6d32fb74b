"""`why` and `reconcile` beside a real service: a lost answer, two crashes, and agreement again."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from solution.ledger import open_reader
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import FaultBroker, accept_then, drop, never, status
from tests.helpers.service_process import World, world

PATIENCE = 60.0


@pytest.fixture
def made(redis_executable: str, tmp_path: Path) -> Iterator[World]:
    """A Redis, an exchange, a broker that loses answers, and nothing running yet."""
    with ExitStack() as stack:
        yield stack.enter_context(world(tmp_path, proxy=FaultBroker, SYMBOLS="F,NVDA"))


def kinds(made: World, signal_id: str) -> list[str]:
    """The history of a signal's order."""
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        rows = reader.find_intents(signal_id)
        return [note.kind for row in rows for note in reader.notes(row.client_order_id)]


def await_kinds(made: World, wanted: Callable[[list[str]], bool]) -> None:
    """Until the history of the signal `lost` is as wanted."""
    assert eventually(lambda: wanted(kinds(made, "lost")), PATIENCE), kinds(made, "lost")


def test_a_lost_answer_and_two_crashes_are_told_line_by_line(made: World) -> None:
    """Unclear while it is, adopted once found; the broker has one order throughout."""
    made.proxy.on_post("F", accept_then(drop()))
    made.proxy.on_stream("F", never)
    made.proxy.hide("F", until_posts=99)
    first = made.start()
    entry = made.publish("F", signal_id="lost", qty="3", max_age="300")
    await_kinds(made, lambda found: "unknown" in found)
    unclear = made.command("why", "lost")
    assert unclear.returncode == 0, unclear.stderr
    assert unclear.stdout.startswith("buy 3 F: UNKNOWN\n")
    assert f"pending: with consumer {instance(made)}" in unclear.stdout
    first.kill()
    differs = made.command("reconcile")
    assert differs.returncode == 1
    assert "unresolved" in differs.stdout

    looked_up = kinds(made, "lost").count("lookup")
    second = made.start()
    await_kinds(made, lambda found: found.count("lookup") > looked_up)
    second.kill()
    made.proxy.hide("F", until_posts=0)
    made.start()
    made.await_ends([entry], PATIENCE)

    (told,) = orjson.loads(made.command("why", entry, "--json").stdout)["signals"]
    stages = [line["stage"] for line in told["timeline"]]
    assert stages[:5] == ["published", "read", "taken", "decided", "posted"]
    assert {"unknown", "looked up", "recovered", "redelivered", "adopted", "fill"} <= set(stages)
    assert list(told["stages_us"]) == ["lane", "budget", "gates", "row", "send"]
    assert stages[-2:] == ["ended", "told"]
    assert told["order"]["state"] == "FILLED"
    assert len(made.orders()) == 1
    agrees = made.command("reconcile")
    assert agrees.returncode == 0, agrees.stdout
    assert "ledger and broker agree" in agrees.stdout


def test_each_try_of_a_post_is_told_with_its_answer(made: World) -> None:
    """Not taken, lost, sent again once nothing was found: every request and what came of it."""
    busy = {"code": 42910000, "message": "too many requests."}
    made.proxy.on_post("F", status(429, busy, Retry_After="1"), drop())
    made.proxy.on_stream("F", never)
    made.start()
    entry = made.publish("F", signal_id="lost", qty="3", max_age="300")
    made.await_ends([entry], PATIENCE)
    told = made.command("why", "lost")
    assert told.returncode == 0, told.stderr
    assert "history   sent again 2 times, not taken, looked up 3 times" in told.stdout
    (facts,) = orjson.loads(made.command("why", "lost", "--json").stdout)["signals"]
    ways = [(line["kind"], line["detail"]) for line in facts["history"]]
    assert [kind for kind, _ in ways] == [
        *("not_taken", "posted", "unknown", "lookup", "lookup", "lookup"),
        *("resend", "posted", "answered"),
    ]
    assert ways[0][1].startswith("HTTP 429")
    assert re.search(r"HTTP 200 in \d+\.\d{3} ms", ways[-1][1])
    assert facts["order"]["state"] == "FILLED"


def end_of(made: World, entry_id: str) -> dict[str, str]:
    """The final event of an entry; the orphan's own events name none."""

    def ends() -> list[dict[str, str]]:
        told = made.events()
        return [e for e in told if e.get("entry_id") == entry_id and e["final"] == "1"]

    assert eventually(lambda: bool(ends()), PATIENCE)
    (found,) = ends()
    return found


def instance(made: World) -> str:
    """The name of the only consumer of the group."""
    (consumer,) = consumers(made)
    return str(consumer["name"].decode())


def consumers(made: World) -> Any:
    """Of the stream's group."""
    return made.redis.xinfo_consumers("nvda", "solution")


def test_a_ticker_that_was_halted_trades_again_without_a_restart(made: World) -> None:
    """The service stops it, says so, and reads from the ledger that a person let it go."""
    made.start().kill()
    made.place("NVDA", "nobody-published-this", qty="2")
    service = made.start()
    assert end_of(made, made.publish("NVDA", qty="1"))["reason"] == "TICKER_HALTED"
    assert "NVDA is halted: " in made.command("status").stdout
    assert made.command("resume", "AAPL").returncode == 1
    resumed = made.command("resume", "nvda")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.startswith("NVDA takes orders again")
    assert end_of(made, made.publish("NVDA", qty="1"))["event"] == "fill"
    assert service.stop() == 0
