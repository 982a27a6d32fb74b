"""Recorded bars as a source."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signal_generator.bars import Bar, Timeframe
from signal_generator.market.file_bars import FileBars
from tests.helpers.clocks import eventually

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def recording(tmp_path: Path, *minutes: int, symbol: str = "NVDA") -> Path:
    path = tmp_path / f"{symbol}.csv"
    rows = [
        f"{(START + timedelta(minutes=m)).isoformat()},{m + 1},{m + 2},{m + 0.5},{m + 1},10"
        for m in minutes
    ]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    return path


def followed(source: FileBars, timeframe: Timeframe, after: datetime = LONG_AGO) -> list[Bar]:
    found: list[Bar] = []
    source.follow(timeframe, {"NVDA": after, "AAPL": after}, found.append)
    assert eventually(source.exhausted)
    source.stop()
    return found


def test_every_bar_behind_the_last_one_known(tmp_path: Path) -> None:
    """Once each, and none of a symbol that nobody follows."""
    recording(tmp_path, 0, 1, 1, 2)
    recording(tmp_path, 1, 3, symbol="AAPL")
    recording(tmp_path, 1, symbol="KO")
    source = FileBars(tmp_path)
    found = followed(source, Timeframe.MINUTE, START)
    assert [(bar.symbol, (bar.timestamp - START).seconds // 60) for bar in found] == [
        *(("AAPL", 1), ("NVDA", 1), ("NVDA", 2), ("AAPL", 3)),
    ]
    assert source.repeated == 1
    ends = {symbol: (last - START).seconds // 60 for symbol, last in source.newest.items()}
    assert ends == {"NVDA": 2, "AAPL": 3}


def test_history_never_shows_the_future(tmp_path: Path) -> None:
    """Up to a moment it is what was before; without one there was nothing."""
    source = FileBars(recording(tmp_path, *range(10)))
    until = START + timedelta(minutes=6)
    before = source.history(["NVDA", "KO"], Timeframe.MINUTE, 2, until)
    assert [bar.timestamp for bar in before["NVDA"]] == [until - timedelta(minutes=1), until]
    assert before["KO"] == []
    assert source.history(["NVDA"], Timeframe.MINUTE, 2) == {"NVDA": []}


def test_minutes_are_summed_up(tmp_path: Path) -> None:
    """The last bar too, although nothing follows it."""
    found = followed(FileBars(recording(tmp_path, 0, 2, 4, 5, 12)), Timeframe.FIVE_MINUTES)
    assert [(bar.timestamp, bar.open, bar.close, bar.volume) for bar in found] == [
        (START, 1, 5, 30),
        (START + timedelta(minutes=5), 6, 6, 10),
        (START + timedelta(minutes=10), 13, 13, 10),
    ]


def test_a_quiet_symbols_bar_ends_with_the_others_time(tmp_path: Path) -> None:
    """Bars of all symbols come in order of time, also summed up."""
    recording(tmp_path, 1, 30)
    recording(tmp_path, *range(12), symbol="AAPL")
    found = followed(FileBars(tmp_path), Timeframe.FIVE_MINUTES)
    assert [bar.symbol for bar in found] == ["AAPL", "NVDA", "AAPL", "AAPL", "NVDA"]


def test_days_are_taken_as_they_are(tmp_path: Path) -> None:
    """And minutes are not taken for days."""
    found = followed(FileBars(recording(tmp_path, 0, 1440, 2880)), Timeframe.DAY)
    assert len(found) == 3
    source = FileBars(recording(tmp_path, 0, 1))
    followed(source, Timeframe.DAY)
    assert "are not daily ones" in source.failure


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    """For whoever reports the run."""
    path = recording(tmp_path, 0, 1)
    path.write_text(path.read_text().replace("2,3,1.5", "2,3,x"))
    source = FileBars(path)
    assert len(followed(source, Timeframe.MINUTE)) == 1
    assert source.bad_rows == 1


def test_quotes_are_said_to_be_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A strategy that waits for them would wait in silence."""
    FileBars(recording(tmp_path, 0)).quotes(["NVDA"], lambda _quote: None)
    assert "without quotes" in caplog.text


def test_stop_ends_it_between_two_bars(tmp_path: Path) -> None:
    """Whoever takes bars slowly holds the reader back, and still can end it."""
    source = FileBars(recording(tmp_path, *range(50)))
    taken: list[Bar] = []
    room = threading.Semaphore(2)

    def put(bar: Bar) -> None:
        room.acquire()
        taken.append(bar)

    source.follow(Timeframe.MINUTE, {"NVDA": LONG_AGO}, put)
    assert eventually(lambda: len(taken) == 2)
    room_later = threading.Timer(0.05, room.release)
    room_later.start()
    source.stop()
    room_later.join()
    assert eventually(source.exhausted)
    assert len(taken) == 3
