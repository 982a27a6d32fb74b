"""The service with its ledger in PostgreSQL: killed, replaced by a standby, its server crashed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.clocks import eventually
from tests.helpers.postgres_server import PostgresServer
from tests.helpers.service_process import World, world

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
