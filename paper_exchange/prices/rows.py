"""Market data as JSON rows; prices and sizes are numbers there."""

from functools import lru_cache

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND, to_datetime
from paper_exchange.prices.grid import Grid
from paper_exchange.prices.history import BarRow, TradeRow
from paper_exchange.prices.quotes import Quote
from paper_exchange.prices.series import Offer
from paper_exchange.prices.tape import DAY_NS

Row = dict[str, object]

#: The consolidated tape that trades of a listing exchange are told on.
_TAPES = {"NYSE": "A", "ARCA": "B", "NASDAQ": "C"}


@lru_cache(maxsize=1024)
def _day_text(day: int) -> str:
    return to_datetime(day * DAY_NS).strftime("%Y-%m-%dT")


def short_stamp(ns: int) -> str:
    """RFC 3339 in UTC without trailing zeros, as market data carries it."""
    second, fraction = divmod(ns, SECOND)
    day, second = divmod(second, 86_400)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    text = f"{_day_text(day)}{hour:02}:{minute:02}:{second:02}"
    return f"{text}.{fraction:09}".rstrip("0") + "Z" if fraction else text + "Z"


def bar_json(one: BarRow) -> Row:
    """A bar."""
    at_ns, opened, high, low, close, volume, trades, average = one
    return {
        "t": short_stamp(at_ns),
        "o": opened,
        "h": high,
        "l": low,
        "c": close,
        "v": volume,
        "n": trades,
        "vw": average,
    }


def trade_json(asset: Asset, one: TradeRow) -> Row:
    """A trade."""
    at_ns, price, size, number = one
    row: Row = {"t": short_stamp(at_ns), "p": price, "s": size, "i": number}
    if asset.crypto:
        row["tks"] = "B" if number % 2 else "S"
    else:
        row |= {"x": "V", "c": ["@"], "z": _TAPES.get(asset.exchange, "C")}
    return row


def last_trade(quote: Quote) -> TradeRow:
    """The trade that a quote stands after."""
    return TradeRow(quote.traded_ns, float(quote.last), quote.last_size, quote.trade_id)


def offer_json(asset: Asset, grid: Grid, one: Offer) -> Row:
    """A quote out of history."""
    return _top(
        asset,
        short_stamp(one.at_ns),
        (float(one.bid), grid.size(one.bid_units)),
        (float(one.ask), grid.size(one.ask_units)),
    )


def quote_json(asset: Asset, one: Quote) -> Row:
    """The quote that stands."""
    return _top(
        asset,
        short_stamp(one.at_ns),
        (float(one.bid), one.bid_size),
        (float(one.ask), one.ask_size),
    )


def _top(asset: Asset, at: str, bid: tuple[float, float], ask: tuple[float, float]) -> Row:
    row: Row = {"t": at, "bp": bid[0], "bs": bid[1], "ap": ask[0], "as": ask[1]}
    if not asset.crypto:
        row |= {"bx": "V", "ax": "V", "c": ["R"], "z": _TAPES.get(asset.exchange, "C")}
    return row


#: Price levels of an order book, on each side.
LEVELS = 10
#: The decimals that a quantity may have (documented).
_SIZE_DECIMALS = 9


def orderbook_json(asset: Asset, one: Quote) -> Row:
    """The whole book: the top, and below it levels one spread apart that grow in size."""
    step = max(one.ask - one.bid, asset.increment(one.bid))
    levels = range(LEVELS)
    return {
        "t": short_stamp(one.at_ns),
        "b": [
            {"p": float(one.bid - step * n), "s": _times(one.bid_size, n + 1)}
            for n in levels
            if one.bid > step * n
        ],
        "a": [{"p": float(one.ask + step * n), "s": _times(one.ask_size, n + 1)} for n in levels],
    }


def _times(size: float, n: int) -> float:
    """A multiple of a size, without the digits that floats add: 3 times 0.05 is 0.15."""
    return round(size * n, _SIZE_DECIMALS)
