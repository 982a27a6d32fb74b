"""From paths to what the market replays."""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from operator import add
from pathlib import Path
from typing import NamedTuple

from paper_exchange.assets import Asset, AssetBook
from paper_exchange.prices.market import Replayed
from paper_exchange.prices.trading_days import TradingDays
from paper_exchange.replay import schedule
from paper_exchange.replay.bar_tape import BarColumns, BarTape
from paper_exchange.replay.errors import ReplayError
from paper_exchange.replay.ordering import put_in_order
from paper_exchange.replay.quantities import BarQuantities, recorded_unit, units_or_default
from paper_exchange.replay.tables import Table, Tables, is_symbol, read_file
from paper_exchange.replay.tick_tape import RecordedBook, TradeTape

_SUFFIXES = frozenset({".csv", ".parquet"})
_PRICES = ("open", "high", "low", "close")
#: What pairs of coins end in, where a file name cannot hold their slash: ``BTC-USD.csv``.
_QUOTED_IN = frozenset({"USD", "USDT", "USDC", "BTC"})


class When(NamedTuple):
    """The exchange's start, whether rows keep their times, and which sessions are kept."""

    start_ns: int
    recorded: bool
    session: str


def load(paths: Sequence[str], assets: AssetBook, when: When) -> dict[str, Replayed]:
    """Read files and folders; symbols that are not listed yet are added to the assets.

    Raises:
        ReplayError: for the first file that cannot be replayed.
    """
    tables: Tables = {}
    for path in _files(paths):
        read_file(path, _symbol_of(path, assets), tables)
    by_asset: dict[str, dict[str, Table]] = {}
    for (symbol, kind), table in tables.items():
        put_in_order(table)
        asset = assets.find(symbol) or assets.add_replayed(symbol, _first_price(table))
        of_kind = by_asset.setdefault(asset.symbol, {})
        if kind in of_kind:
            raise ReplayError(f"{table.source}: {symbol} is also in {of_kind[kind].source}")
        of_kind[kind] = table
    return _Loader(assets, when).replayed(by_asset)


def _files(paths: Iterable[str]) -> list[Path]:
    files: list[Path] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES)
            if not inside:
                raise ReplayError(f"{path}: the folder has no .csv or .parquet files")
            files += inside
        elif path.suffix.lower() not in _SUFFIXES:
            raise ReplayError(f"{path}: only .csv and .parquet files can be replayed")
        else:
            files.append(path)
    return files


def _symbol_of(path: Path, assets: AssetBook) -> str | None:
    """What a file's name says: ``AAPL.csv``, ``aapl_1min.csv``, ``BRK-B.csv``, ``BTC-USD.csv``."""
    stem = path.stem.upper()
    for text in (stem, re.split(r"[_ ]", stem)[0]):
        base, dash, last = text.rpartition("-")
        pair = f"{base}/{last}"
        if dash and (last in _QUOTED_IN or assets.find(pair)):
            return pair
        if is_symbol(text.replace("-", ".")):
            return text.replace("-", ".")
    return None


def _first_price(table: Table) -> Decimal:
    for meaning in ("open", "price", "bid_price"):
        if meaning in table.columns:
            return Decimal(repr(table.columns[meaning][0]))
    raise KeyError(table.kind)


