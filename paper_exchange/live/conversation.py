"""What a client of a market data websocket says and what it is answered; no I/O in here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from paper_exchange.books.accounts import Account
from paper_exchange.live.feeds import ALL_CHANNELS, WITH_TRADES, DataFeed

Answer = dict[str, object]

_ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}
#: Only these count towards the limit of symbols; bars are free (documented).
_COUNTED = ("trades", "quotes")


def error(code: int) -> Answer:
    """The message of one of Alpaca's error codes."""
    return {"T": "error", "code": code, "msg": _ERRORS[code]}


def _success(message: str) -> Answer:
    return {"T": "success", "msg": message}


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the exchange decides about a client.

    Attributes:
        authenticate: the account of a key pair, or None.
        has_room: whether an account may have one more connection to the feed.
        entitled: whether the feed is open to anybody at all.
        symbol_limit: of trades and quotes together; 0 is no limit.
    """

    authenticate: Callable[[str, str], Account | None]
    has_room: Callable[[Account], bool] = lambda _account: True
    entitled: bool = True
    symbol_limit: int = 0


@dataclass(slots=True, eq=False)
class Conversation:
    """One client on one feed.

    Attributes:
        account: whose connection it is, None before authentication.
        subscribed: the symbols of each channel of the feed, in the order of subscription.
        over: whether the connection is to be closed after the answers.
    """

    feed: DataFeed
    house: House
    account: Account | None = None
    over: bool = False
    subscribed: dict[str, dict[str, None]] = field(init=False)

    def __post_init__(self) -> None:
        self.subscribed = {channel: {} for channel in self.feed.channels}

    def greet(self, credentials: tuple[str, str] | None) -> list[Answer]:
        """The first words; ``credentials`` are those of the handshake's headers, if any."""
        answers = [_success("connected")]
        if credentials is not None:
            answers += self._authenticate(*credentials)
        return answers

    def receive(self, message: object) -> list[Answer]:
        """The answers to one message; each is a frame of its own."""
        if not isinstance(message, dict):
            return [error(400)]
        match message.get("action"):
            case "auth":
                return self._authenticate(message.get("key"), message.get("secret"))
            case "subscribe" | "unsubscribe" as action:
                return self._subscribe(message, adding=action == "subscribe")
            case _:
                return [error(400)]

    def lapse(self) -> list[Answer]:
        """The time for authentication is over."""
        if self.account is not None:
            return []
        self.over = True
        return [error(404)]

    def wants(self, channel: str, symbol: str) -> bool:
        """Whether a message of this channel about this symbol is for this client."""
        symbols = self.subscribed.get(channel, {})
        return symbol in symbols or "*" in symbols

    def _authenticate(self, key: object, secret: object) -> list[Answer]:
        if self.account is not None:
            return [error(403)]
        if not isinstance(key, str) or not isinstance(secret, str):
            return [error(400)]
        account = self.house.authenticate(key, secret)
        if account is None:
            # The connection stays: there may be time for another try.
            return [error(402)]
        if not self.house.entitled:
            return self._turn_away(409)
        if not self.house.has_room(account):
            return self._turn_away(406)
        self.account = account
        return [_success("authenticated")]

    def _turn_away(self, code: int) -> list[Answer]:
        self.over = True
        return [error(code)]

    def _subscribe(self, message: Mapping[object, object], *, adding: bool) -> list[Answer]:
        if self.account is None:
            return [error(401)]
        try:
            changes = self._changes(message)
            changed = self._changed(changes, adding=adding)
        except _Refused as refusal:
            return [error(refusal.code)]
        self.subscribed = changed
        lists = {channel: list(symbols) for channel, symbols in changed.items()}
        return [{"T": "subscription", **lists}]

    def _changes(self, message: Mapping[object, object]) -> dict[str, list[str]]:
        """The channels named in a message, those that come with trades included."""
        changes: dict[str, list[str]] = {}
        for channel in ALL_CHANNELS:
            # Empty lists of channels that the feed lacks are sent by some clients.
            symbols = message.get(channel) or []
            if not isinstance(symbols, list) or not all(isinstance(one, str) for one in symbols):
                raise _Refused(400)
            if symbols and channel not in self.feed.channels:
                raise _Refused(410)
            changes[channel] = symbols
        for channel in WITH_TRADES:
            if channel in self.feed.channels:
                changes[channel] = [*changes[channel], *changes["trades"]]
        return changes

    def _changed(
        self, changes: dict[str, list[str]], *, adding: bool
    ) -> dict[str, dict[str, None]]:
        changed = {}
        for channel, symbols in self.subscribed.items():
            named = dict.fromkeys(changes[channel])
            changed[channel] = (
                {**symbols, **named}
                if adding
                else {symbol: None for symbol in symbols if symbol not in named}
            )
        if adding and self._exceeds(changed):
            raise _Refused(405)
        return changed

    def _exceeds(self, subscribed: dict[str, dict[str, None]]) -> bool:
        limit = self.house.symbol_limit
        counted = [subscribed[channel] for channel in _COUNTED]
        if not limit:
            return False
        return any("*" in symbols for symbols in counted) or sum(map(len, counted)) > limit
