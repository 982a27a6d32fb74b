"""Two instances on one ledger: one trades, the other takes over."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.clocks import eventually
from tests.helpers.service_process import World

CHEAP = ("F", "T", "INTC")


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new ledger of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


def publish_some(made: World, count: int) -> list[str]:
    return [made.publish(CHEAP[n % len(CHEAP)]) for n in range(count)]


def test_a_standby_takes_over_from_a_dead_instance(
    make_world: Callable[..., World], ledger_url: str
) -> None:
    """kill -9 under load, three times in a row: nothing lost, nothing sent twice."""
    made = make_world(SYMBOLS=",".join(CHEAP), LEDGER_URL=ledger_url)
    active = made.start()
    entries: list[str] = []
    for _ in range(3):
        standby = made.launch()
        assert eventually(lambda other=standby: "standby" in other.text)
        before = len(made.orders())  # all sixty may have left before one can look
        entries += publish_some(made, 60)
        assert eventually(lambda least=before: len(made.orders()) > least)
        active.kill()
        active = standby.await_start()
    made.await_ends(entries)
    made.check(entries)


def test_an_orderly_stop_hands_over(make_world: Callable[..., World], ledger_url: str) -> None:
    """SIGTERM to the active one: it finishes what it has, the standby goes on."""
    made = make_world(SYMBOLS=",".join(CHEAP), LEDGER_URL=ledger_url)
    active = made.start()
    standby = made.launch()
    assert eventually(lambda: "standby" in standby.text)
    entries = publish_some(made, 60)
    assert active.stop() == 0
    standby.await_start()
    entries += publish_some(made, 30)
    made.await_ends(entries)
    made.check(entries)


def test_a_standby_is_stopped_like_any_service(
    make_world: Callable[..., World], ledger_url: str
) -> None:
    """It has nothing to finish: exit code 0."""
    made = make_world(SYMBOLS="F", LEDGER_URL=ledger_url)
    made.start()
    standby = made.launch()
    assert eventually(lambda: "standby" in standby.text)
    standby.signal(signal.SIGTERM)
    assert standby.wait() == 0
    entry = made.publish("F")
    made.await_ends([entry])
    made.check([entry])


def test_a_paused_instance_that_wakes_sends_nothing(
    make_world: Callable[..., World], postgres_url: str
) -> None:
    """SIGSTOP under load: the standby takes over; the sleeper wakes, sends nothing, and ends."""
    made = make_world(SYMBOLS=",".join(CHEAP), LEDGER_URL=postgres_url)
    active = made.start()
    standby = made.launch()
    assert eventually(lambda: "standby" in standby.text)
    entries = publish_some(made, 200)
    assert eventually(lambda: len(made.orders()) > 20)
    active.signal(signal.SIGSTOP)
    standby.await_start()
    entries += publish_some(made, 50)
    active.signal(signal.SIGCONT)
    assert active.wait() == 1
    assert "another instance holds the ledger now" in active.text
    made.await_ends(entries)
    made.check(entries)
    third = made.launch()
    assert eventually(lambda: "standby" in third.text)


def test_asleep_between_its_row_and_its_post(
    make_world: Callable[..., World], postgres_url: str
) -> None:
    """The one moment in which a write has proved the lease and nothing has been sent yet."""
    made = make_world(SYMBOLS="F", LEDGER_URL=postgres_url)
    active = made.start(SIGNALPACA_FAILPOINTS="submit.row_durable=stop")
    standby = made.launch()
    assert eventually(lambda: "standby" in standby.text)
    entry = made.publish("F")
    standby.await_start()
    made.await_ends([entry])
    posts = made.posts()
    active.signal(signal.SIGCONT)
    assert active.wait() == 1
    assert made.posts() == posts
    made.check([entry])
