"""A request to close positions, and how far it has come: one row ``flatten:{id}`` of ``bot_state``.

Whoever wants positions closed writes the row with ``symbols``, ``why`` and ``at_ms``; the service
finds it, carries it out and keeps what it did in the same row, so that a command on another machine
can tell, and a start after a crash goes on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from solution.domain.records import TERMINAL, Intent, State

PREFIX = "flatten:"
"""Of the keys."""
IDENTITY = "|flatten:"
"""What the identity of every closing order begins with. It cannot be a signal's, in which a ``|``
at the beginning is doubled."""
END_OF_SESSION = "eos-"
"""What the ids of those begin with that the end of a session asks for."""


@dataclass(slots=True)
class Cancelled:
    """A resting order that was asked to end; ``end`` is the broker's word for how it did."""

    symbol: str
    side: str
    qty: str
    end: str = ""


@dataclass(slots=True)
class Closing:
    """One closing order; ``filled`` shares of ``qty``, ``state`` as in its row."""

    symbol: str
    side: str
    qty: str
    state: str
    filled: str = "0"

    @property
    def over(self) -> bool:
        """Whether it is at its end."""
        return self.state in TERMINAL

    @property
    def refused(self) -> bool:
        """Whether it ended as an order that never was."""
        return self.state in {State.REJECTED, State.REFUSED, State.NOT_SENT}


@dataclass(slots=True)
class Left:
    """What is not closed: signed shares as text, and why."""

    qty: str
    why: str


@dataclass(slots=True)
class Flattening:
    """The request and its progress; times are epoch milliseconds.

    Args:
        symbols: as the broker spells them or not; empty = every position of the account.
        why: who asks and what for, for the logs and the rows of the closing orders.
        stocks_only: leave crypto alone (the end of a stock session).
        until_ms: no more is begun from then on; 0 = until it is done.
        restricted: signals were kept from opening again, for longer than the request is under way;
            not done twice, for a person may have resumed since.
        cancelled: by the broker's order id.
        orders: by client_order_id.
        left: by symbol.
        done_ms: 0 while it is under way.
    """

    id: str
    symbols: tuple[str, ...]
    why: str
    at_ms: int
    stocks_only: bool = False
    until_ms: int = 0
    restricted: bool = False
    cancelled: dict[str, Cancelled] = field(default_factory=dict)
    orders: dict[str, Closing] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)
    flat: bool = False
    done_ms: int = 0

    @property
    def key(self) -> str:
        """Of its row."""
        return PREFIX + self.id

    @property
    def automatic(self) -> bool:
        """Whether no person asked for it: what stops trading stops it as well."""
        return self.id.startswith(END_OF_SESSION)

    def restricts(self, symbol: str, now_ms: int) -> bool:
        """Whether it is under way and about to close this symbol: then nothing may open it."""
        if self.done_ms or 0 < self.until_ms <= now_ms or (self.stocks_only and "/" in symbol):
            return False
        return not self.symbols or _plain(symbol) in map(_plain, self.symbols)

    def ends_with_resume(self, now_ms: int, ticker: str = "") -> bool:
        """Whether a resume takes it back: of all, or of one ticker.

        Whoever resumes wants to trade, and not that what is bought now is sold again. A session's
        end is not one person's wish and stays while the session lasts.
        """
        if self.done_ms:
            return False
        if ticker:
            return {_plain(symbol) for symbol in self.symbols} == {_plain(ticker)}
        return not (self.automatic and now_ms < self.until_ms)

    def to_json(self) -> str:
        """The row's value."""
        members = {name: getattr(self, name) for name in _MEMBERS}
        return orjson.dumps(members).decode()


_MEMBERS = tuple(name for name in Flattening.__dataclass_fields__ if name != "id")


def flattening_of(request_id: str, text: str) -> Flattening:
    """Read a row.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    try:
        raw = orjson.loads(text)
        return Flattening(
            id=request_id,
            symbols=_symbols(raw["symbols"]),
            why=str(raw.get("why") or "no reason given"),
            at_ms=int(raw.get("at_ms") or 0),
            stocks_only=raw.get("stocks_only") is True,
            until_ms=int(raw.get("until_ms") or 0),
            restricted=raw.get("restricted") is True,
            cancelled={k: Cancelled(**v) for k, v in _members(raw, "cancelled").items()},
            orders={k: Closing(**v) for k, v in _members(raw, "orders").items()},
            left={k: Left(**v) for k, v in _members(raw, "left").items()},
            flat=raw.get("flat") is True,
            done_ms=int(raw.get("done_ms") or 0),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise ValueError(f"the row {PREFIX}{request_id} is no request to flatten: {e!r}") from e


def read_or_none(key: str, text: str) -> Flattening | None:
    """The request under a key; None for a row of something else, or one that is never begun."""
    if not key.startswith(PREFIX):
        return None
    try:
        return flattening_of(key.removeprefix(PREFIX), text)
    except ValueError:
        return None


def _plain(symbol: str) -> str:
    """Without what the spellings of a symbol differ in."""
    return symbol.upper().replace("/", "")


def _symbols(found: Any) -> tuple[str, ...]:
    # A text would be taken apart into letters, and an empty one would mean every position.
    if not isinstance(found, list) or not all(isinstance(s, str) and s for s in found):
        raise ValueError("symbols is no list of tickers")
    return tuple(found)


def _members(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def identity_of(request_id: str, symbol: str, attempt: int) -> str:
    """The identity of a closing order's row; its client_order_id follows from it."""
    return f"{IDENTITY}{request_id}:{symbol}:{attempt}"


def is_closing(intent: Intent) -> bool:
    """Whether the row is of a closing order and not of a signal."""
    return intent.identity.startswith(IDENTITY)


def belongs_to(intent: Intent, request_id: str) -> bool:
    """Whether it is a closing order of this request."""
    return intent.identity == identity_of(request_id, intent.symbol, _attempt_of(intent))


def _attempt_of(intent: Intent) -> int:
    last = intent.identity.rpartition(":")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


def words_of(left: Mapping[str, Left]) -> Iterable[str]:
    """``NVDA 10: the market is closed until …``, one a ticker."""
    return (f"{symbol} {one.qty}: {one.why}" for symbol, one in sorted(left.items()))
