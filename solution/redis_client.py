"""Redis connections as this service uses them: no hidden retry, explicit timeouts, bytes.

redis-py 8 retries ten times in silence by default; a reply lost that way once left a delivered
entry unseen in the pending list. Every caller here owns its retry loop instead. RESP2 is asked for
explicitly, since under RESP3 stream replies change shape.

With a Sentinel address each new connection asks the Sentinels for the master first. Whoever meets
an error closes the client and makes another one, and so finds the master that was promoted.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, parse_url
from redis.exceptions import AuthorizationError, ClusterError
from redis.retry import Retry

from solution.config_urls import SentinelAddress, is_sentinel, split_sentinel_url
from solution.domain.reasons import RedisFault

CONNECT_TIMEOUT = 2.0
SOCKET_TIMEOUT = 3.0
SENTINEL_TIMEOUT = 0.5
"""Seconds for connecting to one Sentinel, and again for its answer; then the next one is asked."""


def make_client(url: str, *, socket_timeout: float = SOCKET_TIMEOUT) -> "redis.Redis":
    """A client with one connection of its own; connects at its first command.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://`` or
            ``rediss+sentinel://``, with user, password and database.
        socket_timeout: seconds; above any BLOCK the caller uses.
    """
    options = {
        **_common(CONNECT_TIMEOUT, socket_timeout),
        "decode_responses": False,
        "health_check_interval": 0,
    }
    if not url.startswith("unix:"):  # a socket of this machine has no TCP to keep alive
        options["socket_keepalive"] = True
    if not is_sentinel(url):
        return redis.Redis.from_url(url, single_connection_client=False, **options, **_tls(url))
    address = split_sentinel_url(url)
    # redis-py's own parser, so that ssl_… parameters mean the same with and without Sentinel.
    parsed = parse_url(address.data_url)  # type: ignore[no-untyped-call]
    for name in ("host", "port", "connection_class"):
        parsed.pop(name, None)
    pool: Any = redis.ConnectionPool(
        connection_class=_MasterTLSConnection if address.tls else _MasterConnection,
        sentinels=Sentinels(address),
        **options,
        **parsed,
    )
    return redis.Redis.from_pool(pool)


def _common(connect_timeout: float, socket_timeout: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
    }


def _tls(url: str) -> dict[str, Any]:
    return {"connection_class": _TLSConnection} if url.startswith("rediss:") else {}


class TLSTrouble(redis.ConnectionError):
    """A certificate that is not good, or a file of ours that is none."""


class _TLSConnection(SSLConnection):
    """TLS whose errors say which file or whose certificate is wrong, not `Error 2 connecting`."""

    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        for name in ("ca_certs", "certfile", "keyfile"):
            _check_readable(f"ssl_{name}", getattr(self, name))
        at = f"{self.host}:{self.port}"
        try:
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        except ssl.SSLCertVerificationError as e:
            raise TLSTrouble(f"the certificate of {at} is not good: {e.verify_message}") from e
        except ssl.SSLError as e:
            raise TLSTrouble(f"no TLS with {at}: {e.reason or e}") from e
        except TimeoutError as e:
            why = f"{at} does not answer the TLS handshake: it hangs, or speaks no TLS there"
            raise redis.TimeoutError(why) from e


def _check_readable(name: str, path: str | None) -> None:
    if path:
        try:
            Path(path).open("rb").close()
        except OSError as e:
            raise TLSTrouble(f"{name}={path} cannot be read: {e.strerror}") from None


class NoMaster(redis.ConnectionError):
    """No Sentinel answers, or none knows the master."""


class Sentinels:
    """Asks one Sentinel after the other where the master is."""

    def __init__(self, address: SentinelAddress) -> None:
        self._address = address
        self._hosts = list(address.hosts)

    def find_master(self) -> tuple[str, int]:
        """Host and port, as the first Sentinel that knows says; it is asked first from now on.

        During a failover that may still be the old master: it is not there, or refuses writes as
        READONLY, and the caller's next connection asks again.

        Raises:
            NoMaster: nobody knows; the text says what each of them did.
        """
        said = []
        for at, host in enumerate(self._hosts):
            try:
                found = self._ask(*host)
            except (redis.RedisError, OSError) as e:
                said.append(f"{host[0]}:{host[1]}: {e}")
                continue
            if found:
                self._hosts.insert(0, self._hosts.pop(at))
                return found[0].decode(), int(found[1])
            said.append(f"{host[0]}:{host[1]} knows no master {self._address.master!r}")
        raise NoMaster("; ".join(said))

    def _ask(self, host: str, port: int) -> Any:
        url = self._address.sentinel_url(host, port)
        client = redis.Redis.from_url(
            url,
            decode_responses=False,
            **_tls(url),
            **_common(SENTINEL_TIMEOUT, SENTINEL_TIMEOUT),
        )
        try:
            return client.execute_command(  # type: ignore[no-untyped-call]
                "SENTINEL GET-MASTER-ADDR-BY-NAME", self._address.master
            )
        finally:
            client.close()


class _MasterConnection(Connection):
    """A connection that asks for its host each time it connects."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def _connect(self) -> Any:
        self.host, self.port = self._sentinels.find_master()
        return super()._connect()  # type: ignore[no-untyped-call]


