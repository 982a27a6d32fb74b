"""Trading is stopped and resumed while the real service runs; the exchange's log is the witness."""

import itertools
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from solution.domain import control
from solution.domain.control import Command, Verb
from solution.ledger import beside as small_state
from solution.ledger import open_reader
from solution.ui.snapshot import read_all
from tests.helpers import forked
from tests.helpers.clocks import eventually
from tests.helpers.service_process import GROUP, ROOT, World

CHEAP = ("F", "T", "INTC")
STREAM = "signalpaca:control:solution"
KEY = "the-key-of-32-characters-or-more"
RESTING = {"order_type": "limit", "limit_price": "1", "time_in_force": "day"}


class Operator:
    """Runs commands beside a world's service, each a process of its own.

    Args:
        changes: settings in which the operator's machine differs from the service's.
    """

    def __init__(self, made: World, directory: Path, **changes: str) -> None:
        self.world = made
        self.directory = directory
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), **made.env(**changes)}
        directory.mkdir(parents=True, exist_ok=True)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """One to its end."""
        return forked.run(words, env=self.env, cwd=self.directory)


def beside(made: World, **changes: str) -> Operator:
    """An operator in the service's own directory."""
    return Operator(made, made.directory, **changes)


def elsewhere(made: World, tmp_path: Path, **changes: str) -> Operator:
    """An operator on another machine: neither the service's ledger nor its directory."""
    away = tmp_path / "elsewhere"
    return Operator(made, away, LEDGER_URL=f"sqlite:///{away}/none.db", **changes)


@contextmanager
def flood(made: World, pause: float = 0.005) -> Iterator[list[str]]:
    """Signals all the time, from a thread; their entry ids."""
    entries: list[str] = []
    over = threading.Event()

    def publish() -> None:
        for ticker in itertools.cycle(CHEAP):
            if over.wait(pause):
                return
            entries.append(made.publish(ticker))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield entries
    finally:
        over.set()
        thread.join()


def post_times(made: World) -> list[float]:
    """When the exchange received each POST of an order, on the machine's monotonic clock."""
    return [
        e["arrived"]
        for e in made.admin("log")["entries"]
        if e["method"] == "POST" and e["path"] == "/v2/orders"
    ]


def deletes(made: World) -> list[str]:
    """Paths of the cancels that the exchange saw."""
    return [e["path"] for e in made.admin("log")["entries"] if e["method"] == "DELETE"]


def snapshot(made: World) -> Mapping[str, Any]:
    """The one running instance's."""
    found = list(read_all(made.redis, GROUP).values())
    return found[0] if found else {}


def kills(made: World) -> list[Mapping[str, Any]]:
    """Every kill that the instance tells of."""
    return list(snapshot(made).get("kills", {}).values())


def open_orders(made: World) -> list[Mapping[str, Any]]:
    return [o for o in made.orders() if o["status"] in {"new", "accepted", "pending_cancel"}]


def rest(made: World, count: int) -> list[str]:
    """So many limit orders far from the market; waits until they rest."""
    entries = [made.publish("F", qty="1", **RESTING) for _ in range(count)]
    assert eventually(lambda: len(open_orders(made)) == count, 60)
    return entries


def give(made: World, verb: Verb, name: str, key: str = "", **more: Any) -> dict[str, str]:
    """A command on the control stream, as somebody without the program would write it."""
    command = Command(verb=verb, id=name, by="test", **more)
    fields = control.entry(STREAM, command, key, made.redis_ms())
    made.redis.xadd(STREAM, fields)  # type: ignore[arg-type]
    return fields


# --- how soon -------------------------------------------------------------------------------------


