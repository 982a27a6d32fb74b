"""``LEDGER_URL``: a SQLite file or a PostgreSQL database, taken apart strictly."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from solution.config_urls import split_url
from solution.config_values import PATH, Rule

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")
PORT = 5432

_SHAPE = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
_DATABASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.$-]{0,62}")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_SOCKET = re.compile(r"/[A-Za-z0-9_./-]{1,100}")
_PARAMETERS = {
    "sslmode": re.compile(r"disable|allow|prefer|require|verify-ca|verify-full"),
    "sslrootcert": re.compile(r"system|/[!-~]+"),
    "sslcert": re.compile(r"/[!-~]+"),
    "sslkey": re.compile(r"/[!-~]+"),
    "channel_binding": re.compile(r"disable|prefer|require"),
    "target_session_attrs": re.compile(r"any|read-write|primary"),
}
"""What may follow the question mark, besides ``schema`` and ``host`` (a socket's directory)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresAddress:
    """A PostgreSQL URL, taken apart.

    Args:
        hosts: pairs of host and port, tried in this order; the host may be a socket's directory.
        schema: where the tables are; empty for the connection's own first one.
        parameters: pairs for libpq, such as ``("sslmode", "require")``.
    """

    hosts: tuple[tuple[str, int], ...]
    database: str
    user: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What tells it from other databases; without user, password and parameters."""
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )
        return f"postgresql://{hosts}/{self.database}" + (
            f"?schema={self.schema}" if self.schema else ""
        )


def split_postgres_url(text: str) -> PostgresAddress:
    """Take ``postgresql://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE[?…]`` apart.

    Raises:
        ValueError: not such a URL; the text says why and does not quote it.
    """
    scheme, _, rest = text.partition("://")
    netloc, _, tail = rest.partition("/")
    login, at, hosts = netloc.rpartition("@")
    path, _, query = tail.partition("?")
    # The rules for user and password are those of every other URL.
    parts = split_url(f"{scheme}://{login}{at}h/{path}", "postgresql", "postgres")
    given = _query(query)
    socket = given.pop("host", "")
    if bool(socket) == bool(hosts) or (socket and not _SOCKET.fullmatch(socket)):
        raise ValueError("it names no host")
    schema = given.pop("schema", "")
    if not _DATABASE.fullmatch(path):
        raise ValueError("the path is the name of a database")
    if schema and not _SCHEMA.fullmatch(schema):
        raise ValueError("a schema is a name of small letters, digits and underscores")
    for name, value in given.items():
        if name not in _PARAMETERS or not _PARAMETERS[name].fullmatch(value):
            raise ValueError(
                f"after the question mark may stand: schema, host, {', '.join(_PARAMETERS)}"
            )
    return PostgresAddress(
        hosts=((socket, PORT),) if socket else tuple(map(_host, hosts.split(","))),
        database=path,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=schema,
        parameters=tuple(given.items()),
    )


def _query(text: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in text.split("&") if item]
    found = {name: unquote(value) for name, _, value in pairs}
    if len(found) < len(pairs):
        raise ValueError("a parameter stands there twice")
    return found


def _host(text: str) -> tuple[str, int]:
    parts = split_url(f"postgresql://{text}/", "postgresql")
    return parts.hostname or "", parts.port or PORT


def is_postgres(url: str) -> bool:
    """Whether the URL names a PostgreSQL database."""
    return url.startswith(POSTGRES)


def for_dry_run(url: str) -> str:
    """The ledger of a dry run: a schema of its own in the same database.

    A dry run's row would tell the real service that the signal is done.
    """
    schema = split_postgres_url(url).schema
    if schema:
        return url.replace(f"schema={schema}", f"schema={schema}_dry_run")
    return f"{url}{'&' if '?' in url else '?'}schema=dry_run"


def ledger_file(url: str) -> Path | None:
    """The file of a SQLite ledger; None for a database on a server."""
    return None if is_postgres(url) else Path(url.removeprefix(SQLITE))


def _parse_ledger_url(text: str) -> str:
    if is_postgres(text):
        split_postgres_url(text)
        return text
    path = text.removeprefix(SQLITE)
    if path == text or not path or "?" in path or "#" in path:
        raise ValueError
    PATH.parse(path)
    if ":memory:" in path:
        raise ValueError("a ledger in memory forgets which orders were sent")
    return text


LEDGER_URL = Rule(_parse_ledger_url, _SHAPE)
