"""One feed with its clients: who is connected, what they want, and handing it to them."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from starlette.types import Message

from paper_exchange.assets import Asset
from paper_exchange.books.accounts import Account
from paper_exchange.clock import Clock
from paper_exchange.live.conversation import Answer, Conversation, House, error
from paper_exchange.live.feeds import BAR_CHANNELS, TICK_CHANNELS, DataFeed
from paper_exchange.live.messages import Codec, DataMessage
from paper_exchange.live.publisher import Demand, Publisher
from paper_exchange.network.connections import Arrival, Connection
from paper_exchange.network.sockets import Outlet, read

log = logging.getLogger(__name__)

#: Frames a reader may be behind. Ticks of 50 symbols are 12 frames a second; a moved clock makes
#: some hundred at once. A frame is at most about 10 kB.
BACKLOG = 2000

_DELIVERED = sorted(TICK_CHANNELS | BAR_CHANNELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may have; 0 is no limit.

    Attributes:
        connections: of one account to one feed.
        symbols: of trades and quotes together on one connection.
    """

    connections: int = 0
    symbols: int = 0


class Client:
    """One connected client: its conversation, its codec and its outbox."""

    def __init__(
        self,
        conversation: Conversation,
        codec: Codec,
        changed: Callable[[], None],
        arrival: Arrival,
    ) -> None:
        self.conversation = conversation
        self.codec = codec
        self.outlet = Outlet(
            self._encode, asyncio.Queue(BACKLOG), farewell=codec.control(error(407))
        )
        self._changed = changed
        self.arrival = arrival

    def key_id(self) -> str | None:
        """Whose connection it is, None before that is known."""
        account = self.conversation.account
        return account.key_id if account else None

    def greet(self, credentials: tuple[str, str] | None) -> None:
        """Say the first words."""
        self._say(self.conversation.greet(credentials))

    def hear(self, said: str | bytes) -> None:
        """Answer a message."""
        before = self.conversation.subscribed
        try:
            answers = self.conversation.receive(read(said))
        except Exception:  # a defect of ours is told as Alpaca tells its own
            log.exception("data_message_failed")
            answers = [error(500)]
        if self.conversation.subscribed is not before:
            self._changed()
        self._say(answers)

    def lapse(self) -> None:
        """The time to authenticate is over."""
        self._say(self.conversation.lapse())

    def tell(self, told: list[DataMessage]) -> None:
        """Queue those messages that this client has subscribed to."""
        wants, codec, outlet = self.conversation.wants, self.codec, self.outlet
        wanted = [one for one in told if wants(one.channel, one.symbol)]
        if outlet.tamper:
            for one in wanted:
                outlet.push(one)
        elif wanted:
            outlet.post(codec.frame([one.encoded(codec) for one in wanted]))

    def _encode(self, payload: object) -> Message:
        if isinstance(payload, DataMessage):
            return self.codec.frame([payload.encoded(self.codec)])
        return self.codec.control(payload)

    def _say(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.outlet.push(answer)
        if self.conversation.over:
            self.outlet.hang_up()


class Station:
    """A feed's clients and its publisher.

    ``assets`` are what the feed has, by symbol. Other symbols can be
    subscribed to, and nothing is ever told about them.
    """

    def __init__(
        self,
        feed: DataFeed,
        assets: Mapping[str, Asset],
        publisher: Publisher,
        authenticate: Callable[[str, str], Account | None],
        *,
        clock: Clock,
        entitled: bool,
        limits: Limits,
    ) -> None:
        self.feed = feed
        self._clock = clock
        self._assets = assets
        self._publisher = publisher
        self._limits = limits
        self._clients: set[Client] = set()
        self._house = House(
            authenticate=authenticate,
            has_room=self._has_room,
            entitled=entitled,
            symbol_limit=limits.symbols,
        )
        self.demand = Demand({})

    def connected(self) -> Iterator[Connection]:
        """The open sockets, in no order."""
        for client in self._clients:
            account = client.conversation.account
            wanted = client.conversation.subscribed
            yield Connection(
                arrival=client.arrival,
                endpoint=f"data {self.feed.name}",
                account_id=account.id if account else None,
                subjects=tuple(
                    f"{channel}: {' '.join(symbols)}"
                    for channel, symbols in wanted.items()
                    if symbols
                ),
                waiting=client.outlet.outbox.qsize(),
            )

    def join(self, codec: Codec, changed: Callable[[], None], arrival: Arrival) -> Client:
        """Take a client in; ``changed`` is called whenever the demand has changed."""

        def on_change() -> None:
            self._refresh()
            changed()

        client = Client(Conversation(self.feed, self._house), codec, on_change, arrival)
        self._clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Let a client go."""
        self._clients.discard(client)
        self._refresh()

    def publish(self, now_ns: int) -> Iterator[None]:
        """Tell the clients what is due, giving way to others between the pieces."""
        for told in self._publisher.due(self.demand, now_ns - self.feed.delay_ns):
            if told:
                for client in self._clients:
                    client.tell(told)
            yield

    def pause_ns(self, now_ns: int) -> int:
        """How long until there may be something to tell."""
        return self._publisher.pause_ns(self.demand, now_ns - self.feed.delay_ns)

    def _has_room(self, account: Account) -> bool:
        if not self._limits.connections:
            return True
        taken = sum(client.conversation.account is account for client in self._clients)
        return taken < self._limits.connections

    def _refresh(self) -> None:
        was_idle = not self.demand
        self.demand = Demand({channel: self._wanted(channel) for channel in _DELIVERED})
        if was_idle and self.demand:
            self._publisher.begin(self._clock.now_ns() - self.feed.delay_ns)

    def _wanted(self, channel: str) -> dict[str, Asset]:
        wanted: dict[str, Asset] = {}
        for client in self._clients:
            symbols = client.conversation.subscribed.get(channel, {})
            if "*" in symbols:
                return dict(self._assets)
            for symbol in symbols:
                if symbol in self._assets:
                    wanted[symbol] = self._assets[symbol]
        return wanted
