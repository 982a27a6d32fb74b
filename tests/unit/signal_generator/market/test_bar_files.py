"""Tables of bars: what their columns may be called, and time order over all of them."""

import csv
import logging
import random
import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from signal_generator.bars import Bar
from signal_generator.market import bar_files
from signal_generator.market.bar_files import BadRows, merged, open_tables

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
LOG = logging.getLogger("test")
HEADER = "timestamp,symbol,open,high,low,close,volume,trade_count,vwap"


def read(*paths: Path) -> list[Bar]:
    return list(merged(open_tables(paths), BadRows(LOG)))


def line(symbol: str, minute: int, close: float = 10.0) -> str:
    at = START + timedelta(minutes=minute)
    return f"{at.isoformat(' ')},{symbol},10,11,9,{close},100,3,10.1"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_as_pandas_writes_alpacas_bars(tmp_path: Path) -> None:
    """Symbol by symbol, as ``BarSet.df.to_csv`` has them, and out they come minute by minute."""
    lines = [line(symbol, minute) for symbol in ("AAPL", "NVDA") for minute in range(3)]
    bars = read(write(tmp_path / "bars.csv", HEADER, *lines))
    assert [(bar.symbol, bar.timestamp) for bar in bars] == [
        (symbol, START + timedelta(minutes=minute))
        for minute in range(3)
        for symbol in ("AAPL", "NVDA")
    ]
    assert bars[0] == Bar("AAPL", START, 10, 11, 9, 10, 100, 3, 10.1)


@pytest.mark.parametrize(
    "written",
    [
        *("2026-03-02T14:30:00Z", "2026-03-02 09:30:00-05:00", "2026-03-02 14:30", "1772461800"),
        *("1772461800000", "1772461800000000", "1772461800000000000"),
        '"2026-03-02 14:30:00+00:00"',
    ],
)
def test_times_of_every_usual_kind(tmp_path: Path, written: str) -> None:
    """Without a zone it is UTC; numbers are told apart by their size."""
    bars = read(write(tmp_path / "NVDA.csv", "t,o,h,l,c", f"{written},1,2,0.5,1.5"))
    assert bars == [Bar("NVDA", START, 1, 2, 0.5, 1.5, 0)]


@pytest.mark.parametrize("written", ["2026-03-02", "20260302"])
def test_a_day_is_new_yorks_for_shares(tmp_path: Path, written: str) -> None:
    """As the timestamps of Alpaca's daily bars are."""
    bars = read(
        write(tmp_path / "nvda_daily.csv", "Date,Open,High,Low,Close", f"{written},1,2,1,2")
    )
    assert [(bar.symbol, bar.timestamp) for bar in bars] == [
        ("NVDA", datetime(2026, 3, 2, 5, tzinfo=UTC))
    ]


def test_a_day_is_utcs_for_crypto(tmp_path: Path) -> None:
    """Whose days begin at midnight there."""
    file = write(tmp_path / "x.csv", "date,ticker,o,h,l,c", "2026-03-02,btc/usd,1,2,1,2")
    assert [(bar.symbol, bar.timestamp) for bar in read(file)] == [
        ("BTC/USD", datetime(2026, 3, 2, tzinfo=UTC))
    ]