class _Loader:
    """Places tables in time and makes tapes of them."""

    def __init__(self, assets: AssetBook, when: When) -> None:
        self._assets = assets
        self._when = when
        nyse = when.session == "nyse"
        self._days = {crypto: TradingDays(crypto=crypto, nyse=nyse) for crypto in (False, True)}
        self._lengths: dict[str, int] = {}

    def replayed(self, by_asset: Mapping[str, Mapping[str, Table]]) -> dict[str, Replayed]:
        found = {}
        assets = {symbol: self._asset(symbol) for symbol in by_asset}
        self._measure(by_asset)
        self._place(by_asset, assets)
        for symbol, tables in by_asset.items():
            if "bars" in tables:
                if len(tables) > 1:
                    other = next(one for kind, one in tables.items() if kind != "bars")
                    raise ReplayError(
                        f"{other.source}: {symbol} has bars in {tables['bars'].source}, "
                        f"and can be replayed from bars or from ticks"
                    )
                found[symbol] = self._from_bars(assets[symbol], tables["bars"])
            else:
                found[symbol] = _from_ticks(
                    assets[symbol], tables.get("trades"), tables.get("quotes")
                )
        return found

    def _asset(self, symbol: str) -> Asset:
        asset = self._assets.find(symbol)
        if asset is None:
            raise KeyError(symbol)
        return asset

    def _measure(self, by_asset: Mapping[str, Mapping[str, Table]]) -> None:
        bars = {symbol: one["bars"] for symbol, one in by_asset.items() if "bars" in one}
        gaps = (schedule.usual_gap(table.times) for table in bars.values())
        others = min((gap for gap in gaps if gap is not None), default=None)
        self._lengths = {
            symbol: schedule.bar_length(table, others) for symbol, table in bars.items()
        }

    def _daily(self, symbol: str, table: Table) -> bool:
        return table.kind == "bars" and schedule.is_daily(self._lengths[symbol])

    def _place(
        self, by_asset: Mapping[str, Mapping[str, Table]], assets: Mapping[str, Asset]
    ) -> None:
        """Move all times to where they are replayed; a daily bar's becomes its day's ordinal."""
        intraday: list[Table] = []
        daily: dict[bool, list[Table]] = {False: [], True: []}
        for symbol, tables in by_asset.items():
            crypto = assets[symbol].crypto
            for table in tables.values():
                if self._daily(symbol, table):
                    table.times = array("q", schedule.days_of(table.times, self._days[crypto]))
                    put_in_order(table)  # two rows of one day count as one
                    daily[crypto].append(table)
                else:
                    intraday.append(table)
        if self._when.recorded:
            return
        first_ns = min((table.times[0] for table in intraday), default=0)
        shift = schedule.intraday_shift(first_ns, self._when.start_ns)
        for table in intraday:
            _move(table, lambda at_ns: add(at_ns, shift))
        moved = schedule.DayShift(
            _all_times(daily[False]), _all_times(daily[True]), self._when.start_ns
        )
        for table in daily[True]:
            _move(table, moved.days())
        for table in daily[False]:
            nyse = self._when.session == "nyse"
            _move(table, moved.sessions(self._days[False]) if nyse else moved.days())

    def _from_bars(self, asset: Asset, table: Table) -> Replayed:
        length, days = self._lengths[asset.symbol], self._days[asset.crypto]
        stops: array[int] | None = None
        if schedule.is_daily(length):
            bounds = [schedule.day_bounds(day, days) for day in table.times]
            table.times = array("q", (start for start, _ in bounds))
            stops = array("q", (stop for _, stop in bounds))
        columns = table.columns
        volume = columns.pop("volume", None)
        unit = recorded_unit(asset, [volume])
        quantities = BarQuantities(asset, days, length)
        prices = [columns[one] for one in _PRICES]
        if volume is None:
            units = quantities.made_up(table.times)
        else:
            units = units_or_default(volume, len(volume), unit)
            del volume
        counts = quantities.counts(prices, columns.pop("trade_count", None), units)
        for place, count in enumerate(counts):
            units[place] = max(units[place], count)
        averages = columns.get("vwap")
        made = BarColumns(
            table.times, stops, length, prices[0], prices[1], prices[2], prices[3], units, counts,
            averages,
        )  # fmt: skip
        return Replayed(BarTape(made), unit)


def _all_times(tables: Iterable[Table]) -> list[int]:
    return [at for table in tables for at in table.times]


def _move(table: Table, to: Callable[[int], int | None]) -> None:
    """Give rows new times, in place; rows that have none are cut off."""
    times = table.times
    for place, at in enumerate(times):
        moved = to(at)
        if moved is None:
            del times[place:]
            for column in table.columns.values():
                del column[place:]
            return
        times[place] = moved


def _from_ticks(asset: Asset, trades: Table | None, quotes: Table | None) -> Replayed:
    """Trades as they are; without any, each quote counts as a trade in its middle."""
    sizes = [
        table.columns.get(meaning)
        for table, meaning in ((trades, "size"), (quotes, "bid_size"), (quotes, "ask_size"))
        if table is not None
    ]
    unit = recorded_unit(asset, sizes)
    book = None if quotes is None else _book(quotes, unit)
    if trades is not None:
        units = units_or_default(trades.columns.get("size"), len(trades.times), unit)
        return Replayed(TradeTape(trades.times, trades.columns["price"], units), unit, book)
    if quotes is None or book is None:
        raise ValueError("neither trades nor quotes")
    bids, asks = quotes.columns["bid_price"], quotes.columns["ask_price"]
    middles = array("d", ((bid + ask) / 2 for bid, ask in zip(bids, asks, strict=True)))
    least = array("q", (min(book.row(n)[3:]) for n in range(len(book))))
    return Replayed(TradeTape(quotes.times, middles, least), unit, book)


def _book(quotes: Table, unit: Decimal) -> RecordedBook:
    count, columns = len(quotes.times), quotes.columns
    return RecordedBook(
        quotes.times,
        (columns["bid_price"], units_or_default(columns.get("bid_size"), count, unit)),
        (columns["ask_price"], units_or_default(columns.get("ask_size"), count, unit)),
    )
