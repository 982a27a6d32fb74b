"""Addresses of clients, and what each error of redis-py is called."""

from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import Connection, SSLConnection

from solution.config_urls import split_sentinel_url
from solution.domain.reasons import RedisFault
from solution.redis_client import NoMaster, TLSTrouble, describe, fault_of, make_client
from solution.security import secret_parts
from tests.helpers.redis_server import RedisServer


@pytest.mark.parametrize(
    ("url", "hosts", "master", "data_url"),
    [
        ("redis+sentinel://h/m", [("h", 26379)], "m", "redis://m/0"),
        (
            "redis+sentinel://h1:1,h2:2,[::1]:3/my-master/7",
            [("h1", 1), ("h2", 2), ("::1", 3)],
            "my-master",
            "redis://my-master/7",
        ),
        (
            "rediss+sentinel://u:p%2Fw@h1,h2/m/1?ssl_ca_certs=/ca",
            [("h1", 26379), ("h2", 26379)],
            "m",
            "rediss://u:p%2Fw@m/1?ssl_ca_certs=/ca",
        ),
    ],
)
def test_a_sentinel_url_is_taken_apart(
    url: str, hosts: list[tuple[str, int]], master: str, data_url: str
) -> None:
    """Sentinels, master, and everything that the data nodes need."""
    found = split_sentinel_url(url)
    assert (list(found.hosts), found.master, found.data_url) == (hosts, master, data_url)
    assert found.tls is url.startswith("rediss")


def test_each_sentinel_has_an_address_of_its_own() -> None:
    """With its own login, TLS and an IPv6 host in brackets; never the data nodes' password."""
    url = "rediss+sentinel://:data@h,[::1]:5/m?sentinel_password=a%2Fb&ssl_ca_certs=/ca"
    found = split_sentinel_url(url)
    said = [found.sentinel_url(*host) for host in found.hosts]
    assert said == [
        "rediss://:a%2Fb@h:26379?ssl_ca_certs=/ca",
        "rediss://:a%2Fb@[::1]:5?ssl_ca_certs=/ca",
    ]
    assert secret_parts(url, is_url=True) == ("data", "a/b")


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://h",
        "redis+sentinel:///m",
        "redis+sentinel://h1,,h2/m",
        "redis+sentinel://h1, h2/m",
        "redis+sentinel://h1/m/x",
        "redis+sentinel://h1/m/0/1",
        "redis+sentinel://h1:x/m",
        "redis+sentinel://h1?db=1/m",
        "redis+sentinel://u:pw/x@h1/m",
        "redis+sentinel://h1/m?protocol=3",
        "redis+sentinel://h1/m?sentinel_passwort=x",
        "redis+sentinel://h1/m#x",
        "redis+sentinel://h1/m?sentinel_passwords=x",
        "sentinel://h1/m",
    ],
)
def test_what_is_no_sentinel_url_is_refused(url: str) -> None:
    """Without a piece of the value in the text."""
    with pytest.raises(ValueError, match=r"^(?!.*(pw|passwort)).+"):
        split_sentinel_url(url)


def test_what_is_no_url_at_all_holds_no_password() -> None:
    """Whoever needs a URL complains of it."""
    assert secret_parts("redis://[", is_url=True) == ()


@pytest.mark.parametrize(
    ("url", "kind", "options"),
    [
        ("redis://u:p@h:5/3", Connection, {"host": "h", "port": 5, "db": 3, "username": "u"}),
        ("rediss://h", SSLConnection, {"host": "h"}),
        ("redis+sentinel://u:p@h/m/3", Connection, {"db": 3, "username": "u", "password": "p"}),
        ("rediss+sentinel://h/m?ssl_ca_certs=/ca", SSLConnection, {"ssl_ca_certs": "/ca"}),
    ],
)
def test_every_client_has_the_same_rules(url: str, kind: type, options: dict[str, Any]) -> None:
    """RESP2, bytes, explicit timeouts, no hidden retry; whatever stands in the URL."""
    with make_client(url, socket_timeout=1.5) as client:
        pool = client.connection_pool
        given = pool.connection_kwargs
    assert issubclass(pool.connection_class, kind)
    assert given.items() >= options.items()
    assert (given["protocol"], given["decode_responses"], given["socket_timeout"]) == (
        *(2, False),
        1.5,
    )
    assert given["retry"].get_retries() == 0