def test_bad_rows_are_named_by_line_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with them, too; the others are read."""
    bad = BadRows(LOG)
    path = write(
        tmp_path / "bars.csv",
        HEADER,
        line("NVDA", 0),
        line("NVDA", 1).replace(",11,", ",high,"),
        "yesterday,NVDA,1,1,1,1,1,1,1",
        "",
        f"{START.isoformat()},NVDA,1",
        line("NVDA", 2),
    )
    bars = list(merged(open_tables([path]), bad))
    assert [bar.timestamp for bar in bars] == [START, START + timedelta(minutes=2)]
    assert bad.count == 3
    told = "\n".join(caplog.messages)
    assert f"{path}, line 3, is left out: high: 'high' is not a number from 0 up" in told
    assert f"{path}, line 4, is left out: time: 'yesterday' is not a time" in told
    assert f"{path}, line 6, is left out: high: the row ends before it" in told


def test_many_files_in_any_order_come_in_time_order(tmp_path: Path) -> None:
    """In order of time, of symbols, or pieced together: nothing is lost, nothing twice."""
    draw = random.Random(7)
    wanted = []
    for number in range(5):
        blocks = []
        for start in draw.sample(range(0, 3000, 500), 4):
            rows = [line(f"S{number}", minute) for minute in range(start, start + 450)]
            wanted += [
                (START + timedelta(minutes=m), f"S{number}") for m in range(start, start + 450)
            ]
            blocks += rows
        write(tmp_path / f"{number}.csv", HEADER, *blocks)
    bars = read(tmp_path)
    assert [(bar.timestamp, bar.symbol) for bar in bars] == sorted(wanted)


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    """As pandas writes it, row groups and all, with times in nanoseconds."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    lines = [line(symbol, minute) for symbol in ("B", "A") for minute in range(300)]
    text = write(tmp_path / "bars.csv", HEADER, *lines)
    with text.open() as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) for row in rows] for name in HEADER.split(",")[2:]}
    times = [int(datetime.fromisoformat(row["timestamp"]).timestamp()) * 10**9 for row in rows]
    columns |= {
        "timestamp": pa.array(times, pa.timestamp("ns", "UTC")),
        "symbol": [row["symbol"] for row in rows],
    }
    pq.write_table(pa.table(columns), tmp_path / "bars.parquet", row_group_size=70)
    bars = read(tmp_path / "bars.parquet")
    assert bars == read(text)
    assert len(bars) == 600


def test_without_pyarrow_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that CSV needs nothing."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install 'signalpaca\[parquet\]'"):
        open_tables([tmp_path / "bars.parquet"])


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    """The library's error is told in a sentence."""
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="is no Parquet file"):
        open_tables([write(tmp_path / "bars.parquet", HEADER)])


@pytest.mark.parametrize(
    ("name", "header", "sentence"),
    [("x.csv", "timestamp,open,high,low", "no column close"), ("y.csv", "", "no column time and")],
)
def test_a_file_without_a_column(tmp_path: Path, name: str, header: str, sentence: str) -> None:
    """Said at the start, with the file's name."""
    with pytest.raises(ValueError, match=f"{name}: {sentence}"):
        open_tables([write(tmp_path / name, header)])


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_a_file_without_rows_holds_no_bars(tmp_path: Path, ending: str) -> None:
    """A recording of a day on which nothing happened, beside one of another day."""
    (tmp_path / "a.csv").write_text(HEADER + ending)
    write(tmp_path / "b.csv", HEADER, line("AAPL", 0))
    assert [bar.symbol for bar in read(tmp_path)] == ["AAPL"]


def test_nothing_there(tmp_path: Path) -> None:
    """An empty folder and a missing file."""
    with pytest.raises(ValueError, match=r"no \.csv and no \.parquet file in it"):
        open_tables([tmp_path])
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        open_tables([tmp_path / "none.csv"])


def test_rows_without_any_order_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading them in order would need all of them in memory."""
    monkeypatch.setattr(bar_files, "_MOST_RUNS", 20)
    lines = [line("NVDA", -minute) for minute in range(30)]
    with pytest.raises(ValueError, match="its rows are in no order; sort them by time"):
        read(write(tmp_path / "bars.csv", HEADER, *lines))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Five symbols, one behind the other: a piece of each is held, never a whole one."""
    lines = [line(f"S{n}", minute) for n in range(5) for minute in range(1500)]
    tables = open_tables([write(tmp_path / "bars.csv", HEADER, *lines)])
    tracemalloc.start()
    count, last = 0, START
    for one, other in pairwise(merged(tables, BadRows(LOG))):
        assert one.timestamp <= other.timestamp
        count, last = count + 1, other.timestamp
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, last) == (7_499, START + timedelta(minutes=1499))
    assert peak < 1_200_000
