"""The durable record of every signal, and the way out for what happened to it."""

from solution.clock import Clock
from solution.config_ledger import is_postgres
from solution.errors import ConfigError
from solution.ledger.reader import LedgerReader
from solution.ledger.store import Store


def open_ledger(url: str, *, fsync_before_post: bool = False, clock: Clock | None = None) -> Store:
    """The ledger that a ``LEDGER_URL`` names, made or upgraded where needed.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` (memory) or
            ``postgresql://…``.
        fsync_before_post: let ``begin`` return only when the row survives a power loss too.
        clock: where ``created_ms`` and ``updated_ms`` come from when a change does not set them.

    Raises:
        ConfigError: the url names no database that we know, or its driver is not installed.
        LedgerBusy: another process holds the ledger (a SQLite file).
        LedgerError: not a ledger, one of a newer version, or it cannot be reached or written.
    """
    if is_postgres(url):
        require_driver()
        from solution.ledger.postgres import PostgresLedger

        return PostgresLedger(url, fsync_before_post=fsync_before_post, clock=clock)
    from solution.ledger.sqlite import SqliteLedger

    return SqliteLedger(url, fsync_before_post=fsync_before_post, clock=clock)


def open_reader(url: str) -> LedgerReader:
    """A read-only view of the ledger that a ``LEDGER_URL`` names, also while a service runs.

    Raises:
        ConfigError: the url names no database that outlives a process, or no driver is installed.
        LedgerError: no ledger there, one of a newer version, or it cannot be read.
    """
    if is_postgres(url):
        require_driver()
        from solution.ledger.postgres_session import PostgresSource

        return LedgerReader(PostgresSource(url))
    from solution.ledger.files import database_path
    from solution.ledger.sqlite_source import SqliteSource

    path = database_path(url)
    if path is None:
        raise ConfigError("a ledger in memory belongs to its own process")
    return LedgerReader(SqliteSource(path))


def require_driver() -> None:
    """Raise ConfigError where PostgreSQL's driver, an extra, is not installed."""
    try:
        import psycopg  # noqa: F401 - only whether it can be imported
    except ImportError as error:
        raise ConfigError(
            "LEDGER_URL names PostgreSQL, whose driver is not installed:"
            " pip install 'signalpaca[postgres]'"
        ) from error
