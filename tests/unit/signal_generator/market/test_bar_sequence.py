"""Each bar once and in order, whatever is heard, lost and told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from signal_generator.bars import Bar
from signal_generator.market.bar_sequence import BarSequence

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def bar(minute: int, symbol: str = "NVDA", close: float = 10.0) -> Bar:
    return Bar(symbol, START + minute * MINUTE, 10, 11, 9, close, 100)


def whole() -> BarSequence:
    """Minute 0 was delivered, and nothing is missing."""
    sequence = BarSequence({"NVDA": START}, MINUTE)
    sequence.fetched("NVDA", [], closes=True)
    return sequence


def test_it_begins_with_a_gap() -> None:
    """What comes live waits for what was before it."""
    sequence = BarSequence({"NVDA": START}, MINUTE)
    assert sequence.gaps() == {"NVDA": START}
    assert sequence.live(bar(3)) == []
    assert sequence.fetched("NVDA", [bar(1), bar(2)], closes=True) == [bar(1), bar(2), bar(3)]
    assert sequence.gaps() == {}


def test_without_a_gap_a_bar_goes_on_at_once() -> None:
    """And its repetition does not."""
    sequence = whole()
    assert sequence.live(bar(1)) == [bar(1)]
    assert sequence.live(bar(1)) == []
    assert sequence.live(bar(0)) == []
    assert sequence.repeated == 2


def test_a_skipped_minute_is_asked_about() -> None:
    """Nothing may have been traded in it, or it was lost."""
    sequence = whole()
    assert sequence.live(bar(3)) == []
    assert sequence.gaps() == {"NVDA": START}
    assert sequence.fetched("NVDA", [bar(2)], closes=True) == [bar(2), bar(3)]


def test_a_first_part_of_an_answer_closes_nothing() -> None:
    """What was heard beyond it still waits, what was heard before its end does not."""
    sequence = BarSequence({"NVDA": START}, MINUTE)
    for minute in (2, 5):
        sequence.live(bar(minute))
    assert sequence.fetched("NVDA", [bar(1), bar(3)], closes=False) == [bar(1), bar(2), bar(3)]
    assert sequence.gaps() == {"NVDA": bar(3).timestamp}
    assert sequence.fetched("NVDA", [bar(3), bar(4)], closes=True) == [bar(4), bar(5)]


def test_a_correction_counts_while_the_bar_waits() -> None:
    """Delivered once, it is never delivered again."""
    sequence = BarSequence({"NVDA": START}, MINUTE)
    sequence.live(bar(1))
    sequence.correction(replace(bar(1), close=12.0))
    assert sequence.fetched("NVDA", [], closes=True) == [bar(1, close=12.0)]
    sequence.correction(replace(bar(1), close=13.0))
    assert sequence.updated == 1


def test_symbols_do_not_wait_for_each_other() -> None:
    """One's gap is not another's, and nobody is told of a symbol that was not asked for."""
    sequence = BarSequence({"NVDA": START, "AAPL": START}, MINUTE)
    sequence.fetched("NVDA", [], closes=True)
    assert sequence.live(bar(1)) == [bar(1)]
    assert sequence.live(bar(1, "AAPL")) == []
    assert sequence.live(bar(1, "KO")) == []
    sequence.open_gap(["KO", "NVDA"])
    assert set(sequence.gaps()) == {"NVDA", "AAPL"}


@given(data=st.data())
def test_any_interleaving_delivers_each_bar_once_and_in_order(data: st.DataObject) -> None:
    """Live bars, lost and repeated ones, reconnects, and history told whole or in parts."""
    traded = data.draw(st.lists(st.booleans(), min_size=1, max_size=25))
    market = [bar(minute) for minute, did in enumerate(traded, 1) if did]
    sequence, delivered, heard = BarSequence({"NVDA": START}, MINUTE), [], []
    connected = False
    for minute in range(1, len(traded) + 1):
        happened = [one for one in market if one.timestamp <= bar(minute).timestamp]
        connected = data.draw(st.sampled_from([connected, connected, True, False]))
        if not connected:
            sequence.open_gap(["NVDA"])
        elif happened and happened[-1] == bar(minute):
            heard.append(happened[-1])
            delivered += sequence.live(happened[-1])
        if heard and data.draw(st.booleans()):
            delivered += sequence.live(data.draw(st.sampled_from(heard)))
        if sequence.gaps() and data.draw(st.booleans()):
            cut = data.draw(st.integers(0, len(happened)))
            delivered += sequence.fetched("NVDA", happened[:cut], closes=False)
            if connected:
                delivered += sequence.fetched("NVDA", happened, closes=True)
        assert delivered == market[: len(delivered)]
    delivered += sequence.fetched("NVDA", market, closes=True)
    assert delivered == market
