"""Redis over TLS with a CA of one's own: what connects, and what each mistake is told as."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from solution.domain.reasons import RedisFault
from solution.redis_client import describe, fault_of, make_client
from tests.helpers.clocks import eventually
from tests.helpers.listening import SEVEN, Hands, server_of
from tests.helpers.redis_acl import set_password
from tests.helpers.redis_server import RedisServer, free_port
from tests.helpers.tls_proxy import MAKE, TLSProxy, make_certificates

DEPLOY = MAKE.parent


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CA, server and client, made as the how-to says."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "made", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of another CA, and for another host."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "others", "redis.example")


@pytest.fixture
def proxy(redis_server: RedisServer, certificates: Path) -> Iterator[TLSProxy]:
    """Asks for a certificate."""
    with TLSProxy(redis_server.port, certificates) as made:
        yield made


def url(port: int, ca: Path, client: Path | None, host: str = "127.0.0.1") -> str:
    """With the files of the directories."""
    text = f"rediss://{host}:{port}/0?ssl_ca_certs={ca}/ca.crt"
    if client:
        text += f"&ssl_certfile={client}/client.crt&ssl_keyfile={client}/client.key"
    return text


def trouble(address: str) -> str:
    """What a client that connects there is told."""
    with make_client(address) as client, pytest.raises(redis.RedisError) as caught:
        client.ping()
    assert fault_of(caught.value) is RedisFault.TLS
    return describe(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_both_sides_show_a_certificate(proxy: TLSProxy, certificates: Path, host: str) -> None:
    """By name and by number, as the certificate was made for."""
    with make_client(url(proxy.port, certificates, certificates, host)) as client:
        assert client.ping()


def test_without_client_certificates(redis_server: RedisServer, certificates: Path) -> None:
    """Where the server does not ask for one, the CA is all that is needed."""
    with (
        TLSProxy(redis_server.port, certificates, ask=False) as proxy,
        make_client(url(proxy.port, certificates, None)) as client,
    ):
        assert client.ping()


def test_a_certificate_of_another_ca(proxy: TLSProxy, certificates: Path, others: Path) -> None:
    """Ours does not know theirs; theirs does not know ours."""
    assert "is not good: unable to get local issuer" in trouble(
        url(proxy.port, others, certificates)
    ) or "self" in trouble(url(proxy.port, others, certificates))
    said = trouble(url(proxy.port, certificates, others))
    assert "UNKNOWN_CA" in said or "unknown ca" in said


def test_no_certificate_where_one_is_asked_for(proxy: TLSProxy, certificates: Path) -> None:
    """The refusal comes with the first answer."""
    assert "CERTIFICATE_REQUIRED" in trouble(url(proxy.port, certificates, None)).upper()


def test_a_certificate_for_another_host(redis_server: RedisServer, others: Path) -> None:
    """The name in the URL is the one that counts."""
    with TLSProxy(redis_server.port, others) as proxy:
        said = trouble(url(proxy.port, others, others))
    assert "is not good: IP address mismatch" in said


def test_a_file_that_is_not_there(proxy: TLSProxy, certificates: Path, tmp_path: Path) -> None:
    """Which one is told; nothing is sent to anybody."""
    missing = trouble(url(proxy.port, tmp_path, None))
    assert missing.endswith(
        f"ssl_ca_certs={tmp_path}/ca.crt cannot be read: No such file or directory"
    )
    keyless = url(proxy.port, certificates, None) + f"&ssl_certfile={certificates}/client.crt"
    assert "ssl_keyfile=/nowhere cannot be read" in trouble(keyless + "&ssl_keyfile=/nowhere")


def test_files_that_are_something_else(proxy: TLSProxy, certificates: Path, others: Path) -> None:
    """A key that is another's, a CA that is no certificate."""
    mixed = url(proxy.port, certificates, None)
    mixed += f"&ssl_certfile={certificates}/client.crt&ssl_keyfile={others}/client.key"
    assert "KEY_VALUES_MISMATCH" in trouble(mixed)
    (others / "noise").mkdir(exist_ok=True)
    (others / "noise" / "ca.crt").write_text("noise")
    assert "no TLS with 127.0.0.1" in trouble(url(proxy.port, others / "noise", None))


def test_tls_where_none_is_spoken(redis_server: RedisServer, certificates: Path) -> None:
    """rediss:// to a plain port: Redis waits for the end of a line."""
    at = url(redis_server.port, certificates, certificates)
    with (
        make_client(at, socket_timeout=0.3) as client,
        pytest.raises(redis.TimeoutError, match="it hangs, or speaks no TLS there") as caught,
    ):
        client.ping()
    assert fault_of(caught.value) is RedisFault.SILENT


def test_the_listener_reads_over_tls(
    redis_server: RedisServer, proxy: TLSProxy, certificates: Path
) -> None:
    """And comes back after the connections were cut."""
    hands = Hands(redis_server, url=url(proxy.port, certificates, certificates)).start()
    first = hands.add()
    assert hands.arrive([first])
    hands.client.client_kill_filter(_type="normal", skipme=True)
    assert hands.arrive([first, hands.add()])
    hands.stop()


@pytest.mark.parametrize("words", [(), ("only-a-directory",)])
def test_make_certificates_says_how(words: tuple[str, ...]) -> None:
    """Wrong usage is 2."""
    done = subprocess.run([MAKE, *words], capture_output=True, text=True, check=False, timeout=10)
    assert (done.returncode, done.stderr[:7]) == (2, "usage: ")


def test_a_ca_is_not_made_twice(certificates: Path) -> None:
    """The certificates of before would be good for nothing."""
    done = subprocess.run(
        [MAKE, certificates, "localhost"], capture_output=True, text=True, check=False, timeout=10
    )
    assert (done.returncode, "is there already" in done.stderr) == (1, True)


def test_the_configuration_of_the_recipe(certificates: Path, tmp_path: Path) -> None:
    """Its file and its users, with a Redis that was built with TLS; only paths and port differ."""
    executable = server_of(SEVEN)
    linked = subprocess.run(["ldd", executable], capture_output=True, text=True, check=False)
    if "libssl" not in linked.stdout:
        pytest.skip("this Redis 7 was built without TLS")
    shutil.copy(DEPLOY / "users.acl", tmp_path)
    set_password(tmp_path / "users.acl", "signalpaca", "0123456789abcdef")
    conf = (DEPLOY / "redis-tls.conf").read_text()
    conf = conf.replace("/etc/redis/tls", str(certificates)).replace("/etc/redis", str(tmp_path))
    port = free_port()
    (tmp_path / "redis.conf").write_text(conf)
    command = [executable, str(tmp_path / "redis.conf"), "--tls-port", str(port)]
    command += ["--dir", str(tmp_path), "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            at = url(port, certificates, certificates)
            with make_client(at.replace("//", "//signalpaca:0123456789abcdef@", 1)) as client:
                assert eventually(lambda: answers(client))
            with make_client(at) as client, pytest.raises(redis.AuthenticationError):
                client.ping()
            with make_client(url(port, certificates, None)) as client:
                assert not answers(client)
        finally:
            server.terminate()


def answers(client: "redis.Redis") -> bool:
    """Whether it answers PING."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
