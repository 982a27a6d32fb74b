"""A real exchange whose clock tests move, and what it says itself of its bars."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from paper_exchange.testing import running
from signal_generator.bars import Bar
from signal_generator.connection import Connection
from signal_generator.hosting import Session
from signal_generator.market.bar_rows import read_bar
from signal_generator.market.bar_times import is_crypto


class SteppedExchange:
    """Its admin routes, its bars, and itself as a :class:`MarketClock`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = Connection.from_env(
            {"ALPACA_API_KEY": "k", "ALPACA_SECRET_KEY": "s", "ALPACA_DATA_URL": url}
        )

    def now(self) -> datetime:
        """The exchange's time, asked each time."""
        return datetime.fromisoformat(self._call("/admin/clock")["now"])

    def session(self) -> Session | None:
        """Not needed by these tests."""
        return None

    def advance(self, seconds: float) -> None:
        """Let time pass there."""
        self._call("/admin/clock", {"advance": seconds})

    def fault(self, text: str) -> None:
        """Add a rule."""
        self._call("/admin/faults", {"text": text})

    def hits(self) -> int:
        """How often rules have struck."""
        return sum(rule["hits"] for rule in self._call("/admin/faults")["faults"])

    def heal(self) -> None:
        """Delete all rules."""
        self._call("/admin/faults", method="DELETE")

    def bars(self, symbol: str, timeframe: str, start: datetime, end: datetime) -> list[Bar]:
        """Its own list, from start to end."""
        route = "/v1beta3/crypto/us/bars" if is_crypto(symbol) else "/v2/stocks/bars"
        asked = {"symbols": symbol, "timeframe": timeframe, "limit": "10000"}
        asked |= {"start": start.isoformat(), "end": end.isoformat()}
        found: list[Bar] = []
        while True:
            page = self._call(f"{route}?{urlencode(asked)}")
            found += [read_bar(symbol, row) for row in page["bars"].get(symbol, [])]
            if not page["next_page_token"]:
                return found
            asked["page_token"] = page["next_page_token"]

    def _call(self, path: str, body: object = None, method: str | None = None) -> Any:
        headers = {"APCA-API-KEY-ID": "admin", "APCA-API-SECRET-KEY": "s"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310  # loopback
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def stepped_exchange(start: str, *options: str) -> Iterator[SteppedExchange]:
    """An exchange with New York's sessions that stands at `start`."""
    with running("--stepped", "--session", "nyse", "--start", start, *options) as exchange:
        yield SteppedExchange(exchange.url)


def utc(text: str) -> datetime:
    """A moment of a test."""
    return datetime.fromisoformat(text).astimezone(UTC)
