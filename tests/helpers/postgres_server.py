"""A real PostgreSQL for tests; it stands in ``torture``, which needs it without the tests."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torture import postgres_server

_EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    TRUNCATE order_intents, trades, dead_letters, repeats, bot_state, outbox, history,
        entry_starts, equity_curve RESTART IDENTITY;
    UPDATE lease SET epoch = 0, holder = '', expires_ms = 0;
    UPDATE outbox_head SET last_event_id = 0, batch = '';
"""


class PostgresServer(postgres_server.PostgresServer):
    """One for many tests, each of which finds its ledger empty."""

    def empty(self, url: str) -> None:
        """Bring a ledger back to its first moment: much faster than a database of its own."""
        with self.connect(url) as connection:
            connection.execute(_EMPTY)

    @contextmanager
    def read_only(self, url: str) -> Iterator[None]:
        """One database, for every session from now on; those that are open are ended."""
        name = url.rpartition("/")[2]
        setting = f"ALTER DATABASE {name} SET default_transaction_read_only ="
        with self.connect("postgres") as connection:
            connection.execute(f"{setting} on")  # type: ignore[call-overload]
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            try:
                yield
            finally:
                connection.execute(f"{setting} off")  # type: ignore[call-overload]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of it is stopped meanwhile: it accepts and says nothing."""
        import psutil

        assert self._process is not None
        main = psutil.Process(self._process.pid)
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
