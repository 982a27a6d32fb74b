"""All market data websockets: finds the feed of a path, and gives the feeds their time."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal

from starlette.websockets import WebSocket

from paper_exchange.assets import Asset
from paper_exchange.books.accounts import Account
from paper_exchange.clock import MILLISECOND
from paper_exchange.exchange import Exchange
from paper_exchange.faults.spec import DATA
from paper_exchange.hours import AlwaysOpen
from paper_exchange.ids import stable_id
from paper_exchange.live.faults import StreamFaults
from paper_exchange.live.feeds import CRYPTO, FEEDS, TEST, DataFeed
from paper_exchange.live.messages import JSON, MSGPACK
from paper_exchange.live.publisher import Publisher
from paper_exchange.live.station import Limits, Station
from paper_exchange.network.connections import Arrival, Connection
from paper_exchange.network.sockets import converse, wants_msgpack
from paper_exchange.prices.market import Market
from paper_exchange.rounds import Rounds

#: Seconds a client has to authenticate (documented).
AUTH_WITHIN = 10.0
#: A round comes this long after what it is to tell, so that a timer that fires early still does.
_MARGIN_NS = MILLISECOND
#: Seconds of real time that rounds are apart at least, however fast the exchange's clock runs.
_SHORTEST_S = 0.02
#: Per year; the price of the test symbol moves with nearly every tick.
_TEST_VOLATILITY = 4.0


def _test_asset() -> Asset:
    """The symbol of the test stream, which cannot be traded and is in no list."""
    return Asset(
        id=stable_id("asset", "FAKEPACA"),
        symbol="FAKEPACA",
        name="Fake Alpaca",
        exchange="NASDAQ",
        base_price=Decimal(150),
    )


class DataStreams:
    """Serves the market data websockets of an exchange.

    One task publishes for all feeds. It sleeps while nobody is subscribed to
    anything; ``look`` wakes it when the clock or a price has been set.
    """

    def __init__(
        self,
        exchange: Exchange,
        authenticate: Callable[[str, str], Account | None],
        *,
        auth_within: float = AUTH_WITHIN,
        faults: StreamFaults | None = None,
    ) -> None:
        self._faults = faults
        self._clock = exchange.clock
        self._auth_within = auth_within
        self._rounds = Rounds(
            self._round, exchange.clock, failure="publishing_failed", shortest_s=_SHORTEST_S
        )
        self._stations = [_station(feed, exchange, authenticate) for feed in FEEDS]
        self._by_path = {path: one for one in self._stations for path in one.feed.paths}

    def connected(self) -> Iterator[Connection]:
        """The open sockets, oldest first."""
        every = (one for station in self._stations for one in station.connected())
        return iter(sorted(every, key=lambda one: one.arrival.number))

    def serves(self, path: str) -> bool:
        """Whether a market data feed is at this path."""
        return path.rstrip("/") in self._by_path

    def start(self) -> None:
        """Begin to publish; needs a running event loop."""
        self._rounds.start()

    async def stop(self) -> None:
        """End at once."""
        await self._rounds.stop()

    def look(self) -> None:
        """Something may have changed, the time for instance: publish now what is due."""
        self._rounds.wake()

    async def serve(self, socket: WebSocket, credentials: tuple[str, str] | None) -> None:
        """One client from handshake to close; ``credentials`` are those of the handshake."""
        station = self._by_path[socket.scope["path"].rstrip("/")]
        await socket.accept()
        codec = MSGPACK if wants_msgpack(socket) else JSON
        client = station.join(codec, self.look, Arrival.of(socket.scope, self._clock.now_ns()))
        if self._faults is not None:
            client.outlet.tamper = self._faults.tamper(
                DATA, client.outlet, socket.headers, client.key_id
            )
        timer = asyncio.get_running_loop().call_later(self._auth_within, client.lapse)
        try:
            client.greet(credentials)
            await converse(socket, client.outlet, client.hear)
        finally:
            timer.cancel()
            station.leave(client)

    async def _round(self) -> int | None:
        """Publish what is due; returns the nanoseconds until there is more, None if never."""
        for station in [one for one in self._stations if one.demand]:
            for _ in station.publish(self._clock.now_ns()):
                await asyncio.sleep(0)
        now = self._clock.now_ns()
        pauses = [station.pause_ns(now) for station in self._stations if station.demand]
        return min(pauses) + _MARGIN_NS if pauses else None


def _station(
    feed: DataFeed, exchange: Exchange, authenticate: Callable[[str, str], Account | None]
) -> Station:
    settings = exchange.settings
    if feed is TEST:
        assets = [_test_asset()]
        market = Market(
            assets,
            seed=settings.seed,
            volatility=_TEST_VOLATILITY,
            origin_ns=exchange.clock.now_ns(),
        )
        publisher = Publisher(market, AlwaysOpen())
    else:
        crypto = feed is CRYPTO
        assets = [one for one in exchange.assets if one.crypto is crypto and one.tradable]
        publisher = Publisher(exchange.market, None if crypto else exchange.hours)
    return Station(
        feed,
        {asset.symbol: asset for asset in assets},
        publisher,
        authenticate,
        clock=exchange.clock,
        entitled=feed is TEST or feed.name in settings.data_feeds,
        limits=Limits(
            connections=settings.data_connections,
            symbols=settings.data_symbols,
        ),
    )
