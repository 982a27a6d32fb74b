"""What really happened, read from Redis and the exchange and not from the service."""

import http.client
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import redis

from solution.redis_client import make_client

PAGE = 1_000
TIMEOUT = 5.0

Event = Mapping[str, str]
Order = Mapping[str, Any]
Key = tuple[str, str]
"""Stream and entry id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The three independent accounts of one run, and what is left over.

    ``entries`` is every entry of the signal streams with its signal_id (empty without one);
    ``events`` is ``executions`` with each event_id once; ``orders`` is the exchange's own list;
    ``positions`` the exchange's by symbol, as text; ``pending`` what no consumer acknowledged.
    """

    entries: Mapping[Key, str]
    events: Sequence[Event]
    orders: Sequence[Order]
    positions: Mapping[str, str]
    pending: int
    account: Mapping[str, str]


class Witness:
    """Reads the evidence; each call may raise ``redis.RedisError`` or ``OSError``."""

    def __init__(
        self, *, redis_url: str, exchange_url: str, keys: Key, stream: str, group: str
    ) -> None:
        self._client = make_client(redis_url)
        self._exchange = urlsplit(exchange_url)
        self._keys = keys
        self._stream = stream
        self._group = group
        self._ended: set[Key] = set()
        self._read_to = "-"

    @property
    def client(self) -> "redis.Redis":
        return self._client

    def close(self) -> None:
        self._client.close()

    def collect(self) -> Evidence:
        """All of it, once the service has ended."""
        events: dict[str, Event] = {}
        for entry_id, event in _read(self._client, "executions"):
            events.setdefault(event.get("event_id") or entry_id, event)
        positions = self._get("/v2/positions")
        return Evidence(
            entries=self.entries(),
            events=list(events.values()),
            orders=self._get("/admin/orders"),
            positions={row["symbol"]: row["qty"] for row in positions},
            pending=self._pending(),
            account=self._get("/v2/account"),
        )

    def entries(self) -> dict[Key, str]:
        """Every signal in the stream and its signal_id."""
        return {
            (self._stream, entry_id): fields.get("signal_id", "")
            for entry_id, fields in _read(self._client, self._stream)
        }

    def published(self) -> int:
        """How many signals are in the stream now."""
        return int(self._client.xlen(self._stream))

    def ended(self) -> int:
        """How many of them have a final event now; reads only what is new since the last call."""
        for entry_id, event in _read(self._client, "executions", self._read_to):
            self._read_to = f"({entry_id}"
            if event.get("final") == "1":
                self._ended.add((event.get("stream", ""), event.get("entry_id", "")))
        return len(self._ended)

    def _pending(self) -> int:
        try:
            found: Any = self._client.xpending(self._stream, self._group)
        except redis.ResponseError as e:
            if str(e).startswith("NOGROUP"):
                return 0
            raise
        return int(found["pending"])

    def _get(self, path: str) -> Any:
        # By hand, and not by the service's client: a misreading there must not confirm itself.
        host, port = self._exchange.hostname or "", self._exchange.port
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        headers = {"APCA-API-KEY-ID": self._keys[0], "APCA-API-SECRET-KEY": self._keys[1]}
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as e:
            raise OSError(f"{path}: {type(e).__name__}") from e
        finally:
            connection.close()
        if response.status != 200:
            raise OSError(f"{path}: HTTP {response.status}")
        return orjson.loads(body)


def _read(client: "redis.Redis", stream: str, start: str = "-") -> list[tuple[str, dict[str, str]]]:
    """A whole stream, or from ``start`` on, in pages."""
    out = []
    while True:
        page: Any = client.xrange(stream, start, "+", count=PAGE)
        for entry_id, raw in page:
            fields = {_text(n).lower(): _text(v) for n, v in raw.items()}
            out.append((_text(entry_id), fields))
        if len(page) < PAGE:
            return out
        start = "(" + _text(page[-1][0])


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|[+-]00:00)")


def nanos_of(text: str) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 UTC text with any number of decimals."""
    from datetime import UTC, datetime

    found = _TIME.fullmatch(text)
    if not found:
        return None
    whole = int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())
    return whole * 1_000_000_000 + int((found[2] or "0").ljust(9, "0")[:9])
