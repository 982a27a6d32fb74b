"""What is said on a market-data websocket; no I/O in here.

Alpaca greets, is told the keys, and then the channels; it answers with all that is subscribed to.
From then on every message is an array of bars, quotes and whatever it may think of next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from signal_generator.bars import Bar, Quote
from signal_generator.market.bar_rows import read_bar, read_quote


class Next(Enum):
    """What an error leaves to be done."""

    GO_ON = "nothing has changed"
    AGAIN = "connect again"
    LATER = "connect again, but not soon"
    NEVER = "no connection will do better"


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error the server told, in words for people."""

    code: int
    text: str
    then: Next


_ERRORS = {
    400: ("what we said is no message to it", Next.GO_ON),
    401: ("it wants to be told the keys first", Next.AGAIN),
    402: ("the keys are not accepted", Next.NEVER),
    403: ("it was told the keys twice", Next.GO_ON),
    404: ("the keys came too late", Next.AGAIN),
    405: ("these are more symbols than the plan allows", Next.NEVER),
    406: (
        "another connection has the only place, of another program with these keys or a former one",
        Next.LATER,
    ),
    407: ("we read too slowly", Next.AGAIN),
    409: ("the plan does not include this feed", Next.NEVER),
    410: ("this feed does not have the channel", Next.NEVER),
    500: ("it has a trouble of its own", Next.AGAIN),
}


@dataclass(slots=True)
class Heard:
    """What one message of the server's brought.

    Args:
        say: what is to be answered.
        subscribed: whether the subscription stands from here on.
        malformed: what could not be read, each in a few words.
    """

    say: list[bytes] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    corrections: list[Bar] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    subscribed: bool = False
    trouble: Trouble | None = None
    malformed: list[str] = field(default_factory=list)

    @property
    def is_data(self) -> bool:
        """Whether the market spoke, and not the server about itself."""
        return bool(self.bars or self.corrections or self.quotes)


class MarketConversation:
    """One connection, from its greeting to its end.

    Args:
        bars: symbols whose minute bars, and corrections of them, are wanted.
        quotes: symbols whose quotes are wanted.
    """

    def __init__(
        self, key: str, secret: str, *, bars: Sequence[str], quotes: Sequence[str]
    ) -> None:
        self._keys = {"action": "auth", "key": key, "secret": secret}
        self._wanted = {"bars": list(bars), "updatedBars": list(bars), "quotes": list(quotes)}
        self._readers: dict[str, Callable[[dict[str, Any], Heard], None]] = {
            "b": _bar,
            "u": _correction,
            "q": _quote,
            "success": self._success,
            "subscription": self._subscription,
            "error": _error,
        }

    def hear(self, message: str | bytes) -> Heard:
        """Read one message; what makes no sense is told in the result and otherwise ignored."""
        heard = Heard()
        try:
            parts = orjson.loads(message)
        except ValueError:
            heard.malformed.append("a message that is no JSON")
            return heard
        for part in parts if isinstance(parts, list) else [parts]:
            if not isinstance(part, dict):
                heard.malformed.append(f"a part that is no object: {str(part)[:40]!r}")
                continue
            kind = part.get("T")
            read = self._readers.get(kind) if isinstance(kind, str) else None
            if read is not None:
                try:
                    read(part, heard)
                except ValueError as error:
                    heard.malformed.append(f"{kind} of {str(part.get('S'))[:12]}: {error}")
        return heard

    def _success(self, part: dict[str, Any], heard: Heard) -> None:
        match part.get("msg"):
            case "connected":
                heard.say.append(orjson.dumps(self._keys))
            case "authenticated":
                wanted = {name: symbols for name, symbols in self._wanted.items() if symbols}
                heard.say.append(orjson.dumps({"action": "subscribe", **wanted}))

    def _subscription(self, part: dict[str, Any], heard: Heard) -> None:
        """It lists everything subscribed to: what is missing in it will never come."""
        for name, symbols in self._wanted.items():
            given = part.get(name)
            confirmed = (
                [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
            )
            missing = set(symbols).difference(confirmed)
            if missing and "*" not in confirmed:
                text = f"it did not subscribe us to {name} of {', '.join(sorted(missing)[:5])}"
                heard.trouble = Trouble(0, text, Next.AGAIN)
                return
        heard.subscribed = True


def _symbol(part: dict[str, Any]) -> str:
    symbol = part.get("S")
    if not isinstance(symbol, str) or not symbol:
        raise ValueError(f"S: {symbol!r} is not a symbol")
    return symbol


def _bar(part: dict[str, Any], heard: Heard) -> None:
    heard.bars.append(read_bar(_symbol(part), part))


def _correction(part: dict[str, Any], heard: Heard) -> None:
    heard.corrections.append(read_bar(_symbol(part), part))


def _quote(part: dict[str, Any], heard: Heard) -> None:
    heard.quotes.append(read_quote(_symbol(part), part))


def _error(part: dict[str, Any], heard: Heard) -> None:
    code = part.get("code")
    if not isinstance(code, int):
        raise ValueError(f"code: {code!r} is not a number")
    text, then = _ERRORS.get(code, ("an error not known here", Next.AGAIN))
    heard.trouble = Trouble(code, f"{text} (error {code}: {str(part.get('msg'))[:80]})", then)