class _MasterTLSConnection(_MasterConnection, _TLSConnection):
    """The same over TLS."""


# --- what an error means ------------------------------------------------------------------------

_BY_PREFIX: Mapping[str, RedisFault] = {
    "LOADING": RedisFault.LOADING,
    "READONLY": RedisFault.READONLY,
    "UNBLOCKED": RedisFault.READONLY,
    "MASTERDOWN": RedisFault.MASTERDOWN,
    "NOREPLICAS": RedisFault.NOREPLICAS,
    "MISCONF": RedisFault.MISCONF,
    "OOM": RedisFault.OUT_OF_MEMORY,
    "BUSY": RedisFault.BUSY,
    "NOAUTH": RedisFault.NOAUTH,
    "WRONGPASS": RedisFault.WRONGPASS,
    "NOPERM": RedisFault.NOPERM,
    "NOGROUP": RedisFault.GROUP_LOST,
    "WRONGTYPE": RedisFault.WRONGTYPE,
    "MOVED": RedisFault.CLUSTER,
    "CROSSSLOT": RedisFault.CLUSTER,
    "CLUSTERDOWN": RedisFault.CLUSTER,
}

_BY_WORDS = (
    ("max number of clients", RedisFault.MAX_CLIENTS),
    ("Authentication required", RedisFault.NOAUTH),
    ("[SSL", RedisFault.TLS),  # a refusal of our certificate comes with the first answer
)

# redis-py takes the code off the text of those that it has a class for.
_BY_CLASS: tuple[tuple[type[Exception], RedisFault], ...] = (
    (NoMaster, RedisFault.NO_MASTER),
    (TLSTrouble, RedisFault.TLS),
    (redis.BusyLoadingError, RedisFault.LOADING),
    (redis.ReadOnlyError, RedisFault.READONLY),
    (redis.exceptions.MasterDownError, RedisFault.MASTERDOWN),
    (redis.OutOfMemoryError, RedisFault.OUT_OF_MEMORY),
    (redis.exceptions.NoPermissionError, RedisFault.NOPERM),
    (AuthorizationError, RedisFault.NOPERM),
    (redis.AuthenticationError, RedisFault.WRONGPASS),
    (ClusterError, RedisFault.CLUSTER),
    (redis.exceptions.MovedError, RedisFault.CLUSTER),
    (redis.TimeoutError, RedisFault.SILENT),
    (TimeoutError, RedisFault.SILENT),
    (redis.ConnectionError, RedisFault.UNREACHABLE),
    (OSError, RedisFault.UNREACHABLE),
)


def fault_of(error: BaseException) -> RedisFault:
    """Which fault an error of redis-py, or of the socket under it, stands for."""
    text = str(error)
    known = _BY_PREFIX.get(text.partition(" ")[0])
    if known is not None:
        # Said to a blocked reader: its stream is deleted, or its server became a replica.
        gone = known is RedisFault.READONLY and "no longer exists" in text
        return RedisFault.GROUP_LOST if gone else known
    for words, fault in _BY_WORDS:
        if words in text:
            return fault
    for kind, fault in _BY_CLASS:
        if isinstance(error, kind):
            return fault
    return RedisFault.REFUSED


def describe(error: BaseException) -> str:
    """One line for logs and status: the fault's code, redis-py's class, the words of Redis."""
    return f"{fault_of(error)}: {type(error).__name__}: {error}"
