"""How the service starts, refuses to start, stops, and is stopped."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from solution.ui.snapshot import read_all
from tests.helpers import fault_broker as broken
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import FaultBroker
from tests.helpers.redis_server import free_port
from tests.helpers.service_process import GROUP, World, refusal

CHEAP = ["F", "BAC", "C", "CSCO"]


def publish_some(made: World, count: int) -> list[str]:
    """That many buys over the cheap assets."""
    return [made.publish(CHEAP[number % len(CHEAP)]) for number in range(count)]


# --- refusing to start --------------------------------------------------------------------


def test_a_world_that_does_not_fit_is_refused_in_one_line(
    make_world: Callable[..., World],
) -> None:
    """Wrong keys, a blocked account, no Redis, no broker, an unknown symbol: exit code 1."""
    made = make_world("--keys", "KEY-CANARY:SECRET-CANARY", proxy=FaultBroker)
    nowhere = f"127.0.0.1:{free_port()}"
    cases = {
        "does not accept the keys": made.launch(ALPACA_SECRET_KEY="SECRET-CANARY-OTHER"),
        f"Redis at redis://{nowhere}/0 does not answer": made.launch(
            REDIS_URL=f"redis://{nowhere}/0", LEDGER_URL="sqlite:///second.db"
        ),
        "does not answer as a broker": made.launch(
            ALPACA_TRADING_URL=f"http://{nowhere}", LEDGER_URL="sqlite:///third.db"
        ),
        "SYMBOLS names NOSUCH": made.launch(
            SYMBOLS="NVDA,NOSUCH", LEDGER_URL="sqlite:///fourth.db"
        ),
    }
    for words, service in cases.items():
        assert words in refusal(service, 1, "signalpaca stops: ")
    made.proxy.account_changes = {"trading_blocked": True}
    assert "blocked" in refusal(made.launch(), 1, "signalpaca stops: ")


def test_a_key_that_anybody_set_stops_neither_the_service_nor_its_start(
    make_world: Callable[..., World],
) -> None:
    """Only what an instance would have written counts as one; the rest is a warning."""
    made = make_world()
    first = made.start()
    for name, content in (("x", "{}"), ("y", "null"), ("z", '{"ledger":"other"}')):
        made.redis.set(f"signalpaca:solution:{name}", content)
    assert eventually(lambda: "status_keys_ignored" in first.text)
    made.await_ends([made.publish()])
    assert first.stop() == 0
    second = made.start()
    made.await_ends([made.publish()])
    assert second.stop() == 0
    assert first.text.count("status_keys_ignored") == 1


def test_a_ledger_serves_one_instance_of_one_account(make_world: Callable[..., World]) -> None:
    """A second one on it waits; one beside it or of another account: one line, exit code 1."""
    made = make_world()
    first = made.start()
    second = made.launch()
    assert eventually(lambda: "standby" in second.text)
    assert str(first.process.pid) in second.text
    assert second.stop() == 0
    assert eventually(lambda: bool(made.redis.keys("signalpaca:*")))  # it tells of itself by now
    beside = made.launch(LEDGER_URL="sqlite:///another.db")
    assert "already serves group" in refusal(beside, 1, "signalpaca stops: instance")
    assert first.stop() == 0
    other = made.launch(ALPACA_API_KEY="ANOTHER")
    assert "this ledger belongs to account" in refusal(other, 1, "signalpaca stops: ")


def test_wrong_configuration_is_exit_code_2(make_world: Callable[..., World]) -> None:
    """One line that names the setting."""
    made = make_world()
    cases = {
        "WORKERS": made.launch(WORKERS="none"),
        "ALPACA_API_KEY": made.launch(ALPACA_API_KEY=""),
        "ALPACA_PAPER": made.launch(ALPACA_PAPER="false"),
    }
    cases["WORKERS"].kill()
    del cases["WORKERS"]  # -w on the command line overrides it
    cases["QTY"] = made.launch(QTY="-1")
    for name, service in cases.items():
        assert name in refusal(service, 2, "configuration: ")


# --- stopping -----------------------------------------------------------------------------


def test_sigterm_under_load_stops_in_order_and_loses_nothing(
    make_world: Callable[..., World],
) -> None:
    """Exit code 0 within ten seconds; the next start finishes what was left pending."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    service = made.start()
    entries = publish_some(made, 600)
    assert eventually(lambda: len(made.orders()) > 20)
    began = time.monotonic()
    service.signal(signal.SIGTERM)
    entries += publish_some(made, 100)
    assert service.wait() == 0, service.text
    assert time.monotonic() - began < 10
    assert "ERROR" not in service.text
    made.start(workers=8)
    made.await_ends(entries)
    made.check(entries)


