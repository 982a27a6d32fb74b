"""A probe of one account at a real exchange, perhaps through a broker that does otherwise."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from paper_exchange.testing import Running, running
from solution.clock import SystemClock
from solution.config import Settings, load_settings
from solution.probe.finding import Finding
from solution.probe.run import Outcome, run
from tests.helpers.contrary_broker import ContraryBroker, Twist, honest

SECRET = "SECRET-CANARY"
EVENING = "2026-11-20T21:00:00-05:00"
"""New York, a Friday after the session, when both auctions take orders."""
WITHIN = 1.2


class Account:
    """One account of its own at an exchange."""

    def __init__(self, exchange: Running) -> None:
        self.exchange = exchange
        self.key = f"PK{uuid.uuid4().hex[:16].upper()}"

    def ask(self, path: str, body: object = None) -> Any:
        """A request to the exchange itself, with the account's keys."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": SECRET}
        request = urllib.request.Request(f"{self.exchange.url}/{path}", data, headers)  # noqa: S310  # our own exchange
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own exchange
            return json.load(answer)

    def open_orders(self) -> list[Any]:
        """What is open at the exchange."""
        found: list[Any] = self.ask("v2/orders?status=open")
        return found

    def fault(self, text: str) -> None:
        """A fault for this account alone."""
        self.ask("admin/faults", {"text": f"{text} key={self.key}"})

    def settings(self, trading_url: str = "", **changes: str) -> Settings:
        """Of a probe of it."""
        environ = {
            "ALPACA_API_KEY": self.key,
            "ALPACA_SECRET_KEY": SECRET,
            "ALPACA_TRADING_URL": trading_url or self.exchange.url,
            "ALPACA_DATA_URL": self.exchange.url,
            "ALPACA_STREAM_URL": self.exchange.stream_url,
            **changes,
        }
        return load_settings(environ=environ, env_file=None)

    def probe(self, twist: Twist = honest, **changes: str) -> tuple[Outcome, dict[str, Finding]]:
        """All probes through a broker with this twist; the findings by name."""
        with ContraryBroker(self.exchange.url, twist) as broker:
            outcome = run(
                self.settings(broker.url, **changes),
                SystemClock(),
                symbol="F",
                tell=lambda _: None,
                uninterrupted=lambda clean_up: clean_up(),
                within=WITHIN,
            )
        return outcome, {finding.name: finding for finding in outcome.findings}


@pytest.fixture(scope="session")
def exchange_of() -> Iterator[Callable[..., Running]]:
    """Exchanges by their options, each started once."""
    with ExitStack() as stack:
        made: dict[tuple[str, ...], Running] = {}

        def started(*options: str) -> Running:
            if options not in made:
                always = ("--rate-limit", "0", "--start", EVENING)
                made[options] = stack.enter_context(running(*always, *options))
            return made[options]

        yield started


@pytest.fixture
def account(exchange_of: Callable[..., Running]) -> Account:
    """At an exchange that is always open."""
    return Account(exchange_of())
