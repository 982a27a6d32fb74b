"""Tests of signal_generator.publisher."""

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
import redis
from redis import exceptions as rx

from signal_generator.publisher import (
    NotPublished,
    OutcomeUnclear,
    Publisher,
    PublishError,
    Refused,
    RetryPolicy,
    make_client,
    translate,
)
from tests.helpers.fake_stop import FakeStop

PLAIN = {"Ticker": "NVDA", "Direction": "b"}
WITH_ID = PLAIN | {"signal_id": "5d1d"}
LOST = "lost"


class Scripted(fakeredis.FakeRedis):
    """Answers each XADD by the next item of `script`, afterwards normally.

    An exception is raised and nothing is written; LOST writes and then times out.
    """

    script: tuple[str | Exception, ...] = ()

    def xadd(self, *args: Any, **kwargs: Any) -> Any:
        """Follow the script."""
        step = self.script[0] if self.script else None
        self.script = self.script[1:]
        if isinstance(step, Exception):
            raise step
        answer = super().xadd(*args, **kwargs)
        if step == LOST:
            raise rx.TimeoutError("Timeout reading from socket")
        return answer


@pytest.fixture
def server() -> fakeredis.FakeServer:
    """The state behind the client; `connected = False` breaks it."""
    return fakeredis.FakeServer()


@pytest.fixture
def client(server: fakeredis.FakeServer) -> Iterator[Scripted]:
    """A client without retries of its own."""
    client = Scripted(server=server, decode_responses=True, host="box", port=6380)
    yield client
    client.close()


def make(client: Scripted, stop: FakeStop | None = None, **options: Any) -> Publisher:
    """Return a publisher on invented time."""
    stop = stop or FakeStop()
    return Publisher(client, "nvda", stop=stop, monotonic=stop.monotonic, **options)


def entries(client: Scripted) -> list[Any]:
    """Return the fields of all entries."""
    return [fields for _, fields in client.xrange("nvda") or ()]


def test_publish_appends_exactly_the_fields(client: Scripted) -> None:
    """The entry has the given id and nothing but the given fields."""
    entry_id = make(client).publish(PLAIN)
    assert client.xrange("nvda") == [(entry_id, PLAIN)]


