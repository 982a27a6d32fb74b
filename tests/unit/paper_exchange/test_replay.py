"""Prices out of files: what is read, what is refused, and how it is told again."""

import builtins
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from paper_exchange.assets import AssetBook
from paper_exchange.clock import SECOND, new_york, new_york_midnight, to_datetime, to_ns
from paper_exchange.exchange import Exchange
from paper_exchange.prices.market import Market
from paper_exchange.prices.series import Series
from paper_exchange.prices.tape import DAY_NS, MINUTE_NS, summed
from paper_exchange.replay.bar_tape import BarColumns, BarTape, turning_points
from paper_exchange.replay.errors import ReplayError
from paper_exchange.replay.load import When, load
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.test_history import BarRow, bars, figures, history, summary

#: A Friday, 12:00:37 in New York.
NOW = to_ns(datetime(2026, 11, 20, 17, 0, 37, tzinfo=UTC))
FIRST = to_ns(datetime(2024, 1, 2, 14, 30, tzinfo=UTC))
TIME = "2024-01-02T14:30:00Z"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a CSV file from lines."""

    def build(*lines: str, name: str = "AAPL.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return build


def replay(*paths: Path, recorded: bool = True, session: str = "always") -> Market:
    """A market that replays files."""
    assets = AssetBook()
    replayed = load([str(path) for path in paths], assets, When(NOW, recorded, session))
    return Market(assets, seed=0, volatility=0.4, origin_ns=NOW, session=session, replayed=replayed)


def all_bars(series: Series, text: str, now: int = NOW) -> list[BarRow]:
    return bars(series, text, series.begins_ns, now, now=now)


ALPACA = "symbol,timestamp,open,high,low,close,volume,trade_count,vwap"
ALPACA_ROW = "AAPL,2024-01-02 14:30:00+00:00,187.15,188.44,183.88,185.64,82488,1009,185.9"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (ALPACA, ALPACA_ROW),
        ("t,o,h,l,c,v,n,vw", f"{TIME},187.15,188.44,183.88,185.64,82488,1009,185.9"),
        (
            "Datetime,Open,High,Low,Close,Adj Close,Volume,n",
            "2024-01-02 09:30:00-05:00,187.15,188.44,183.88,185.64,185.1,82488,1009",
        ),
        ("TIME,LOW,HIGH,CLOSE,OPEN,VOLUME,N", "1704205800,183.88,188.44,185.64,187.15,82488,1009"),
        ("time,o,high,l,close,volume,n", "1704205800000,187.15,188.44,183.88,185.64,82488,1009"),
        ("t,o,h,l,c,v,n", "1704205800000000,187.15,188.44,183.88,185.64,82488,1009"),
        ("t,o,h,l,c,v,n", "1704205800000000000,187.15,188.44,183.88,185.64,82488,1009"),
        ("date, open ,h,l,c,v,n", "2024-01-02T14:30:00,187.15,188.44,183.88,185.64,82488,1009"),
    ],
)  # fmt: skip
def test_every_style_of_columns(write: Write, header: str, row: str) -> None:
    """Alpaca's long and short names, and the usual ones with any kind of time."""
    series = replay(write(header, row)).series("AAPL")
    assert [(row.at_ns, figures(row)) for row in all_bars(series, "1Min")] == [
        (FIRST, (187.15, 188.44, 183.88, 185.64, 82488, 1009))
    ]
    assert all_bars(series, "1Min")[0].average == pytest.approx(185.9, abs=0.1)


