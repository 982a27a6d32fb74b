"""A real failover under Sentinel: the master is killed, and the listener goes on at the next."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from solution.clock import Deadline
from solution.domain.reasons import RedisFault
from solution.ledger.outbox import OutboxPublisher
from solution.redis_client import NoMaster, fault_of, make_client
from tests.helpers.clocks import eventually
from tests.helpers.listening import BUNDLED, BUY, GROUP, STREAM, VERSIONS, Hands, server_of
from tests.helpers.redis_sentinel import MASTER, Sentinels, sentinels
from tests.helpers.redis_server import free_port

MakeSentinels = Callable[..., Sentinels]


@pytest.fixture(params=VERSIONS)
def make_sentinels(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeSentinels]:
    """Servers under Sentinels, of every Redis there is."""
    executable = server_of(request.param)
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            sentinels(tmp_path, executable=executable, **options)
        )


def listening(made: Sentinels) -> Hands:
    """A listener that knows the Sentinels alone, and a test client that does, too."""
    hands = Hands(made.nodes[0], url=made.url)
    hands.client.close()
    hands.client = make_client(made.url)
    return hands


def patiently(call: Callable[[], Any]) -> Any:
    """What it returns, once it no longer raises."""
    results: list[Any] = []

    def tried() -> bool:
        try:
            results.append(call())
        except redis.RedisError:
            return False
        return True

    assert eventually(tried, 60)
    return results[-1]


def test_a_killed_master_is_replaced_and_nothing_is_lost(make_sentinels: MakeSentinels) -> None:
    """Entries on the replicas come again until acknowledged; what is published next arrives."""
    made = make_sentinels()
    hands = listening(made).start()
    before = [hands.add() for _ in range(20)]
    assert hands.arrive(before)
    assert eventually(made.replicated, 60)
    made.fail_over()
    after = [patiently(hands.add) for _ in range(20)]
    assert eventually(lambda: hands.ids() == before + after, 60)
    assert eventually(lambda: hands.listener.trouble == "")
    hands.acknowledge_all()
    assert hands.pending() == 0
    hands.stop()


def test_an_acknowledged_entry_that_is_pending_again_is_told_as_redelivered(
    make_sentinels: MakeSentinels,
) -> None:
    """The acknowledgement never reached the replica that was promoted: the ledger is asked."""
    made = make_sentinels(replicas=1, password="pw")
    hands = listening(made).start()
    entry = hands.add()
    assert hands.arrive([entry])
    assert eventually(made.replicated, 60)
    made.cut_off(made.nodes[1])
    hands.acknowledge_all()
    lost = hands.add()
    assert hands.arrive([entry, lost])
    assert hands.pending() == 1
    made.fail_over()
    assert eventually(lambda: hands.ids() == [entry, lost, entry], 60)
    assert hands.arrivals[-1].redelivered
    assert eventually(lambda: hands.listener.alerts.get(RedisFault.TAIL_LOST) == 1)
    new = patiently(hands.add)
    assert eventually(lambda: hands.ids()[-1] == new)
    hands.acknowledge_all()
    assert hands.pending() == 0
    hands.stop()


@pytest.mark.parametrize("make_sentinels", [BUNDLED], indirect=True)  # Sentinel takes its time
def test_the_old_master_comes_back_as_a_replica_and_is_left_alone(
    make_sentinels: MakeSentinels,
) -> None:
    """Its connections would read nothing for ever; ours stand at the new master."""
    made = make_sentinels()
    hands = listening(made).start()
    assert hands.arrive([hands.add()])
    assert eventually(made.replicated, 60)
    old = made.master()
    made.fail_over()
    old.start()
    with redis.Redis(port=old.port) as client:
        assert eventually(lambda: client.role()[0] in {b"slave", "slave"}, 60)
    entry = patiently(hands.add)
    assert eventually(lambda: hands.ids()[-1] == entry, 60)
    assert patiently(hands.pending) == 2
    hands.stop()


def test_passwords_of_both_kinds_are_used(make_sentinels: MakeSentinels) -> None:
    """The data nodes' in front of the hosts, the Sentinels' as a parameter; wrong ones are told."""
    made = make_sentinels(count=1, replicas=1, password="p/w@", sentinel_password="s&w")
    right = made.url.replace("p/w@", "p%2Fw%40").replace("s&w", "s%26w")
    with make_client(right) as client:
        assert client.xadd(STREAM, BUY)
    wrong = {
        right.replace("p%2F", "x"): RedisFault.WRONGPASS,
        right.replace(":p%2Fw%40@", ""): RedisFault.NOAUTH,
        right.replace("s%26w", "x"): RedisFault.NO_MASTER,
        right.replace(MASTER, "other"): RedisFault.NO_MASTER,
    }
    for url, fault in wrong.items():
        with make_client(url) as client, pytest.raises(redis.RedisError) as caught:
            client.ping()
        assert fault_of(caught.value) is fault


def test_one_living_sentinel_is_enough(make_sentinels: MakeSentinels) -> None:
    """Those that are away, or know another master only, are passed over."""
    made = make_sentinels(count=1, replicas=1)
    dead = f"127.0.0.1:{free_port()},127.0.0.1:{made.nodes[0].port}"
    with make_client(made.url.replace("127.0.0.1", f"{dead},127.0.0.1", 1)) as client:
        assert client.ping()
    nobody = f"redis+sentinel://127.0.0.1:{free_port()}/{MASTER}"
    with make_client(nobody) as client, pytest.raises(NoMaster):
        client.ping()


class Box:
    """An outbox in memory, and whoever is told of acknowledgements."""

    def __init__(self) -> None:
        self.published: set[int] = set()
        self.released_refs: list[Any] = []

    def last_event_id(self) -> int:
        return 0

    def unpublished(self, limit: int, after: int = 0) -> list[Any]:
        return []

    def mark_published(self, event_ids: Any) -> None:
        self.published.update(event_ids)

    def released(self, refs: Any) -> None:
        self.released_refs += refs


def test_events_and_acknowledgements_follow_the_master(make_sentinels: MakeSentinels) -> None:
    """The publisher meets the dead master, asks again, and sends what it still holds."""
    made = make_sentinels()
    box = Box()
    publisher = OutboxPublisher(box, lambda: make_client(made.url), group=GROUP)
    publisher.on_released = box.released
    publisher.start()
    publisher.publish([(1, {"event": "new"})], [])
    assert publisher.flush(Deadline(20.0))
    assert eventually(made.replicated, 60)
    made.fail_over()
    publisher.publish([(2, {"event": "fill"})], [])
    assert publisher.flush(Deadline(60.0))
    assert publisher.stop(Deadline(20.0))
    assert box.published == {1, 2}
    with make_client(made.url) as client:
        events: Any = client.xrange("executions")
    assert [int(fields[b"event_id"]) for _, fields in events][-1] == 2