def test_maxlen_trims_about(client: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is handed on as an approximate one."""
    seen: list[Any] = []
    monkeypatch.setattr(client, "xadd", lambda *_, **options: seen.append(options))
    make(client, maxlen=1000).publish(PLAIN)
    assert seen == [{"maxlen": 1000, "approximate": True}]


def test_lost_answer_without_id_is_never_repeated(client: Scripted) -> None:
    """One entry stands in the stream and the caller learns that it may."""
    client.script = (LOST,)
    with pytest.raises(OutcomeUnclear, match="Timeout reading"):
        make(client).publish(PLAIN)
    assert entries(client) == [PLAIN]


def test_lost_answer_with_id_is_repeated(client: Scripted) -> None:
    """The second entry carries the same signal_id, by which the consumer knows it."""
    client.script = (LOST,)
    make(client).publish(WITH_ID)
    assert entries(client) == [WITH_ID, WITH_ID]


def test_id_may_be_spelled_in_any_case(client: Scripted) -> None:
    """Field names are case-insensitive in the contract, so here too."""
    client.script = (LOST,)
    make(client).publish(PLAIN | {"Signal_ID": "5d1d"})
    assert len(entries(client)) == 2


def test_empty_id_does_not_count(client: Scripted) -> None:
    """An id that identifies nothing makes nothing safe."""
    client.script = (LOST,)
    with pytest.raises(OutcomeUnclear):
        make(client).publish(PLAIN | {"signal_id": ""})


@pytest.mark.parametrize(
    "error",
    [
        rx.BusyLoadingError("Redis is loading the dataset in memory"),
        rx.ReadOnlyError("You can't write against a read only replica."),
        rx.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        rx.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        rx.ResponseError("NOREPLICAS Not enough good replicas to write."),
    ],
)
def test_a_refusal_that_passes_is_repeated_without_id(client: Scripted, error: Exception) -> None:
    """Redis said that it did nothing, so a second attempt cannot double the signal."""
    client.script = (
        error,
        error,
    )
    make(client).publish(PLAIN)
    assert entries(client) == [PLAIN]


@pytest.mark.parametrize(
    "error",
    [
        rx.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        rx.NoPermissionError("this user has no permissions to run the 'xadd' command"),
        rx.AuthenticationError("Authentication required."),
        rx.DataError("Invalid input of type: 'NoneType'."),
    ],
)
def test_a_lasting_refusal_is_final(client: Scripted, error: Exception) -> None:
    """No second attempt, and the reason is passed on."""
    client.script = (error,)
    stop = FakeStop()
    with pytest.raises(Refused, match=str(error)[:12]):
        make(client, stop).publish(WITH_ID)
    assert stop.waits == []


def test_refused_connection_is_tried_until_the_policy_ends(
    client: Scripted, server: fakeredis.FakeServer
) -> None:
    """Pauses double up to the cap, their sum is the time allowed, then the signal is given up."""
    server.connected = False
    stop = FakeStop()
    policy = RetryPolicy(give_up_after=2.0, first_pause=0.1, longest_pause=0.5)
    with pytest.raises(NotPublished, match="box:6380"):
        make(client, stop, policy=policy).publish(PLAIN)
    assert stop.waits == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5, 0.3])


def test_a_replica_is_left_for_a_new_connection(
    client: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the name leads elsewhere, which the old connection would never notice."""
    client.ping()
    left: list[bool] = []
    monkeypatch.setattr(client.connection_pool, "disconnect", lambda: left.append(True))
    client.script = (rx.ReadOnlyError("You can't write against a read only replica."),)
    make(client).publish(PLAIN)
    assert left == [True]
    assert entries(client) == [PLAIN]


def test_published_once_when_redis_comes_back(
    client: Scripted, server: fakeredis.FakeServer
) -> None:
    """A failed connection is no reason to fear a double, id or not; each change is said once."""
    server.connected = False
    lines: list[str] = []

    def come_back(stop: FakeStop) -> None:
        server.connected = len(stop.waits) >= 3

    stop = FakeStop(on_wait=come_back)
    publisher = make(client, stop, report=lines.append)
    publisher.publish(PLAIN)
    publisher.publish(PLAIN)
    assert entries(client) == [PLAIN, PLAIN]
    assert lines[0].endswith("trying again")
    assert lines[1:] == ["Redis at box:6380 answers again"]


def test_stop_ends_the_attempts(client: Scripted, server: fakeredis.FakeServer) -> None:
    """A stop during a pause ends it, and the signal is reported as not published."""
    server.connected = False
    stop = FakeStop(stop_at=0.3)
    with pytest.raises(NotPublished):
        make(client, stop).publish(PLAIN)
    assert stop.time == pytest.approx(0.3)


def test_unclear_once_is_unclear_for_good(client: Scripted, server: fakeredis.FakeServer) -> None:
    """A later refused connection does not take back that the first attempt may have worked."""
    client.script = (LOST,)

    def go_away(_stop: FakeStop) -> None:
        server.connected = False

    stop = FakeStop(on_wait=go_away)
    with pytest.raises(OutcomeUnclear):
        make(client, stop).publish(WITH_ID)


def test_unclear_then_refused_is_unclear(client: Scripted) -> None:
    """The same holds when Redis refuses for good afterwards."""
    client.script = (
        LOST,
        rx.NoPermissionError("no permissions"),
    )
    with pytest.raises(OutcomeUnclear, match="no permissions"):
        make(client).publish(WITH_ID)


def test_connect_waits_in_silence(client: Scripted, server: fakeredis.FakeServer) -> None:
    """A Redis that never answers costs the given time; only the error speaks."""
    server.connected = False
    lines: list[str] = []
    stop = FakeStop()
    with pytest.raises(NotPublished):
        make(client, stop, report=lines.append).connect(10.0)
    assert stop.time == pytest.approx(10.0)
    assert lines == []


def test_connect_returns_when_redis_answers(client: Scripted) -> None:
    """No pause when it answers at once."""
    stop = FakeStop()
    make(client, stop).connect(10.0)
    assert stop.waits == []


def test_pause_survives_a_long_outage() -> None:
    """The number of failures has no limit at which the arithmetic breaks."""
    assert RetryPolicy(longest_pause=0.5).pause(5_000) == 0.5


#: As redis-py tells what one command of a transaction was answered.
IN_A_PIPELINE = "Command # 1 (HSET s state MISCONF) of pipeline caused error: {}"


@pytest.mark.parametrize(
    ("error", "sent", "kind"),
    [
        (rx.ConnectionError("Connection refused."), False, NotPublished),
        (rx.TimeoutError("Timeout connecting to server"), False, NotPublished),
        (rx.ConnectionError("Connection reset by peer"), True, OutcomeUnclear),
        (rx.InvalidResponse("Protocol Error"), True, OutcomeUnclear),
        (OSError(9, "Bad file descriptor"), True, OutcomeUnclear),
        (rx.BusyLoadingError("loading"), True, NotPublished),
        (rx.AuthenticationError("invalid password"), False, Refused),
        (rx.ResponseError("MISCONF cannot save"), True, NotPublished),
        (rx.ResponseError(IN_A_PIPELINE.format("MISCONF cannot save")), True, NotPublished),
        (rx.ResponseError(IN_A_PIPELINE.format("WRONGTYPE no stream")), True, Refused),
    ],
)
def test_translation(error: Exception, sent: bool, kind: type[PublishError]) -> None:
    """What may have left this machine is unclear; what Redis answered is not."""
    assert type(translate(error, sent=sent)) is kind


def test_all_errors_of_the_client_are_translated() -> None:
    """Whatever redis-py raises becomes one of ours."""
    names = [n for n in vars(rx) if isinstance(getattr(rx, n), type)]
    kinds = [getattr(rx, n) for n in names if issubclass(getattr(rx, n), redis.RedisError)]
    errors = [translate(kind.__new__(kind), sent=True) for kind in kinds]
    assert len(errors) > 20
    assert all(isinstance(error, PublishError) for error in errors)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "",
        "http://localhost",
        "redis://:pa55/word@localhost:6379/0",
        "redis://:pa55@localhost:99999/0",
        "redis://:pa55@localhost/0?colour=red",
        "redis://:pa55@localhost/0?socket_timeout=pa55",
        "redis://[::1/0",
    ],
)
def test_unusable_address_is_named_without_its_password(url: str) -> None:
    """The message helps and repeats nothing of the address; neither does its cause."""
    with pytest.raises(ValueError, match="not a usable Redis address") as caught:
        make_client(url)
    assert "pa55" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://user:pa55@box:6380/1", "box:6380"),
        ("rediss://box", "box:6379"),
        ("redis://", "localhost:6379"),
        ("unix://user:pa55@/run/redis.sock", "/run/redis.sock"),
    ],
)
def test_address_shows_no_credentials(url: str, address: str) -> None:
    """What appears in messages is where Redis is, and no more."""
    with make_client(url) as client:
        assert make(client).address == address


def test_client_does_not_retry_by_itself() -> None:
    """The library's silent repeats are off and both time limits are set."""
    with make_client("redis://localhost") as client:
        options = client.connection_pool.connection_kwargs
    assert options["retry"].get_retries() == 0
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (2.0, 2.0)