@pytest.mark.parametrize(
    ("name", "symbol", "crypto"),
    [
        ("AAPL.csv", "AAPL", False),
        ("aapl_1min.csv", "AAPL", False),
        ("BRK-B.csv", "BRK.B", False),
        ("BTC-USD.csv", "BTC/USD", True),
        ("ZZTOP 2024.csv", "ZZTOP", False),
        ("PEPE-USDT_1h.csv", "PEPE/USDT", True),
    ],
)
def test_symbols_from_file_names(write: Write, name: str, symbol: str, crypto: bool) -> None:
    """Without a column of symbols; those that nobody knows become assets."""
    path = write("t,o,h,l,c,v", f"{TIME},1.5,2,1,1.75,1000", name=name)
    exchange = Exchange(Settings(replay=(str(path),)), lambda _: None)
    asset = exchange.assets.find(symbol)
    assert asset is not None
    assert (asset.symbol, asset.crypto, asset.tradable) == (symbol, crypto, True)
    assert exchange.market.quote(symbol, exchange.clock.now_ns()).last > 0


HEAD = "symbol,t,o,h,l,c,v"
GOOD = f"AAPL,{TIME},10,12,9,11,500"
NEXT = "AAPL,2024-01-02T14:31:00Z"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "the header names neither bars"),
        (["symbol,t,x", "A,1,2"], "the header names neither bars"),
        (["o,h,l,c", "1,2,1,2"], "the header names no column of times"),
        (["t,time,o,h,l,c", "1,1,1,2,1,2"], "the columns t and time both mean time"),
        ([HEAD], "the file has no rows"),
        ([HEAD, GOOD, f"{NEXT},10,12,9"], "row 3: 5 cells instead of 7"),
        ([HEAD, GOOD, "AAPL,tomorrow,10,12,9,11,5"], "row 3, column t: 'tomorrow' is not a time"),
        ([HEAD, "AAPL,tomorrow,10,12,9,11,5"], "row 2, column t: 'tomorrow' is not a time"),
        ([HEAD, "AAPL,2024-02-30,10,12,9,11,5"], "row 2, column t: '2024-02-30' is not a time"),
        ([HEAD, GOOD, "AAPL,2024-01-02,10,12,9,11,5", "AAPL,5,1,1,1,1,1"], "row 4, column t: '5'"),
        ([HEAD, "AAPL,99999999999999999999999,10,12,9,11,5"], "row 2, column t:"),
        ([HEAD, GOOD, f"{NEXT},10,x,9,11,5"], "row 3, column h: 'x' is not a number"),
        ([HEAD, GOOD, f"{NEXT},10,,9,11,5"], "row 3, column h: '' is not a number"),
        ([HEAD, f"{NEXT},nan,12,9,11,5"], "row 2, column o: 'nan' is not a number"),
        ([HEAD, f"{NEXT},10,inf,9,11,5"], "row 2, column h: 'inf' is not a number"),
        ([HEAD, f"{NEXT},0,12,0,11,5"], "row 2, column o: '0' is not a number above 0"),
        ([HEAD, f"{NEXT},10,1e12,9,11,5"], "row 2, column h: '1e12' is not below 1,000,000,000,"),
        ([HEAD, f"{NEXT},10,12,9,11,-5"], "column v: '-5' is not a number of at"),
        ([HEAD, f"{NEXT},10,10.5,9,11,5"], "row 2, column high or low: open 10.0"),
        ([HEAD, f"{NEXT},10,12,10.5,11,5"], "cannot be one bar"),
        ([HEAD, "A$PL,2024-01-02,10,12,9,11,5"], "row 2, column symbol: 'A$PL' is not"),
        ([HEAD, GOOD, "AAPL,2024-03-02T14:30:00Z,10,12,9,11,5"], "bars of 60 days cannot be"),
        (["t,bp,bs,ap,as", f"{TIME},10,1,9.99,1"], "row 2, column bid_price: the bid 10.0 is"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(write: Write, lines: list[str], said: str) -> None:
    """One sentence with file, row and column."""
    path = write(*lines)
    with pytest.raises(ReplayError) as caught:
        replay(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_bad_paths_are_refused(tmp_path: Path, write: Write) -> None:
    """Missing files, empty folders, other kinds, names that are no symbols, two sources of one."""
    write("t,o,h,l,c", f"{TIME},1,1,1,1", name="what is (this).csv")
    write("t,p,s", f"{TIME},1,1", name="KO_trades.csv")
    write("symbol,t,o,h,l,c", f"KO,{TIME},1,1,1,1", name="ko.csv")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_bytes(b"t,p\n\xff\xfe,1\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    for names, said in {
        ("none.csv",): "cannot be read as CSV: No such file",
        ("empty",): "the folder has no .csv or .parquet files",
        ("a.txt",): "only .csv and .parquet files can be replayed",
        ("((.csv",): "cannot be read as CSV",
        ("KO_trades.csv", "ko.csv"): "can be replayed from bars or from ticks",
        ("bad.csv",): "it is not UTF-8 text",
        ("bad.parquet",): "cannot be read as Parquet",
        ("none.parquet",): "cannot be read as Parquet",
    }.items():
        with pytest.raises(ReplayError, match="^" + str(tmp_path)) as caught:
            replay(*(tmp_path / name for name in names))
        assert said in str(caught.value)
    (tmp_path / "((.csv").write_text(f"t,p\n{TIME},1\n")
    with pytest.raises(ReplayError, match="its name is not one"):
        replay(tmp_path / "((.csv")


def test_unsorted_and_repeated_rows(write: Write) -> None:
    """Rows are sorted by time; of bars with the same time the last one counts."""
    series = replay(
        write(
            HEAD,
            "AAPL,2024-01-02T14:32:00Z,3,3,3,3,500",
            "AAPL,2024-01-02T14:30:00Z,9,9,9,9,500",
            "",
            "AAPL,2024-01-02T14:31:00Z,2,2,2,2,500",
            "AAPL,2024-01-02T14:30:00Z,1,1,1,1,500",
        )
    ).series("AAPL")
    assert [row.open for row in all_bars(series, "1Min")] == [1, 2, 3]


def test_ticks_are_told_as_they_are(write: Write) -> None:
    """Trades and quotes of one symbol, to the nanosecond, several at one time in their order."""
    trades = write(
        "symbol,timestamp,exchange,price,size,conditions",
        "AAPL,2024-01-02T14:30:00.000000001Z,V,10.01,100,@",
        "AAPL,2024-01-02T14:30:00.000000001Z,V,10.03,200,@",
        "AAPL,2024-01-02T14:30:59.999999999Z,V,9.99,1,@",
        name="trades.csv",
    )
    quotes = write(
        "symbol,t,bx,bp,bs,ax,ap,as,c",
        "AAPL,2024-01-02T14:30:00.1Z,V,10.00,100,V,10.02,300,R",
        "AAPL,2024-01-02T14:30:30Z,V,9.98,400,V,10,500,R",
        name="quotes.csv",
    )
    series = replay(trades, quotes).series("AAPL")
    window = history.Window(0, NOW, NOW)
    told = [trade for trade, _ in history.trades(series, window)]
    assert [(one.at_ns - FIRST, one.price, one.size) for one in told] == [
        (1, 10.01, 100),
        (1, 10.03, 200),
        (60 * SECOND - 1, 9.99, 1),
    ]
    assert [figures(row) for row in all_bars(series, "1Min")] == [
        (10.01, 10.03, 9.99, 9.99, 301, 3)
    ]
    offers = [offer for offer, _ in history.quotes(series, window)]
    assert [(one.at_ns - FIRST, float(one.bid), one.ask_units) for one in offers] == [
        (SECOND // 10, 10.0, 300),
        (30 * SECOND, 9.98, 500),
    ]
    quote = series.quote(FIRST + 20 * SECOND)
    assert (str(quote.bid), str(quote.ask), quote.ask_size) == ("10.00", "10.02", 300)
    assert (str(quote.last), quote.traded_ns) == ("10.03", FIRST + 1)
    whole = history.Window(0, NOW, NOW, descending=True)
    assert [offer for offer, _ in history.quotes(series, whole)] == offers[::-1]


def test_quotes_alone_trade_in_their_middle(write: Write) -> None:
    """So that there are bars."""
    path = write("t,bp,bs,ap,as", f"{TIME},10,300,10.02,100", "2024-01-02T14:30:07Z,11,5,11.02,9")
    series = replay(path).series("AAPL")
    assert [figures(row) for row in all_bars(series, "1Min")] == [
        (10.01, 11.01, 10.01, 11.01, 105, 2)
    ]


def test_a_recorded_book_can_be_overruled_by_hand(write: Write) -> None:
    """From then on the spread is a step; let go, recorded quotes are scaled like trades."""
    rows = [
        f"2024-01-02T14:30:{n:02}Z,{10 + n / 100:.2f},100,{10.02 + n / 100:.2f},100"
        for n in range(60)
    ]
    market = replay(write("t,bp,bs,ap,as", *rows))
    series = market.series("AAPL")
    at = FIRST + 30 * SECOND
    market.set_price("AAPL", series.grid.decimal(20), at)
    quote = market.quote("AAPL", at + 3 * SECOND)
    assert (float(quote.bid), float(quote.last), float(quote.ask)) == (19.99, 20, 20.01)
    market.set_price("AAPL", None, at + 10 * SECOND)
    later = market.quote("AAPL", at + 20 * SECOND)
    assert 19.5 < later.bid < later.ask < 20.5
    window = history.Window(0, NOW, at + 20 * SECOND)
    offers = [offer for offer, _ in history.quotes(series, window)]
    assert (offers[-1].at_ns, offers[-1].bid) == (later.at_ns, later.bid)
    assert float(offers[0].bid) == 10.0
    assert [one.at_ns for one in offers] == sorted(one.at_ns for one in offers)


def minute_rows(count: int) -> list[str]:
    return [
        f"AAPL,{to_datetime(FIRST + n * MINUTE_NS).isoformat()},"
        f"{10 + n},{12 + n},{9 + n},{11 + n},{1000 + n}"
        for n in range(count)
    ]


def test_times_are_moved_to_the_start(write: Write) -> None:
    """The first row falls into the minute in which the exchange starts; none is known before."""
    market = replay(write(HEAD, *minute_rows(5)), recorded=False)
    series = market.series("AAPL")
    start = NOW // MINUTE_NS * MINUTE_NS
    told = all_bars(series, "1Min", now=start + 3 * MINUTE_NS)
    assert [row.at_ns for row in told] == [start, start + MINUTE_NS, start + 2 * MINUTE_NS]
    assert [row.open for row in told] == [10, 11, 12]
    assert market.price_at("AAPL", start - DAY_NS) == 10
    assert market.quote("AAPL", start - SECOND).last == 10
    # After the last row its price stands, and so does the quote.
    late = market.quote("AAPL", start + DAY_NS)
    assert late.last == 15
    assert market.quote("AAPL", start + 2 * DAY_NS) is late
    # Quotes follow the walk of the bar: down first, for it rises.
    lasts = [market.quote("AAPL", start + n * SECOND).last for n in range(60)]
    assert lasts.index(min(lasts)) < lasts.index(max(lasts))


def test_daily_bars_fill_the_core_session(write: Write) -> None:
    """With sessions from bell to bell, told as the same daily bars again."""
    lines = ["Date,Open,High,Low,Close,Volume", "2024-01-02,10,12,9,11,234000",
             "2024-01-03,11,15,11,14,39000", "2024-01-05,14,14,13,13,1000"]  # fmt: skip
    path = write(*lines)
    series = replay(path, session="nyse").series("AAPL")
    days = all_bars(series, "1Day")
    assert [new_york(row.at_ns).date() for row in days] == [date(2024, 1, n) for n in (2, 3, 5)]
    assert [figures(row)[:5] for row in days] == [
        (10, 12, 9, 11, 234000), (11, 15, 11, 14, 39000), (14, 14, 13, 13, 1000),
    ]  # fmt: skip
    minutes = all_bars(series, "1Min")
    opening = new_york_midnight(date(2024, 1, 2)) + 34_200 * SECOND
    assert (minutes[0].at_ns, minutes[0].open) == (opening, 10)
    assert summary([row for row in minutes if row.at_ns < opening + DAY_NS // 2]) == figures(
        days[0]
    )
    moved = replay(path, session="nyse", recorded=False).series("AAPL")
    later = all_bars(moved, "1Day", now=NOW + 10 * DAY_NS)
    # Today's session, Monday's and Tuesday's; round the clock the gap of a day is kept.
    assert [new_york(row.at_ns).date().day for row in later] == [20, 23, 24]
    around = replay(path, recorded=False).series("AAPL")
    later = all_bars(around, "1Day", now=NOW + 10 * DAY_NS)
    assert [new_york(row.at_ns).date().day for row in later] == [20, 21, 23]
    coins = replay(write(*lines, name="BTC-USD.csv")).series("BTC/USD")
    assert [row.at_ns for row in all_bars(coins, "1Day")] == [
        to_ns(datetime(2024, 1, n, tzinfo=UTC)) for n in (2, 3, 5)
    ]


def test_daily_bars_with_times_and_before_the_table(write: Write) -> None:
    """New York's midnight is that day, as is UTC's; days without a session last from 09:30."""
    for stamps in (("2012-06-04T04:00:00Z", "2012-06-05T04:00:00Z"), ("20120604", "20120605")):
        path = write("t,o,h,l,c,v", *(f"{one},10,12,9,11,1000" for one in stamps))
        minutes = all_bars(replay(path, session="nyse").series("AAPL"), "1Min")
        assert to_datetime(minutes[0].at_ns) == datetime(2012, 6, 4, 13, 30, tzinfo=UTC)


def test_missing_volumes_are_made_up(write: Write) -> None:
    """They follow the shape of the day; a volume of 0 becomes a unit a trade."""
    header = "t,o,h,l,c"
    rows = [f"{to_datetime(FIRST + n * MINUTE_NS).isoformat()},10,12,9,11" for n in range(390)]
    series = replay(write(header, *rows), session="nyse").series("AAPL")
    told = all_bars(series, "1Min")
    assert told[0].volume > 2 * told[195].volume > 0
    none = replay(write("t,o,h,l,c,v", f"{TIME},10,12,9,11,0")).series("AAPL")
    assert all_bars(none, "1Min")[0].volume == 4


def test_parts_of_coins(write: Write) -> None:
    """Volumes keep nine decimals, or none where they are astronomical."""
    few = write("t,o,h,l,c,v,n", f"{TIME},10,12,9,11,0.123456789,50", name="BTC-USD.csv")
    many = write("t,o,h,l,c,v", f"{TIME},1,1.2,0.9,1.1,123456789012345", name="SHIB-USD.csv")
    market = replay(few, many)
    assert all_bars(market.series("BTC/USD"), "1Min")[0].volume == 0.123456789
    assert all_bars(market.series("SHIB/USD"), "1Min")[0].volume == 123456789012345


PRICE = st.sampled_from([9.5, 10.0, 10.25, 10.5, 11.0])
ROW = st.tuples(PRICE, PRICE, PRICE, PRICE, st.integers(1, 400), st.integers(0, 5000))


@given(
    st.lists(ROW, min_size=1, max_size=6),
    st.sampled_from([1, 7, 60, 90, 300, 3600]),
    st.integers(0, 59),
)
@settings(max_examples=60, deadline=None)
def test_a_walked_bar_is_its_row(rows: list[Any], seconds: int, offset: int) -> None:
    """Trades, minutes and whole stretches of any recorded bars agree, and are the rows."""
    length = seconds * SECOND
    times = [FIRST + offset * SECOND + n * length for n in range(len(rows))]
    columns: list[Any] = [[], [], [], [], [], []]
    for a, b, c, d, count, more in rows:
        needed = len(turning_points(a, max(a, b, c, d), min(a, b, c, d), d))
        made = (
            a,
            max(a, b, c, d),
            min(a, b, c, d),
            d,
            max(count, needed) + more,
            max(count, needed),
        )
        for column, value in zip(columns, made, strict=True):
            column.append(value)
    tape = BarTape(BarColumns(times, None, length, *columns, None))  # type: ignore[arg-type]  # lists do as well
    first, last = times[0] // MINUTE_NS, (times[-1] + length) // MINUTE_NS + 1
    prints = [tape.prints(minute) for minute in range(first, last)]
    whole = tape.span(first, last)
    assert whole is not None
    assert whole[:6] == (
        columns[0][0], max(columns[1]), min(columns[2]), columns[3][-1],
        sum(columns[4]), sum(columns[5]),
    )  # fmt: skip
    parts = [tape.span(minute, minute + 1) for minute in range(first, last)]
    for minute, one, part in zip(range(first, last), prints, parts, strict=True):
        assert (part is None) == (not one.times)
        assert part is None or part[:6] == summed(one)[:6]  # type: ignore[index]  # there are trades
        assert one.times == sorted(one.times)
        assert tape.latest(minute) == next(
            (n for n in range(minute, first - 1, -1) if prints[n - first].times), None
        )
        assert tape.following(minute) == next(
            (n for n in range(minute, last) if prints[n - first].times), None
        )
    assert sum(sum(one.sizes) for one in prints) == sum(columns[4])
    assert min(size for one in prints for size in one.sizes) > 0


def test_parquet_is_the_same_as_csv(tmp_path: Path) -> None:
    """Timestamps of any unit, dates, and symbols in a column; a whole folder at once."""
    begin = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    times = [begin, begin + timedelta(minutes=1), begin]
    table = {
        "symbol": ["KO", "KO", "F"],
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        "open": [10.0, 11, 5], "high": [12.0, 12, 6], "low": [9.0, 10, 5], "close": [11.0, 12, 6],
        "volume": [500, 600, 70],
    }  # fmt: skip
    parquet.write_table(pa.table(table), tmp_path / "bars.parquet")
    daily = {
        "Date": [date(2024, 1, 2)],
        "Open": [1.5],
        "High": [2.0],
        "Low": [1.0],
        "Close": [1.75],
    }
    parquet.write_table(pa.table(daily), tmp_path / "SNDL.parquet")
    market = replay(tmp_path)
    assert [figures(row)[:5] for row in all_bars(market.series("KO"), "1Min")] == [
        (10, 12, 9, 11, 500), (11, 12, 10, 12, 600),
    ]  # fmt: skip
    assert figures(all_bars(market.series("SNDL"), "1Day")[0])[:4] == (1.5, 2, 1, 1.75)
    holes = {**table, "open": [10.0, None, 5]}
    parquet.write_table(pa.table(holes), tmp_path / "bars.parquet")
    with pytest.raises(ReplayError, match=r"row 2, column open: None is not a number above 0$"):
        replay(tmp_path)


def test_parquet_without_pyarrow(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in one sentence that tells what to install; CSV does not need it."""
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ReplayError, match=r"need pyarrow: pip install 'signalpaca\[parquet\]'$"):
        replay(Path("bars.parquet"))
    assert replay(write(HEAD, GOOD)).price_at("AAPL", NOW) == 11


def test_the_example_can_be_replayed() -> None:
    """As the how-to shows it."""
    example = Path(__file__).resolve().parents[3] / "examples/replay/dip.csv"
    told = all_bars(replay(example).series("AAPL"), "1Min")
    assert (len(told), told[0].open, told[0].volume) == (30, 229.5, 90000)
    assert min(row.low for row in told) < told[0].open < told[-1].close
