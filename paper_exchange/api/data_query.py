"""What a market data request asks for, checked; every refusal is a 400 that names the parameter."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from paper_exchange.api.call import Call
from paper_exchange.assets import Asset
from paper_exchange.clock import new_york, new_york_midnight, to_datetime, to_ns
from paper_exchange.errors import ApiError, endpoint_not_found, not_found
from paper_exchange.instants import parse_asked, parse_date
from paper_exchange.prices.history import Place, Window
from paper_exchange.prices.tape import TICK_NS
from paper_exchange.prices.timeframes import Timeframe, parse_timeframe

_DEFAULT_LIMIT = 1000
_LARGEST_LIMIT = 10_000
_FEEDS = frozenset({"iex", "sip", "otc", "boats"})
_LATEST_FEEDS = _FEEDS | {"delayed_sip", "overnight"}
_ADJUSTMENTS = frozenset({"raw", "split", "dividend", "spin-off", "all"})
_SORTS = frozenset({"asc", "desc"})
_LOCATIONS = frozenset({"us", "us-1", "us-2", "eu-1", "bs-1"})
_SHOWN = 100
_TOKEN = re.compile(r"([^|]{1,40})\|([BTQ])\|([0-9]{1,19})\|([0-9]{1,19})")


def bad(name: str, value: str, hint: str = "") -> ApiError:
    """400 for a parameter that cannot be used."""
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
    return ApiError(400, 40010000, f"invalid {name}: {shown}{hint}")


def check_feed(call: Call, *, latest: bool) -> None:
    """Every feed there is tells the same here."""
    feed = call.query.get("feed")
    if feed is not None and feed not in (_LATEST_FEEDS if latest else _FEEDS):
        raise bad("feed", feed)


def check_currency(call: Call) -> None:
    """Prices are in US dollars, and not converted."""
    currency = call.query.get("currency", "USD")
    if currency.upper() != "USD":
        raise bad("currency", currency, " (prices are in USD here)")


def check_location(call: Call) -> None:
    """Crypto data is the same wherever it is asked for."""
    loc = call.params["loc"]
    if "/" in loc:
        raise endpoint_not_found()
    if loc not in _LOCATIONS:
        raise bad("loc", loc)


def symbols(call: Call, *, crypto: bool) -> list[Asset]:
    """The assets asked for, each once, by symbol; unknown ones are left out.

    Raises:
        ApiError: 400 without any symbol.
    """
    names = call.names("symbols")
    if not names:
        raise ApiError(400, 40010000, "symbols is required")
    found = (call.exchange.assets.find(name) for name in names)
    assets = {one.symbol: one for one in found if one is not None and one.crypto is crypto}
    return [assets[symbol] for symbol in sorted(assets)]


def stock(call: Call) -> Asset:
    """The stock in the path.

    Raises:
        ApiError: 404 for one that is not listed.
    """
    asset = call.exchange.assets.find(call.params["symbol"])
    if asset is None or asset.crypto:
        raise not_found(f"asset not found for {call.params['symbol']}")
    return asset


@dataclass(frozen=True, slots=True)
class Token:
    """Where the next page begins: an asset and a place in its history."""

    symbol: str
    kind: str
    place: Place

    def text(self) -> str:
        """The token as clients carry it: opaque, and all the server needs to know."""
        plain = f"{self.symbol}|{self.kind}|{self.place.at_ns}|{self.place.rank}"
        return base64.urlsafe_b64encode(plain.encode()).decode()


def _token(call: Call, kind: str, assets: list[Asset]) -> Token | None:
    text = call.query.get("page_token")
    if text is None:
        return None
    try:
        plain = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad("page_token", text) from None
    found = _TOKEN.fullmatch(plain)
    if found is None or found[2] != kind or found[1] not in {one.symbol for one in assets}:
        raise bad("page_token", text)
    return Token(found[1], kind, Place(int(found[3]), int(found[4])))


def _midnight(day: date, *, crypto: bool) -> int:
    if crypto:
        return to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return new_york_midnight(day)


def _instant(call: Call, name: str, of_date: Callable[[date], int]) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        day = parse_date(text)
        return parse_asked(text) if day is None else of_date(day)
    except (ValueError, OverflowError):
        raise bad(name, text, " (RFC 3339 or YYYY-MM-DD)") from None


def _window(call: Call, *, crypto: bool) -> Window:
    """Both ends; a bare date as the end is all of that day."""
    now = call.now_ns
    start = _instant(call, "start", lambda day: _midnight(day, crypto=crypto))
    end = _instant(call, "end", lambda day: _midnight(day + timedelta(days=1), crypto=crypto) - 1)
    if start is not None and end is not None and end < start:
        raise bad("end", call.query["end"], " (end should not be before start)")
    if start is None:
        today = to_datetime(now) if crypto else new_york(now)
        start = _midnight(today.date(), crypto=crypto)
    sort = call.query.get("sort", "asc")
    if sort not in _SORTS:
        raise bad("sort", sort, " (asc or desc)")
    return Window(
        start_ns=start,
        end_ns=now if end is None else end,
        now_ns=now // TICK_NS * TICK_NS,
        descending=sort == "desc",
    )


def _limit(call: Call) -> int:
    text = call.query.get("limit")
    if text is None:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise bad("limit", text, f" (1 to {_LARGEST_LIMIT})")
    limit = int(text)
    if not 1 <= limit <= _LARGEST_LIMIT:
        raise bad("limit", text, f" (1 to {_LARGEST_LIMIT})")
    return limit


def timeframe(call: Call) -> Timeframe:
    """The length of bars, which has no default."""
    text = call.query.get("timeframe")
    if text is None:
        raise ApiError(400, 40010000, "timeframe is required")
    try:
        return parse_timeframe(text)
    except ValueError:
        raise bad("timeframe", text) from None


def _check_asof(call: Call) -> None:
    asof = call.query.get("asof", "-")
    if asof != "-":
        try:
            known = parse_date(asof) is not None
        except ValueError:
            known = False
        if not known:
            raise bad("asof", asof, " (YYYY-MM-DD or -)")


@dataclass(frozen=True, slots=True)
class Query:
    """A checked request for a page of history."""

    assets: list[Asset]
    window: Window
    limit: int
    token: Token | None


def query(call: Call, kind: str, assets: list[Asset], *, crypto: bool) -> Query:
    """Everything but the symbols and the timeframe.

    Raises:
        ApiError: 400 for the first parameter that cannot be used.
    """
    if not crypto:
        check_feed(call, latest=False)
        check_currency(call)
        _check_asof(call)
        adjustment = call.query.get("adjustment", "raw")
        if not _ADJUSTMENTS.issuperset(adjustment.split(",")):
            raise bad("adjustment", adjustment)
    return Query(assets, _window(call, crypto=crypto), _limit(call), _token(call, kind, assets))