def test_a_socket_of_this_machine(tmp_path: Path) -> None:
    """With user, password and database as everywhere."""
    path = tmp_path / "r.sock"
    login = ("--requirepass", "canary", "--unixsocket", str(path))
    with RedisServer(tmp_path / "redis", arguments=login):
        for url in (f"unix://default:canary@{path}?db=1", f"unix://:canary@{path}?db=1"):
            with make_client(url) as client:
                client.set("k", "v")
        with make_client(f"unix://:canary@{path}") as client:
            assert client.get("k") is None


def test_sentinels_that_are_not_there_are_each_named() -> None:
    """With what they said; the passwords are not among it."""
    with (
        make_client("redis+sentinel://:canary@127.0.0.1:1,127.0.0.1:2/m") as client,
        pytest.raises(NoMaster) as caught,
    ):
        client.ping()
    assert "127.0.0.1:1: " in str(caught.value)
    assert "127.0.0.1:2: " in str(caught.value)
    assert "canary" not in str(caught.value)


FAULTS: list[tuple[Exception, RedisFault]] = [
    (redis.ConnectionError("Error 111 connecting"), RedisFault.UNREACHABLE),
    (OSError("broken pipe"), RedisFault.UNREACHABLE),
    (redis.TimeoutError("Timeout reading from socket"), RedisFault.SILENT),
    (TimeoutError("timed out"), RedisFault.SILENT),
    (NoMaster("h:1: refused"), RedisFault.NO_MASTER),
    (TLSTrouble("the certificate of h:1 is not good"), RedisFault.TLS),
    (redis.ConnectionError("Error: [SSL: TLSV13_ALERT] alert"), RedisFault.TLS),
    (redis.BusyLoadingError("Redis is loading the dataset in memory"), RedisFault.LOADING),
    (redis.ResponseError("LOADING Redis is loading"), RedisFault.LOADING),
    (redis.ReadOnlyError("You can't write against a read only replica."), RedisFault.READONLY),
    (
        redis.ResponseError(
            "UNBLOCKED force unblock from blocking operation, instance state changed "
            "(master -> replica?)"
        ),
        RedisFault.READONLY,
    ),
    (redis.ResponseError("UNBLOCKED the stream key no longer exists"), RedisFault.GROUP_LOST),
    (redis.ResponseError("NOGROUP No such key 'nvda'"), RedisFault.GROUP_LOST),
    (redis.exceptions.MasterDownError("Link with MASTER is down"), RedisFault.MASTERDOWN),
    (redis.ResponseError("NOREPLICAS Not enough good replicas"), RedisFault.NOREPLICAS),
    (redis.ResponseError("MISCONF Redis is configured to save"), RedisFault.MISCONF),
    (redis.OutOfMemoryError("command not allowed when used memory"), RedisFault.OUT_OF_MEMORY),
    (redis.ResponseError("BUSY Redis is busy running a script"), RedisFault.BUSY),
    (redis.ConnectionError("max number of clients reached"), RedisFault.MAX_CLIENTS),
    (redis.exceptions.ClusterDownError("The cluster is down"), RedisFault.CLUSTER),
    (redis.ResponseError("CROSSSLOT Keys in request"), RedisFault.CLUSTER),
    (redis.AuthenticationError("Authentication required."), RedisFault.NOAUTH),
    (redis.AuthenticationError("invalid username-password pair"), RedisFault.WRONGPASS),
    (redis.exceptions.NoPermissionError("no permissions to run xadd"), RedisFault.NOPERM),
    (redis.ResponseError("WRONGTYPE Operation against a key"), RedisFault.WRONGTYPE),
    (redis.ResponseError("ERR syntax error"), RedisFault.REFUSED),
]


@pytest.mark.parametrize(("error", "fault"), FAULTS, ids=lambda x: str(x)[:30])
def test_each_error_has_its_code(error: Exception, fault: RedisFault) -> None:
    """However redis-py spells it; the line for people starts with the code and keeps the words."""
    assert fault_of(error) is fault
    assert describe(error) == f"{fault}: {type(error).__name__}: {error}"


def test_every_fault_of_the_connection_can_be_named() -> None:
    """A code that nothing leads to is noise in the reference."""
    of_data = {RedisFault.TAIL_LOST, RedisFault.UNREAD_LOST, RedisFault.ID_IN_FUTURE}
    assert {fault for _, fault in FAULTS} == set(RedisFault) - of_data


@pytest.mark.parametrize("fault", list(RedisFault))
def test_every_fault_explains_itself(fault: RedisFault) -> None:
    """Its code is its name with a prefix, a sentence for people, and one of advice."""
    assert fault.value == f"REDIS_{fault.name}" == str(fault)
    assert fault.summary.endswith(".")
    assert fault.advice.endswith(".")