def test_orders_in_hand_get_their_end_before_the_process_goes(
    make_world: Callable[..., World],
) -> None:
    """SIGTERM while a POST waits for its answer: adopted or answered, told, acknowledged."""
    made = make_world("--symbols", "SLOW", proxy=FaultBroker, SYMBOLS="SLOW")
    made.proxy.on_post("SLOW", broken.slow_answer(1.0))
    made.proxy.on_stream("SLOW", broken.never)
    service = made.start()
    entry = made.publish("SLOW")
    assert eventually(lambda: bool(made.proxy.posts_of("SLOW")))
    assert service.stop() == 0
    made.check([entry])


def test_a_second_signal_ends_the_process_at_once(make_world: Callable[..., World]) -> None:
    """A worker hangs in its POST for five seconds; the second SIGTERM does not wait for it."""
    made = make_world("--symbols", "HANG", proxy=FaultBroker, SYMBOLS="HANG")
    made.proxy.on_post("HANG", broken.accept_then(broken.silence()))
    service = made.start()
    entry = made.publish("HANG")
    assert eventually(lambda: bool(made.proxy.posts_of("HANG")))
    service.signal(signal.SIGTERM)
    assert eventually(lambda: "INFO stopping" in service.text)
    service.signal(signal.SIGTERM)
    assert service.wait() == 1
    assert "INFO stopped" not in service.text  # as an orderly end says, once the POST is over
    made.start()
    made.await_ends([entry])
    made.check([entry])


# --- being stopped ------------------------------------------------------------------------


def test_no_order_leaves_after_the_kill_switch_appears(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """Under load: the file is made, and what was not on its way by then is refused."""
    switch = tmp_path / "kill"
    made = make_world(SYMBOLS=",".join(CHEAP), KILL_SWITCH_FILE=str(switch))
    made.start()
    entries = publish_some(made, 500)
    assert eventually(lambda: len(made.orders()) > 50)
    switch.touch()
    thrown = time.monotonic()
    entries += publish_some(made, 500)
    made.await_ends(entries)
    posts = [e for e in made.admin("log")["entries"] if e["method"] == "POST"]
    # Each of the four workers may have looked for the file a moment before.
    assert sum(e["arrived"] > thrown for e in posts) <= 4
    assert len(posts) < 1000
    refused = [e for e in made.events() if e["event"] == "refused"]
    assert {e["reason"] for e in refused} == {"KILL_SWITCH"}
    made.check(entries, orders=len(posts))
    switch.unlink()
    again = made.publish("F")
    made.await_ends([again])
    assert made.final(again)["event"] == "fill"


def test_an_unreadable_kill_switch_counts_as_on(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    """A path that cannot be looked at refuses every order."""
    (tmp_path / "file").touch()
    made = make_world(KILL_SWITCH_FILE=str(tmp_path / "file" / "kill"))
    made.start()
    entry = made.publish()
    made.await_ends([entry])
    assert made.final(entry)["reason"] == "KILL_SWITCH"
    assert made.orders() == []


def test_an_exit_goes_before_entries_that_wait_for_budget(
    make_world: Callable[..., World],
) -> None:
    """Published behind three hundred buys with the budget used up: the next order out."""
    limits = ("--rate-limit", "30")
    made = make_world(*limits, SYMBOLS="F,BAC,C,CSCO,NVDA", RATE_LIMIT_PER_MINUTE="30")
    made.start(workers=8)
    made.await_ends([made.publish("NVDA", qty="5")])
    publish_some(made, 300)
    assert eventually(lambda: _used_up(made))
    before = sum(made.posts().values())
    exit_entry = made.publish("NVDA", "s")
    assert eventually(lambda: made.ended([exit_entry]))
    order = next(o for o in made.orders() if o["side"] == "sell")
    posts = [e for e in made.admin("log")["entries"] if e["method"] == "POST"]
    assert posts[before]["client_order_id"] == order["client_order_id"]
    assert order["status"] == "filled"
    assert {entry["status"] for entry in made.admin("log")["entries"]} == {200}


def _used_up(made: World) -> bool:
    """Whether the budget has nothing left for entries, and nothing is under way."""
    rates = [shown["rate"] for shown in read_all(made.redis, GROUP).values()]
    return [(rate["left_for_entries"], rate["in_flight"]) for rate in rates] == [(0, 0)]


# --- the ledger fails ---------------------------------------------------------------------


def test_a_ledger_that_cannot_be_written_ends_the_service(
    make_world: Callable[..., World],
) -> None:
    """A full disk: no order without its row, no acknowledgement, exit code 1 with one line."""
    made = make_world(SYMBOLS=",".join(CHEAP))
    # 300 KiB for any one file that the process writes, its log included.
    before = ("bash", "-c", 'ulimit -f 300; exec "$@"', "limited")
    service = made.launch(before=before, LOG_LEVEL="ERROR")
    entries = publish_some(made, 1500)
    line = refusal(service, 1, "signalpaca stops: ")
    assert "ledger" in line
    assert {order["client_order_id"] for order in made.orders()} <= set(made.rows())
    assert made.pending() > 0
    made.start(workers=8)
    made.await_ends(entries, 30)
    made.check(entries)
