"""What the demo reads from Redis and the exchange."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from paper_exchange.testing import Running, running
from solution.demo import evidence
from solution.demo.evidence import Witness
from tests.helpers.redis_server import RedisServer


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """A real exchange."""
    with running() as started:
        yield started


@pytest.fixture
def witness(redis_server: RedisServer, exchange: Running) -> Iterator[Witness]:
    """Of an empty Redis and a new account."""
    made = Witness(
        redis_url=redis_server.url,
        exchange_url=exchange.url,
        keys=(f"key-{uuid.uuid4()}", "secret"),
        stream="s",
        group="g",
    )
    with closing(made):
        yield made


def test_before_anything_happened(witness: Witness) -> None:
    """No stream, no group, an account with cash."""
    found = witness.collect()
    assert (found.entries, found.events, found.pending) == ({}, [], 0)
    assert found.positions == {}
    assert found.account["equity"] == "100000"
    assert witness.published() == witness.ended() == 0


def test_streams_are_read_whole(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pages; each event_id counts once; names have no case."""
    monkeypatch.setattr(evidence, "PAGE", 2)
    for number in range(5):
        witness.client.xadd("s", {"Signal_ID": f"i{number}"}, id=f"{number + 1}-0")
        witness.client.xadd("executions", {"event_id": str(number // 2), "final": "0"})
    found = witness.collect()
    assert next(iter(found.entries.items())) == (("s", "1-0"), "i0")
    assert len(found.entries) == 5
    assert [event["event_id"] for event in found.events] == ["0", "1", "2"]


def test_ends_are_counted_as_they_come(witness: Witness) -> None:
    """Per entry, and only final ones."""
    for entry, last in (("1-0", "1"), ("2-0", "0")):
        witness.client.xadd("executions", {"stream": "s", "entry_id": entry, "final": last})
    assert witness.ended() == 1
    assert witness.ended() == 1
    for entry in ("1-0", "2-0"):
        witness.client.xadd("executions", {"stream": "s", "entry_id": entry, "final": "1"})
    assert witness.ended() == 2


def test_pending_entries(witness: Witness) -> None:
    """Delivered and not acknowledged."""
    witness.client.xgroup_create("s", "g", id="0", mkstream=True)
    witness.client.xadd("s", {"a": "b"})
    witness.client.xreadgroup("g", "c", {"s": ">"})
    assert witness.collect().pending == 1


def test_an_exchange_that_refuses(witness: Witness) -> None:
    """Is an OSError that names the path."""
    with pytest.raises(OSError, match="/v2/nothing: HTTP 404"):
        witness._get("/v2/nothing")


def test_an_exchange_that_speaks_no_http(redis_server: RedisServer) -> None:
    """Also an OSError."""
    made = Witness(
        redis_url=redis_server.url,
        exchange_url=redis_server.url.replace("redis://", "http://"),
        keys=("k", "s"),
        stream="s",
        group="g",
    )
    with closing(made), pytest.raises(OSError, match="/v2/account"):
        made._get("/v2/account")
