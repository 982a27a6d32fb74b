"""One connection to PostgreSQL under one lock, made again when it is lost."""

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar, cast

import psycopg
from psycopg.types.numeric import Int8Dumper

from solution.clock import Deadline
from solution.config_ledger import PostgresAddress, split_postgres_url
from solution.errors import ConfigError, LedgerError
from solution.ledger.postgres_failures import TimedOut, is_transient, translated
from solution.ledger.postgres_schema import require_version

log = logging.getLogger(__name__)

T = TypeVar("T")

STATEMENT_TIMEOUT = 3.0
"""Seconds; the server ends what takes longer, such as waiting for another session's lock."""
PATIENCE = 3.0
"""Seconds of trying to reach a server that was lost, where trying again is safe."""

# A process that was paused inside a transaction holds the row of the lease locked: the server ends
# its session, or no standby could take over. Ours never idle there for more than moments.
_IDLE_IN_TRANSACTION = 2.0
_NO_ANSWER = 2.0  # beyond the server's own timeout: then it hangs, or the network is gone
_CONNECT_TIMEOUT = 3
_FIRST_PAUSE = 0.05
_LAST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class _Down:
    """The last attempt to reach the server."""

    at: float  # monotonic, its end
    sentence: str


@lru_cache(maxsize=512)
def _driver_text(sql: str) -> str:
    """Our parameters are ``?``; no statement of ours holds a percent sign or a quoted ``?``."""
    return sql.replace("?", "%s")


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for ever on a server that says nothing."""

    answer_within = STATEMENT_TIMEOUT + _NO_ANSWER

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Run one exchange; TimedOut, the connection closed, when it takes too long.

        A timeout of the server does not help where the server is frozen, and neither does TCP:
        its kernel goes on acknowledging.
        """
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: Any) -> Generator[Any, Any, Any]:
        ends = monotonic() + self.answer_within
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() > ends:
                    self.pgconn.finish()
                    raise TimedOut(f"no answer within {self.answer_within:g} s")
                wanted = gen.send(ready)
        except StopIteration as stop:
            return stop.value


class PostgresExecutor:
    """Runs our statements on a connection; see :class:`solution.ledger.store.Executor`."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run one statement."""
        return self._connection.execute(cast("Any", _driver_text(sql)), parameters or None)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        """Run one statement for each row of parameters, in one round trip and one message.

        Not the driver's own executemany(), a pipeline of messages: a process that is paused amid
        them leaves a session which is neither idle nor busy with a statement. No limit of the
        server ends that one, and no standby could take over before the process wakes.
        """
        cursor, text = psycopg.ClientCursor(self._connection), cast("Any", _driver_text(sql))
        statements = [cursor.mogrify(text, row) for row in rows]
        if statements:
            cursor.execute(cast("Any", ";".join(statements)))


