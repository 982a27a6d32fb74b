"""What a producer can do with XADD alone, by versions of Redis: seen, told, and survived."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from solution.domain.reasons import RedisFault
from tests.helpers.clocks import eventually
from tests.helpers.listening import BUY, GROUP, STREAM, VERSIONS, Hands, server_of
from tests.helpers.redis_server import RedisServer

LAST = 2**64 - 1
WORDS = ("ticker", "NVDA", "direction", "b")


@pytest.fixture(params=VERSIONS)
def redis_executable(request: pytest.FixtureRequest) -> str:
    """Every Redis there is."""
    return server_of(request.param)


@pytest.fixture
def hands(
    make_redis_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hands]:
    """A listener that looks at its streams every 50 ms, and has read one entry."""
    monkeypatch.setattr("solution.feeds.signal_listener.LOOK_EVERY", 0.05)
    monkeypatch.setattr("solution.feeds.signal_listener.SWEEP_EVERY", 0.05)
    made = Hands(make_redis_server())
    made.start()
    first = made.add()
    assert made.arrive([first])
    made.acknowledge_all()
    yield made
    made.stop()


def attack(hands: Hands, *arguments: object) -> None:
    """XADD nvda ARGUMENTS…"""
    hands.client.execute_command("XADD", STREAM, *arguments)  # type: ignore[no-untyped-call]


def told(hands: Hands, fault: RedisFault) -> bool:
    return eventually(lambda: hands.listener.alerts.get(fault, 0) > 0)


def quiet(hands: Hands, seconds: float = 0.3) -> bool:
    """Nothing is told over several looks."""
    return not eventually(lambda: bool(hands.listener.alerts), seconds)


def backlog(hands: Hands) -> None:
    """Three entries that nobody reads: there is no room, and no command waits for them."""
    hands.pause_reading()
    for _ in range(3):
        hands.add()


def test_a_backlog_that_is_erased(hands: Hands) -> None:
    """Entries wait because there is no room; then `MAXLEN 0`. The next signal is read as always."""
    backlog(hands)
    attack(hands, "MAXLEN", 0, "*", *WORDS)
    assert told(hands, RedisFault.UNREAD_LOST)
    hands.room = 1000
    new = hands.add()
    assert eventually(lambda: new in hands.ids())


def test_a_backlog_that_is_replaced(hands: Hands) -> None:
    """One signal is left where many waited: those before it are missed."""
    backlog(hands)
    assert quiet(hands)
    attack(hands, "MAXLEN", 1, "*", *WORDS)
    hands.room = 1000
    assert told(hands, RedisFault.UNREAD_LOST)
    assert eventually(lambda: len(hands.ids()) == 2)


def test_an_entry_erased_by_its_own_command(hands: Hands) -> None:
    """`XADD … MAXLEN 0` with nothing waiting: its own entry is the one that nobody reads."""
    attack(hands, "MAXLEN", 0, "*", *WORDS)
    assert told(hands, RedisFault.UNREAD_LOST)


def test_a_short_stream_whose_entries_are_read_is_no_news(hands: Hands) -> None:
    """A producer that keeps one entry, slowly: nothing unread is lost."""
    for _ in range(3):
        before = len(hands.ids())
        attack(hands, "MAXLEN", 1, "*", *WORDS)
        assert eventually(lambda before=before: len(hands.ids()) > before)  # type: ignore[misc]
        hands.acknowledge_all()
    info: Any = hands.client.xinfo_groups(STREAM)
    assert info[0]["name"] == GROUP.encode()


def test_the_last_id_there_is(hands: Hands) -> None:
    """No XADD works any more: told at once, and the entry itself never trades."""
    attack(hands, f"{LAST}-{LAST}", *WORDS)
    assert told(hands, RedisFault.ID_IN_FUTURE)
    assert eventually(lambda: hands.letters.get(f"{LAST}-{LAST}") == "FUTURE_TIMESTAMP")
    with pytest.raises(Exception, match=r"XADD|exhausted"):
        hands.add()


def test_the_way_back_from_the_last_id(hands: Hands) -> None:
    """As the how-to says: the stream is renamed away, and a new one is read from its beginning."""
    attack(hands, f"{LAST}-{LAST}", *WORDS)
    assert told(hands, RedisFault.ID_IN_FUTURE)
    hands.client.rename(STREAM, "nvda-broken")
    new = hands.add(BUY)
    assert eventually(lambda: new in hands.ids())
