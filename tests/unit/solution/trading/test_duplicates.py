"""Which content was published in a stream a moment ago."""

from hypothesis import given
from hypothesis import strategies as st

from solution.domain.orders import Side
from solution.domain.records import Change, Intent, State
from solution.domain.signal import Signal
from solution.ledger.sqlite import SqliteLedger
from solution.trading.duplicates import Duplicates

SIGNAL = Signal(stream="nvda", entry_id="1000-0", ticker="NVDA", digest="d", side=Side.BUY)


def at(ms: int, **changed: str) -> Signal:
    """The same content, published at another moment."""
    return SIGNAL._replace(entry_id=f"{ms}-0", **changed)


def test_the_first_has_no_earlier_one_and_keeps_its_place() -> None:
    """Looked at again (it waited, or was redelivered) it finds itself."""
    seen = Duplicates(10)
    assert seen.earlier(at(1_000)) is None
    assert seen.earlier(at(1_000)) is None
    assert seen.earlier(at(10_999)) == "1000-0"


def test_the_window_is_counted_from_the_first_and_ends() -> None:
    """A refused duplicate does not begin a window of its own."""
    seen = Duplicates(10)
    seen.earlier(at(1_000))
    assert seen.earlier(at(9_000)) == "1000-0"
    assert seen.earlier(at(11_000)) is None
    assert seen.earlier(at(12_000)) == "11000-0"


def test_an_older_entry_that_is_decided_later_is_the_duplicate() -> None:
    """Without order of lanes either may come first; one of them trades."""
    seen = Duplicates(10)
    seen.earlier(at(5_000))
    assert seen.earlier(at(1_000)) == "5000-0"


def test_other_content_another_stream_and_an_id_are_no_duplicates() -> None:
    """A ``signal_id`` says itself which signals are the same."""
    seen = Duplicates(10)
    seen.earlier(at(1_000))
    assert seen.earlier(at(1_001, digest="other")) is None
    assert seen.earlier(at(1_001, stream="aapl")) is None
    assert seen.earlier(at(1_001, signal_id="u")) is None


def test_off_by_default() -> None:
    """A window of nothing remembers nothing."""
    seen = Duplicates(0)
    assert seen.earlier(at(1_000)) is seen.earlier(at(1_001)) is None


def test_a_restart_remembers() -> None:
    """What the process before decided within the window."""
    seen = Duplicates(10)
    seen.restore([("nvda", "d", "1000-0")])
    assert seen.earlier(at(2_000)) == "1000-0"


def test_a_refused_duplicate_is_not_remembered_by_a_restart() -> None:
    """Else it would begin a window of its own, and one that repeats itself would never end it."""
    ledger = SqliteLedger("sqlite://")
    for number, reason in enumerate(("", "DUPLICATE_SIGNAL")):
        row = Intent(
            identity=str(number),
            digest="d",
            stream="nvda",
            entry_id=f"{1_000 + number}-0",
            client_order_id=str(number),
            state=State.REFUSED,
            reason=reason,
            created_ms=1_000 + number,
        )
        ledger.apply([Change(insert=row)])
    with ledger.open_reader() as reader:
        assert reader.contents_since(1) == [("nvda", "d", "1000-0")]
    ledger.close()


def test_memory_is_bounded() -> None:
    """The oldest claims go first."""
    seen = Duplicates(10, most=2)
    for number in range(3):
        seen.earlier(at(1_000 + number, digest=str(number)))
    assert seen.earlier(at(1_500, digest="0")) is None
    assert seen.earlier(at(1_500, digest="2")) == "1002-0"


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=30, unique=True))
def test_of_equal_content_no_two_within_the_window_pass(times: list[int]) -> None:
    """Whatever the order in which they are decided."""
    seen = Duplicates(10)
    passed: list[int] = []
    for ms in times:
        newest = passed[-1:] or [ms - 10_000]
        verdict = seen.earlier(at(ms))
        assert (verdict is None) == (abs(ms - newest[0]) >= 10_000)
        passed += [ms] * (verdict is None)
