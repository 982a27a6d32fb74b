"""Tests of solution.domain.signal_glimpse."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.signal import Signal, parse
from solution.domain.signal_fields import MAX_ENTRY_BYTES, READERS, digest
from solution.domain.signal_glimpse import Glimpse, content_digest, glimpse
from solution.errors import SignalError

Pairs = Sequence[tuple[bytes, bytes]]
# The same examples on every run, and no time limit on a loaded machine.
deterministic = settings(derandomize=True, deadline=None)
NAMED = ((b"Signal_ID", b"s-1"), (b"ticker", b"nvda"), (b"strategy", b"sma"), (b"X_Ref", b"7"))
SEEN = Glimpse("s-1", "NVDA", "sma", (("X_Ref", "7"),))


def test_what_is_valid_by_itself_is_known_although_the_entry_is_no_signal() -> None:
    """A field missing, a name unknown, a value out of its domain: the rest still counts."""
    assert glimpse(NAMED) == SEEN
    assert glimpse([*NAMED, (b"limit_prise", b"1"), (b"qty", b"-1"), (b"\xff", b"\xff")]) == SEEN


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (b"signal_id", b"s-2"),
        (b"TICKER", b"nvda"),
        (b"strategy", b"\xff"),
        (b"x_ref", b"8"),
    ],
)
def test_what_is_given_twice_is_not_known(name: bytes, bad: bytes) -> None:
    """Whose it is would be a guess; the other fields still count."""
    seen = glimpse([*NAMED, (name, bad)])
    lost = {"x_ref": "extra"}.get(name.lower().decode(), name.lower().decode())
    assert seen == SEEN._replace(**{lost: () if lost == "extra" else ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signal_id", b"a" * 129),
        ("signal_id", b"\xff"),
        ("signal_id", b"a\nb"),
        ("signal_id", b""),
        ("ticker", b"$NVDA"),
        ("strategy", b"s" * 65),
        ("x_a", b"a" * 5000),
        ("x_a", b"a\0b"),
        ("x_a", b"\xff"),
        ("x_a b", b"1"),
    ],
)
def test_what_would_not_be_valid_is_not_known(name: str, value: bytes) -> None:
    """Too long, no text, not printable, no symbol."""
    assert glimpse([(name.encode(), value)]) == Glimpse()


def test_the_members_of_json_count_as_fields_do() -> None:
    """Also where one of them is nested, or other fields stand beside it."""
    text = b'{"signal_id":"s-1","ticker":"nvda","strategy":"sma","X_Ref":7,"x_deep":{},"\\ud800":1}'
    assert glimpse([(b"JSON", text)]) == SEEN
    beside = glimpse([(b"json", text), (b"x_src", b"tv"), (b"strategy", b"other")])
    assert beside == Glimpse("s-1", "NVDA", "", (("x_src", "tv"), ("X_Ref", "7")))


@pytest.mark.parametrize(
    "text",
    [
        b'{"signal_id":"a","signal_id":7}',
        b'{"signal_id":"a","SIGNAL_ID":null}',
        b'{"signal_id":17}',
        b'{"signal_id":"a"',
        b"[" * 60000,
        b'{"signal_id":"\xff"}',
        b'{"signal_id":"a","x_a":"' + b"a" * MAX_ENTRY_BYTES + b'"}',
        b'["signal_id","a"]',
    ],
)
def test_json_that_does_not_say_it_clearly(text: bytes) -> None:
    """Twice, a number for an id, cut off, nested without end, too long."""
    assert glimpse([(b"json", text)]) == Glimpse()
    assert glimpse([(b"json", b'{"signal_id":"a"}'), (b"Json", text)]) == Glimpse()


def test_no_more_is_echoed_than_a_valid_entry_could_hold() -> None:
    """An entry of a megabyte must not become an event of a megabyte."""
    many = [(b"x_%d" % n, b"a" * 4000) for n in range(300)]
    assert 0 < len(glimpse(many).extra) <= MAX_ENTRY_BYTES // 4000


def test_more_fields_than_a_valid_entry_can_hold() -> None:
    """Who sent it is still known; their own fields are not looked at one by one."""
    many = [(b"x%d" % n, b"") for n in range(MAX_ENTRY_BYTES // 3)]
    assert glimpse([*NAMED, *many]) == SEEN._replace(extra=())
    assert content_digest([*NAMED, *many]) == ""


names = st.sampled_from([*READERS, "x_a", "X_A", "X_b", "Signal_Id", "json"]).map(str.encode)
values = st.binary(max_size=9) | st.sampled_from([b"NVDA", b"b", b"1", b"limit", b"s-1", b"{}"])
signals = st.lists(st.tuples(names, values), max_size=6).map(
    lambda more: [(b"ticker", b"NVDA"), (b"direction", b"b"), *more]
)


def as_json(pairs: Pairs) -> Pairs:
    """The same entry in the one field json."""
    text = {name.decode(): value.decode(errors="replace") for name, value in pairs}
    return [(b"json", json.dumps(text).encode())]


def parsed(pairs: Pairs) -> list[Signal]:
    """The signal in an entry, or none."""
    try:
        return [parse("nvda", "1-0", pairs)]
    except SignalError:
        return []


@deterministic
@given(signals)
def test_of_a_valid_signal_it_says_what_the_parser_says(pairs: Pairs) -> None:
    """And of anything else it raises nothing."""
    for entry in (pairs, as_json(pairs)):
        seen = glimpse(entry)
        for signal in parsed(entry):
            about = (signal.signal_id, signal.ticker, signal.strategy, signal.extra)
            assert (seen, content_digest(entry)) == (Glimpse(*about), signal.digest)


@deterministic
@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=40)), max_size=5))
def test_no_bytes_raise_anything(pairs: Pairs) -> None:
    """Names and values of any kind."""
    assert glimpse(pairs).ticker == ""
    assert len(content_digest(pairs)) in {0, 64}


def test_content_has_a_digest_though_it_is_no_signal_now() -> None:
    """A version with other rules may have made an order of it; names and values are enough."""
    fields = [(b"Old_Name", b"\xff"), (b"ticker", b"NVDA")]
    assert content_digest(fields) == digest({"old_name": b"\xff", "ticker": b"NVDA"})


@pytest.mark.parametrize(
    "fields",
    [
        [(b"ticker", b"A"), (b"TICKER", b"A")],
        [(b"\xff", b"A")],
        [(b"json", b"{}"), (b"x_a", b"1")],
        [(b"json", b'{"ticker":["A"]}')],
        [(b"json", b'{"x_a":1,"X_A":1}')],
    ],
)
def test_what_never_was_a_signal_has_no_digest(fields: Pairs) -> None:
    """A name twice, a name that is no text, json beside others, a nested member."""
    assert content_digest(fields) == ""


def test_a_mistake_in_a_reader_costs_no_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead letter is told as must never keep it from being written."""

    def broken(_name: str, _raw: bytes) -> str:
        raise RecursionError("a mistake")

    monkeypatch.setitem(READERS, "ticker", ("ticker", broken))  # type: ignore[arg-type]
    assert glimpse(NAMED) == Glimpse()