def test_kill_from_another_machine_stops_within_a_second(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """By the control stream alone; from the moment that its entry is in Redis."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    made.start(workers=8)
    operator = elsewhere(made, tmp_path)
    with flood(made) as entries:
        assert eventually(lambda: len(post_times(made)) > 50)
        result = operator.run("kill")
        assert eventually(lambda: len(made.unsent()) > 50)
    assert result.returncode == 0, result.stderr + result.stdout
    assert "ledger: there is no ledger" in result.stderr
    assert "HALTED: operator: killed by" in result.stdout
    [(entry_id, _)] = made.redis.xrange(STREAM)  # type: ignore[misc]
    given = int(entry_id.partition(b"-")[0]) / 1000 - (time.time() - time.monotonic())
    last = max(post_times(made))
    assert last - given < 1.0
    made.await_ends(entries)
    assert {reason for _, reason, _ in made.unsent()} == {"TRADING_HALTED"}


@pytest.mark.parametrize("way", ["ledger", "stream", "file"])
def test_the_last_post_after_each_way_to_stop(make_world: Callable[..., World], way: str) -> None:
    """From the moment that the row, the entry or the file is there, by the exchange's own log."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    made.start(workers=8)
    halted = orjson.dumps({"state": "HALTED", "reason": "TRADING_HALTED", "message": "by hand"})
    ways: dict[str, Callable[[], object]] = {
        "ledger": lambda: small_state.keep(
            made.env()["LEDGER_URL"], {"trading_state:operator": halted.decode()}
        ),
        "stream": lambda: give(made, Verb.KILL, "k1"),
        "file": (made.directory / ".kill_switch").touch,
    }
    with flood(made) as entries:
        assert eventually(lambda: len(post_times(made)) > 50)
        ways[way]()
        stopped = time.monotonic()
        assert eventually(lambda: len(made.unsent()) > 50)
    made.await_ends(entries)
    late = max(post_times(made)) - stopped
    assert late < {"ledger": 1.0, "stream": 0.5, "file": 0.1}[way]


# --- the barrier ----------------------------------------------------------------------------------


def test_posts_on_their_way_are_awaited(make_world: Callable[..., World]) -> None:
    """The exchange takes its time: the kill ends when they are answered, and then cancels them."""
    made = make_world(SYMBOLS="F")
    made.start()
    made.admin("faults", {"text": "POST /v2/orders: latency ms=4000"})
    entry = made.publish("F", qty="1", **RESTING)
    assert eventually(lambda: bool(made.rows()))  # and the request leaves long before a command
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "draining: 1 requests on their way are awaited" in result.stdout
    assert "done: 1 cancels asked for" in result.stdout
    made.await_ends([entry])
    assert open_orders(made) == []
    assert made.final(entry)["event"] == "canceled"


def test_an_unclear_post_is_looked_up_before_the_end(make_world: Callable[..., World]) -> None:
    """UNKNOWN is no answer: the order turns up at the broker, and is cancelled."""
    made = make_world(SYMBOLS="F")
    made.start()
    made.admin("faults", {"text": "POST /v2/orders: reset_after next=1"})
    entry = made.publish("F", qty="1", **RESTING)
    assert eventually(lambda: bool(made.rows()))
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 0, result.stderr + result.stdout
    made.await_ends([entry])
    assert open_orders(made) == []


def test_many_resting_orders_go_as_the_budget_allows(make_world: Callable[..., World]) -> None:
    """As many at once as there are slots; the rest as slots come free, and the command says so."""
    made = make_world("--rate-limit", "40", SYMBOLS="F", RATE_LIMIT_PER_MINUTE="40")
    made.start()
    rest(made, 28)
    result = beside(made).run("kill", "--cancel-orders", "--wait", "7")
    assert result.returncode == 1
    assert "wait for the rate budget" in result.stdout
    assert "it goes on, see signalpaca status" in result.stderr
    # At most what the budget had: what start, lists and polls took of it depends on the machine.
    gone = len(deletes(made))
    assert 0 < gone < 28
    [kill] = kills(made)
    assert (kill["asked"], kill["left"], kill["waits"]) == (gone, 28 - gone, True)


def test_an_account_of_our_own_needs_one_request(make_world: Callable[..., World]) -> None:
    """EXCLUSIVE_ACCOUNT: two hundred orders, one DELETE."""
    made = make_world(SYMBOLS="F", EXCLUSIVE_ACCOUNT="true")
    made.start()
    entries = rest(made, 200)
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 0, result.stderr + result.stdout
    assert deletes(made) == ["/v2/orders"]
    assert "all open orders cancelled in one request" in result.stdout
    made.await_ends(entries)
    assert open_orders(made) == []


def test_two_hundred_orders_one_by_one(make_world: Callable[..., World]) -> None:
    """Where others trade on the account, theirs stay."""
    made = make_world(SYMBOLS="F")
    made.start()
    body = {"symbol": "F", "side": "buy", "type": "limit", "time_in_force": "day"}
    theirs = made.broker("orders", {**body, "qty": "1", "limit_price": "1"})
    entries = [made.publish("F", qty="1", **RESTING) for _ in range(200)]
    assert eventually(lambda: len(open_orders(made)) == 201, 60)
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 0, result.stderr + result.stdout
    made.await_ends(entries)
    assert [order["id"] for order in open_orders(made)] == [theirs["id"]]


@pytest.mark.parametrize(
    ("point", "ledger"),
    [
        ("operator.halted=kill", "sqlite"),
        ("kill.drained=kill", "sqlite"),
        ("kill.before_cancel=kill:3", "sqlite"),
        ("kill.cancelled=kill:3", "sqlite"),
        ("kill.cancelled=kill:3", "postgres"),
        ("kill.flatten_asked=kill", "sqlite"),
        ("kill.ended=kill", "postgres"),
    ],
)
def test_a_kill_that_dies_is_finished_by_the_next_start(
    make_world: Callable[..., World], request: pytest.FixtureRequest, point: str, ledger: str
) -> None:
    """kill -9 in the middle of the barrier: HALTED holds, and everything is cancelled once more."""
    where = {"LEDGER_URL": request.getfixturevalue("postgres_url")} if ledger == "postgres" else {}
    made = make_world(SYMBOLS="F", **where)
    service = made.start(SIGNALPACA_FAILPOINTS=point)
    entries = rest(made, 10)
    give(made, Verb.KILL, "k1", close_positions=True)
    service.wait()
    posts = len(post_times(made))
    entries.append(made.publish("F"))
    made.start()
    assert eventually(lambda: [kill["stage"] for kill in kills(made)] == ["done"])
    made.await_ends(entries)
    assert open_orders(made) == []
    assert len(post_times(made)) == posts
    assert made.final(entries[-1])["reason"] == "TRADING_HALTED"
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        assert "flatten:k1" in reader.states("")


def test_a_resume_ends_the_cancels(make_world: Callable[..., World]) -> None:
    """Whoever resumes wants the rest to stay."""
    made = make_world("--rate-limit", "40", SYMBOLS="F", RATE_LIMIT_PER_MINUTE="40")
    made.start()
    rest(made, 28)
    give(made, Verb.KILL, "k1", cancel_orders=True)
    assert eventually(lambda: any(kill.get("waits") for kill in kills(made)))
    result = beside(made).run("resume")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "the kill by test ends here: cancelling" in result.stdout
    assert eventually(lambda: kills(made) == [])
    assert len(open_orders(made)) > 0


@pytest.mark.parametrize("crash", [False, True])
def test_legs_that_nobody_has_named_yet_are_cancelled(
    make_world: Callable[..., World], *, crash: bool
) -> None:
    """The entry's answer was lost and the stream told its fill: its legs stand at the broker under
    ids that say nothing, and the entry is no open order any more."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    made.admin("faults", {"text": "POST /v2/orders: reset_after next=1"})
    made.publish("F", qty="5", take_profit="1000", stop_loss="1")
    assert eventually(lambda: len(open_orders(made)) == 2)
    if crash:
        service.kill()
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 0, result.stderr + result.stdout
    assert open_orders(made) == []


def test_an_order_that_may_still_arrive_is_told(make_world: Callable[..., World]) -> None:
    """Nothing is open and it is not over: named, and cancelled when it arrives."""
    made = make_world(SYMBOLS="F", RESEND_UNKNOWN="false")
    made.start()
    made.admin("faults", {"text": "POST /v2/orders: late ms=15000 answer=reset next=1"})
    made.publish("F", qty="3", order_type="limit", limit_price="1", time_in_force="gtc")
    assert eventually(lambda: [r.state for r in made.rows().values()] == ["EXPIRED_UNCONFIRMED"])
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 1
    assert "may still arrive: its request was not answered" in result.stderr
    assert "buy 3 F (" in result.stderr
    assert eventually(lambda: [o["status"] for o in made.orders()] == ["canceled"], 30)


def test_closing_positions_is_followed_until_flat(make_world: Callable[..., World]) -> None:
    """Exit code 0 says that nothing is held."""
    made = make_world(SYMBOLS="F")
    made.start()
    made.await_ends([made.publish("F", qty="5")])
    result = beside(made).run("kill", "--close-positions")
    assert result.returncode == 0, result.stderr + result.stdout
    assert result.stdout.splitlines()[-1] == "flat: 1 positions closed, 0 orders cancelled"
    assert made.broker("positions") == []


def test_what_nobody_closes_is_no_success_and_ends_with_a_resume(
    make_world: Callable[..., World],
) -> None:
    """No instance runs; the position is kept when one starts after the resume, and can grow."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    made.await_ends([made.publish("F", qty="5")])
    assert service.stop() == 0
    result = beside(made).run("kill", "--close-positions")
    assert result.returncode == 1
    assert "NOTHING WAS CLOSED" in result.stderr
    resumed = beside(made).run("resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "withdrew flatten" in resumed.stdout
    made.start()
    made.await_ends([made.publish("F", qty="2")])
    assert [p["qty"] for p in made.broker("positions")] == ["7"]


def test_nothing_opens_what_is_being_closed(make_world: Callable[..., World]) -> None:
    """Whatever rows somebody deletes: the request's own is enough."""
    clock = ("--session", "nyse", "--stepped", "--start", "2026-11-30T15:50:00-05:00")
    made = make_world(*clock, SYMBOLS="F", MAX_QUOTE_AGE="0")
    made.admin("prices", {"F": "10"})
    made.start()
    made.await_ends([made.publish("F", qty="5")])
    made.admin("clock", {"to": "2026-11-30T21:30:00Z"})
    assert beside(made).run("flatten", "--yes", "--wait", "2").returncode == 1
    small_state.forget(made.env()["LEDGER_URL"], lambda key: key.startswith("trading_state:"))
    assert eventually(lambda: set(snapshot(made)["restrictions"]) != {"operator_reducing"})
    entry = made.publish("F", qty="1")
    made.await_ends([entry])
    assert made.final(entry)["reason"] == "REDUCING_ONLY"
    assert "flatten:" in made.final(entry)["message"]


def test_a_dead_instance_does_not_fail_the_command(make_world: Callable[..., World]) -> None:
    """What it said last stands for seconds after kill -9."""
    made = make_world(SYMBOLS="F")
    made.start().kill()
    result = beside(made).run("kill")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "no instance of group" in result.stderr


def test_without_a_service_the_command_cancels(make_world: Callable[..., World]) -> None:
    """The same steps; orders of ours only, and a start afterwards sends nothing."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    entries = rest(made, 5)
    assert service.stop() == 0
    result = beside(made).run("kill", "--cancel-orders")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "done from here" in result.stdout
    assert open_orders(made) == []
    entries.append(made.publish("F"))
    made.start()
    made.await_ends(entries)
    assert made.final(entries[-1])["reason"] == "KILL_SWITCH"


# --- states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ledger", ["sqlite", "postgres"])
def test_reducing_lets_exits_through_and_a_restart_keeps_it(
    make_world: Callable[..., World], request: pytest.FixtureRequest, ledger: str
) -> None:
    """Set by the command, until it is lifted by the command."""
    where = {"LEDGER_URL": request.getfixturevalue("postgres_url")} if ledger == "postgres" else {}
    made = make_world(SYMBOLS=",".join(CHEAP), **where)
    service = made.start()
    operator = beside(made)
    held = made.publish("F", qty="2")
    made.await_ends([held])
    result = operator.run("reduce-only")
    assert result.returncode == 0, result.stderr + result.stdout
    assert service.stop() == 0
    made.start()
    entry, leaving = made.publish("T"), made.publish("F", "s", qty="1")
    made.await_ends([entry, leaving])
    assert made.final(entry)["reason"] == "REDUCING_ONLY"
    assert made.final(leaving)["event"] == "fill"
    assert operator.run("resume").returncode == 0
    again = made.publish("T")
    made.await_ends([again])
    assert made.final(again)["event"] == "fill"


def test_one_ticker_reduces_and_the_others_trade(make_world: Callable[..., World]) -> None:
    """In lower case, as somebody types it."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    made.start()
    operator = beside(made)
    made.await_ends([made.publish("F", qty="2")])
    assert operator.run("reduce-only", "f").returncode == 0
    entry, leaving, other = made.publish("F"), made.publish("F", "s", qty="1"), made.publish("T")
    made.await_ends([entry, leaving, other])
    assert made.final(entry)["reason"] == "REDUCING_ONLY"
    assert {made.final(one)["event"] for one in (leaving, other)} == {"fill"}
    assert operator.run("resume", "F").returncode == 0
    again = made.publish("F")
    made.await_ends([again])
    assert made.final(again)["event"] == "fill"


def test_a_kill_is_kept_by_a_restart_without_its_file(make_world: Callable[..., World]) -> None:
    """The row counts, also where somebody removed the file by hand."""
    made = make_world(SYMBOLS="F")
    service = made.start()
    assert beside(made).run("kill").returncode == 0
    (made.directory / ".kill_switch").unlink()
    service.kill()
    made.start()
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["reason"] == "TRADING_HALTED"


def test_a_state_that_cannot_be_read_sends_nothing(make_world: Callable[..., World]) -> None:
    """The thread that reads stands still, and the last look's own reading takes too long."""
    stalls = ";".join(f"states.read=pause:3:{nth}" for nth in range(3, 6))
    made = make_world(SYMBOLS="F")
    made.start(SIGNALPACA_FAILPOINTS=stalls)
    threading.Event().wait(1.5)  # a state is known for a second
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["reason"] == "STATE_UNKNOWN"
    assert post_times(made) == []
    assert eventually(lambda: snapshot(made).get("state_age_s", 9) < 1)
    again = made.publish("F")
    made.await_ends([again])
    assert made.final(again)["event"] == "fill"


@pytest.mark.parametrize("point", ["pipeline.last_look", "submit.row_durable", "submit.last_check"])
def test_a_state_set_between_gate_and_post_stops_the_order(
    make_world: Callable[..., World], point: str
) -> None:
    """The order waits at the last steps before its POST while trading is halted."""
    made = make_world(SYMBOLS="F")
    made.start(SIGNALPACA_FAILPOINTS=f"{point}=pause:1")
    entry = made.publish("F")
    assert eventually(lambda: f"failpoint {point}: pause" in made.services[-1].text)
    give(made, Verb.KILL, "k1")
    made.await_ends([entry])
    assert post_times(made) == []
    assert made.final(entry)["reason"] == "TRADING_HALTED"


# --- the control stream ---------------------------------------------------------------------------


def test_a_kill_published_while_nobody_listened(make_world: Callable[..., World]) -> None:
    """It counts at the next start, once: a resume ends it for good."""
    made = make_world(SYMBOLS="F")
    made.start().kill()
    give(made, Verb.KILL, "k1")
    service = made.start()
    assert eventually(lambda: snapshot(made).get("trading_state") == "HALTED")
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["reason"] == "TRADING_HALTED"
    assert beside(made).run("resume").returncode == 0
    service.kill()
    made.start()
    again = made.publish("F")
    made.await_ends([again])
    assert made.final(again)["event"] == "fill"


def test_a_resume_beats_a_kill_that_nobody_has_read_yet(make_world: Callable[..., World]) -> None:
    """Killed and resumed while the service was down, in this order."""
    made = make_world(SYMBOLS="F")
    made.start().kill()
    give(made, Verb.KILL, "k1")
    assert beside(made).run("resume").returncode == 0
    made.start()
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["event"] == "fill"


def test_commands_are_signed_where_a_key_is_set(make_world: Callable[..., World]) -> None:
    """Not signed, signed wrongly, given twice: none of it is carried out, all of it is told."""
    made = make_world(SYMBOLS="F", CONTROL_HMAC_KEY=KEY)
    made.start()
    give(made, Verb.KILL, "k0")
    give(made, Verb.KILL, "k1", "another-key" * 3)
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["event"] == "fill"
    told = [e for e in made.events() if e["event"] == "control_refused"]
    assert [e["message"] for e in told] == ["kill is not signed", "kill is signed wrongly"]
    assert {e["reason"] for e in told} == {"CONTROL_REFUSED"}
    give(made, Verb.REDUCE_ONLY, "r1", KEY, ticker="F")
    assert eventually(lambda: "F" in snapshot(made).get("reducing", {}))
    given = give(made, Verb.RESUME, "u1", KEY, ticker="F")
    assert eventually(lambda: snapshot(made).get("reducing") == {})
    give(made, Verb.REDUCE_ONLY, "r2", KEY, ticker="F")
    assert eventually(lambda: "F" in snapshot(made).get("reducing", {}))
    made.redis.xadd(STREAM, given)  # type: ignore[arg-type]
    assert eventually(lambda: "resume u1 was given before" in made.services[-1].text)
    assert "F" in snapshot(made)["reducing"]


@pytest.mark.parametrize("verb", [Verb.FLATTEN, Verb.RESUME])
def test_a_copy_of_a_refused_command_does_not_act(
    make_world: Callable[..., World], verb: Verb
) -> None:
    """Given while the service was down, refused at its start, copied then: it closes nothing."""
    made = make_world(SYMBOLS="F", CONTROL_HMAC_KEY=KEY)
    service = made.start()
    made.await_ends([made.publish("F", qty="2")])
    give(made, Verb.REDUCE_ONLY, "r1", KEY, ticker="F")
    assert eventually(lambda: "F" in snapshot(made).get("reducing", {}))
    assert service.stop() == 0
    given = give(made, verb, "c1", KEY, ticker="F")
    service = made.start()
    assert eventually(lambda: f"{verb} was given before this instance started" in service.text)
    made.redis.xadd(STREAM, given)  # type: ignore[arg-type]
    assert eventually(lambda: f"{verb} c1 was given before" in service.text)
    service.kill()
    service = made.start()
    made.redis.xadd(STREAM, given)  # type: ignore[arg-type]
    assert eventually(lambda: f"{verb} c1 was given before" in service.text)
    assert "F" in snapshot(made)["reducing"]
    assert len(post_times(made)) == 1
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        assert reader.get_state("flatten:c1") is None


def test_a_kill_with_an_odd_id_acts_once(make_world: Callable[..., World]) -> None:
    """A copy of it after the resume stops nothing."""
    made = make_world(SYMBOLS="F", CONTROL_HMAC_KEY=KEY)
    service = made.start()
    given = give(made, Verb.KILL, "café", KEY)
    assert eventually(lambda: snapshot(made).get("trading_state") == "HALTED")
    assert beside(made).run("resume").returncode == 0
    made.redis.xadd(STREAM, given)  # type: ignore[arg-type]
    assert eventually(lambda: "was given before" in service.text)
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["event"] == "fill"


def test_a_control_stream_without_ids_left_is_told(make_world: Callable[..., World]) -> None:
    """In `status` and by `check`: no command would come through any more."""
    made = make_world(SYMBOLS="F")
    made.start()
    made.redis.xadd(STREAM, {"command": "reduce-only"}, id=f"{2**64 - 1}-{2**64 - 1}")
    assert eventually(lambda: "trouble" in snapshot(made).get("control", {}))
    assert eventually(lambda: "nothing can be added" in snapshot(made)["control"]["trouble"])
    operator = beside(made)
    told = operator.run("status").stdout
    assert "control stream: REDIS_ID_IN_FUTURE" in told
    assert "REDIS_ID_IN_FUTURE since the start" in told
    checked = operator.run("check")
    assert checked.returncode == 1
    assert "control stream" in checked.stderr


def test_a_signed_resume_from_elsewhere(make_world: Callable[..., World], tmp_path: Path) -> None:
    """Everything is lifted, the file in the service's directory included."""
    made = make_world(SYMBOLS="F", CONTROL_HMAC_KEY=KEY)
    made.start()
    assert beside(made).run("kill").returncode == 0
    result = elsewhere(made, tmp_path).run("resume")
    assert result.returncode == 0, result.stderr + result.stdout
    entry = made.publish("F")
    made.await_ends([entry])
    assert made.final(entry)["event"] == "fill"


def test_a_flatten_by_stream_leaves_its_row(make_world: Callable[..., World]) -> None:
    """Signed, and once."""
    made = make_world(SYMBOLS="F", CONTROL_HMAC_KEY=KEY)
    made.start()
    give(made, Verb.FLATTEN, "f1", KEY, ticker="F")

    def row() -> Any:
        with open_reader(made.env()["LEDGER_URL"]) as reader:
            return orjson.loads(reader.get_state("flatten:f1") or "{}")

    assert eventually(lambda: bool(row()))
    assert (row()["symbols"], row()["why"]) == (["F"], "by test")
