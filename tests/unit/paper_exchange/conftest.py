"""An exchange without a network, a clock moved by hand, and prices that stand still."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from paper_exchange.books.accounts import Account
from paper_exchange.clock import ManualClock
from paper_exchange.engine.events import TradeEvent
from paper_exchange.engine.validation import parse_changes, parse_order
from paper_exchange.errors import ApiError
from paper_exchange.exchange import Exchange
from paper_exchange.ids import seeded_ids
from paper_exchange.orders import Order
from paper_exchange.settings import Settings

#: A Friday, 12:00 in New York: the exchange is open under both calendars.
NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
_DEFAULTS = {"symbol": "KO", "qty": "10", "side": "buy", "type": "market", "time_in_force": "ioc"}


class World:
    """One exchange and one account, with short words for what tests do."""

    def __init__(self, settings: Settings, start: datetime) -> None:
        self.clock = ManualClock(start)
        self.told: list[dict[str, Any]] = []
        #: Who else hears events.
        self.sinks: list[Callable[[TradeEvent], None]] = []
        self.exchange = Exchange(
            settings, self._hear, clock=self.clock, new_id=seeded_ids(settings.seed)
        )
        self.engine = self.exchange.engine
        self.market = self.exchange.market
        self.account = self.open_account("key")
        for symbol in ("KO", "NVDA", "BTC/USD", "F"):
            self.price(100, symbol)

    def _hear(self, event: TradeEvent) -> None:
        self.told.append(event.render())
        for sink in self.sinks:
            sink(event)

    def open_account(self, key: str) -> Account:
        """The account of a key."""
        account = self.exchange.accounts.authenticate(key, "s", self.clock.now_ns())
        assert account is not None
        return account

    def price(self, price: float | str, symbol: str = "KO") -> None:
        """Hold a price; bid and ask are one cent to its sides."""
        self.market.set_price(symbol, Decimal(str(price)), self.clock.now_ns())

    def send(self, **fields: Any) -> Order:
        """Submit a market IOC for ten KO, with changes (None removes a field)."""
        body = {k: v for k, v in {**_DEFAULTS, **fields}.items() if v is not None}
        new = parse_order(body, self.exchange.assets, self.engine.new_id)
        answer = self.engine.submit(self.account, new)
        return self.account.orders[str(answer["id"])]

    def rest(self, limit: float | str, **fields: Any) -> Order:
        """Submit a GTC limit order."""
        extra = {"type": "limit", "limit_price": str(limit), "time_in_force": "gtc"} | fields
        return self.send(**extra)

    def replace(self, order: Order, **changes: Any) -> Order:
        """Replace an order."""
        answer = self.engine.replace(self.account, order, parse_changes(changes))
        return self.account.orders[str(answer["id"])]

    def refusal(self, call: Callable[[], object]) -> dict[str, object]:
        """The body of the error that a call ends in."""
        with pytest.raises(ApiError) as caught:
            call()
        return caught.value.body

    def later(self, seconds: float) -> int | None:
        """Let time pass and the engine work; returns the pause it asks for."""
        self.clock.advance(seconds)
        return self.engine.tick()

    @property
    def events(self) -> list[str]:
        """What the stream has told so far, names only."""
        return [event["event"] for event in self.told]

    def qty(self, symbol: str = "KO") -> Decimal:
        """The position held."""
        asset = self.exchange.assets.find(symbol)
        assert asset is not None
        return self.account.position_qty(asset)


Make = Callable[..., World]


@pytest.fixture
def make() -> Make:
    """Builds a world from settings and a start time."""

    def build(*, start: datetime = NOON, **settings: Any) -> World:
        return World(replace(Settings(seed=1), **settings), start)

    return build


@pytest.fixture
def world(make: Make) -> World:
    """An always-open exchange."""
    return make()
