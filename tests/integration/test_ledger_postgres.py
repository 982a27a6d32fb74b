"""The service with its ledger in PostgreSQL: killed, replaced by a standby, its server crashed."""

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from solution.domain.flattening import Flattening
from solution.errors import LeaseLost, OutcomeUnknown, RateLimited
from solution.ledger import beside
from solution.ledger.postgres import PostgresLedger
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import FaultBroker, status
from tests.helpers.postgres_server import PostgresServer
from tests.helpers.service_process import World, world
from tests.helpers.trading import Rig, fail

SYMBOLS = ("NVDA", "AAPL", "MSFT", "TSLA")


@pytest.fixture
def place(tmp_path: Path, postgres_url: str) -> Iterator[World]:
    """A Redis, an exchange and an empty ledger in PostgreSQL."""
    with world(tmp_path, LEDGER_URL=postgres_url) as made:
        yield made


def publish(place: World, count: int) -> list[str]:
    """Signals on a few symbols; returns their entry ids."""
    return [place.publish(SYMBOLS[number % len(SYMBOLS)]) for number in range(count)]


def test_a_standby_takes_over_and_every_signal_has_one_order(place: World) -> None:
    """Killed under load; the second instance waits for the lease and finishes what was begun."""
    first = place.start()
    second = place.launch()
    entries = publish(place, 40)
    assert eventually(lambda: len(place.events()) > 10)
    first.kill()
    second.await_start()
    entries += publish(place, 20)
    place.await_ends(entries, 60)
    assert second.stop() == 0
    place.check(entries)


def test_a_server_that_restarts_under_load_costs_no_signal(
    place: World, postgres_server: PostgresServer
) -> None:
    """Whether the service sits it out or ends and is started again, nothing is lost or doubled."""
    service = place.start()
    entries = publish(place, 30)
    assert eventually(lambda: len(place.events()) > 10)
    postgres_server.crash()
    postgres_server.start()
    entries += publish(place, 10)
    assert eventually(lambda: place.ended(entries) or service.process.poll() is not None, 60)
    if service.process.poll() is not None:
        assert service.process.returncode == 1, service.text
        place.start()
    place.await_ends(entries, 60)
    place.check(entries)


@pytest.mark.parametrize("point", ["pipeline.resend", "submit.row_again"])
def test_asleep_before_it_sends_a_body_again(tmp_path: Path, postgres_url: str, point: str) -> None:
    """Paused on both sides of the write before a second POST: the other instance sends it."""
    with world(tmp_path, proxy=FaultBroker, LEDGER_URL=postgres_url) as place:
        busy = {"code": 42910000, "message": "too many requests."}
        place.proxy.on_post("F", status(429, busy, Retry_After="1"))
        active = place.start(SIGNALPACA_FAILPOINTS=f"{point}=stop")
        standby = place.launch()
        entry = place.publish("F", max_age="300")
        standby.await_start()
        place.await_ends([entry], 60)
        sent = len(place.proxy.posts_of("F"))
        active.signal(signal.SIGCONT)
        assert active.wait() == 1
        assert "another instance holds the ledger now" in active.text
        assert len(place.proxy.posts_of("F")) == sent
        place.check([entry])


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), RateLimited("429", 1.0)])
def test_a_frozen_instance_whose_clocks_stood_still(postgres_url: str, error: Exception) -> None:
    """No clock of its own tells it of the takeover; the epoch in the ledger does."""
    with (
        closing(PostgresLedger(postgres_url)) as mine,
        closing(PostgresLedger(postgres_url)) as new,
    ):
        assert mine.acquire_lease("mine", 0.05) == 1
        rig = Rig(ledger=mine)
        rig.desk.script.append(fail(error))
        rig.send()

        def taken_over() -> None:
            assert eventually(lambda: new.acquire_lease("new", 60.0) == 2)

        rig.desk.on_quote = taken_over  # while the gates look
        with pytest.raises(LeaseLost):
            rig.work() or rig.advance(5)
        assert len(rig.desk.posts) == 1


def test_a_request_to_flatten_is_written_beside_the_service_and_carried_out(place: World) -> None:
    """Also after a crash in the middle, by the instance that comes next."""
    first = place.start()
    place.await_ends([place.publish("NVDA", qty="3"), place.publish("AAPL", qty="2")])
    first.stop()
    request = Flattening("one", (), "a test", 1)
    url = place.env()["LEDGER_URL"]
    beside.keep(url, {request.key: request.to_json()})
    crashing = place.launch(SIGNALPACA_FAILPOINTS="flatten.row_kept=kill")
    assert eventually(lambda: crashing.process.poll() is not None)
    place.start()
    assert eventually(lambda: place.broker("positions") == [], 60)
    assert set(place.posts().values()) == {1}