class Session:
    """A connection that is made when it is needed, and made again when it was lost.

    Args:
        address: where the database is.
        replicated: let a commit wait for the synchronous replicas, if the server has any; False
            waits for the server's own disk. (Less than that will not do: rows would vanish in a
            crash of the server under a service that lives on and believes in them.)
        read_only: let the server refuse every write.
        timeout: seconds for one statement.
        patience: seconds of trying again.
    """

    def __init__(
        self,
        address: PostgresAddress,
        *,
        replicated: bool = True,
        read_only: bool = False,
        timeout: float = STATEMENT_TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._patience = patience
        self._settings = {
            "statement_timeout": f"{timeout * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION * 1000:.0f}",
            "synchronous_commit": "on" if replicated else "local",
            **({"default_transaction_read_only": "on"} if read_only else {}),
            **({"search_path": address.schema} if address.schema else {}),
        }
        self._read_only = read_only
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._down: _Down | None = None
        self._closed = False
        self._pause = threading.Event()

    def run(self, work: Callable[[PostgresExecutor, bool], T]) -> T:
        """Do something on the connection, again when the connection is lost meanwhile.

        Args:
            work: gets the connection, and whether an earlier attempt may have had its effect
                although no answer came: it must find out, or be harmless when done twice.

        Raises:
            LedgerError: it did not work; without an answer nobody knows whether it had effect.
        """
        asked = monotonic()
        with self._lock:
            if self._down is not None and self._down.at > asked:
                # Somebody tried while we waited. Where the server says nothing each attempt takes
                # seconds, and a dozen callers in a row would take a minute, and a stop as long.
                raise LedgerError(self._down.sentence)
            # After a failure each caller tries once.
            deadline = Deadline(0.0 if self._down else self._patience)
            pause, again = _FIRST_PAUSE, False
            while True:
                try:
                    connection = self._connected()
                    try:
                        return work(PostgresExecutor(connection), again)
                    except psycopg.Error:
                        again = True
                        raise
                    finally:
                        self._settle(connection)
                except psycopg.Error as error:
                    lost = self._connection is None
                    failed = self._translated(error)
                    self._down = _Down(monotonic(), str(failed)) if lost else None
                    transient = is_transient(error, closed=lost)
                    if self._closed or not transient or deadline.passed():
                        raise failed from error
                self._pause.wait(min(pause, deadline.left()))
                pause = min(2 * pause, _LAST_PAUSE)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Every row of a query; raises LedgerError."""
        return self.run(lambda executor, _again: list(executor.execute(sql, parameters).fetchall()))

    def transaction(self, work: Callable[[PostgresExecutor, bool], T]) -> T:
        """:meth:`run` with everything in one transaction."""

        def inside(executor: PostgresExecutor, again: bool) -> T:
            executor.execute("BEGIN")
            result = work(executor, again)
            executor.execute("COMMIT")
            return result

        return self.run(inside)

    def close(self) -> None:
        """Let go of the connection; later calls fail. May be called twice."""
        self._closed = True
        self._pause.set()
        with self._lock:
            self._drop()

    def connect(self, statement_timeout: float) -> "psycopg.Connection[tuple[Any, ...]]":
        """One more connection for the caller, with its own limit for a statement.

        Raises:
            psycopg.Error: it cannot be made.
        """
        made = self._connect({"statement_timeout": f"{statement_timeout * 1000:.0f}"})
        made.answer_within = statement_timeout + _NO_ANSWER
        return made

    def _connected(self) -> _Connection:
        """Requires holding ``_lock``."""
        if self._closed:
            raise psycopg.OperationalError("the ledger is closed")
        if self._connection is None:
            self._connection = self._connect({})
            self._connection.answer_within = self._timeout + _NO_ANSWER
            if self._down:
                log.info("ledger_reached_again", extra={"ledger": self._address.name})
        self._down = None
        return self._connection

    def _connect(self, changed: dict[str, str]) -> _Connection:
        settings = self._settings | changed
        connection = _Connection.connect(
            **self._where(),
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            autocommit=True,
        )
        # One type for every whole number, or each size of number would be prepared by itself.
        connection.adapters.register_dumper(int, Int8Dumper)
        return connection

    def _where(self) -> dict[str, Any]:
        """Whom to connect to and how, as libpq names it."""
        address = self._address
        defaults = {
            "application_name": "signalpaca",
            "client_encoding": "utf8",
            "connect_timeout": _CONNECT_TIMEOUT,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": int((self._timeout + _NO_ANSWER) * 1000),
            # After a failover one of several hosts is the old primary.
            "target_session_attrs": "any" if self._read_only else "read-write",
        }
        login = {"user": address.user, "password": address.password}
        return {
            **defaults,
            **{name: value for name, value in login.items() if value},
            **dict(address.parameters),
            "host": ",".join(host for host, _ in address.hosts),
            "port": ",".join(str(port) for _, port in address.hosts),
            "dbname": address.database,
        }

    def _settle(self, connection: _Connection) -> None:
        """Leave no transaction open and no dead connection behind; requires holding ``_lock``."""
        status = psycopg.pq.TransactionStatus
        try:
            if not connection.closed and connection.info.transaction_status != status.IDLE:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()
        if connection.closed:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _translated(self, error: psycopg.Error) -> LedgerError:
        out = translated(error, self._address.name, connected=self._connection is not None)
        if error.sqlstate == "25006":
            self._drop()  # a failover made this server a replica; the next attempt looks around
        return out


def address_of(url: str) -> PostgresAddress:
    """The parts of a ``LEDGER_URL``.

    Raises:
        ConfigError: it is not a PostgreSQL URL; the message does not quote it.
    """
    try:
        return split_postgres_url(url)
    except ValueError as error:
        raise ConfigError(f"LEDGER_URL: {error}") from None


class PostgresSource:
    """A ledger in PostgreSQL, only read; see :class:`solution.ledger.reader.Source`.

    Raises:
        ConfigError: not a PostgreSQL URL.
        LedgerError: no ledger there, one of a newer version, or it does not answer.
    """

    def __init__(self, url: str) -> None:
        address = address_of(url)
        self._session = Session(address, read_only=True)
        self.read = self._session.read
        try:
            self.version = self._session.run(
                lambda executor, _again: require_version(executor, address.name)
            )
            if not self.version:
                raise LedgerError(f"{address.name} holds no ledger yet")
        except BaseException:
            self._session.close()
            raise

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        self._session.close()
