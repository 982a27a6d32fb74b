"""Tests of solution.domain.signal."""

import hashlib
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.orders import OrderType, Side, TimeInForce
from solution.domain.signal import Action, Signal, SizeKind, _read_again, parse
from solution.domain.signal_fields import READERS
from solution.errors import SignalError

Pairs = Sequence[tuple[bytes, bytes]]
ENTRY = "1760000000000-3"
# The same examples on every run, and no time limit on a loaded machine.
deterministic = settings(derandomize=True, deadline=None)


def read(*pairs: tuple[bytes, bytes]) -> Signal:
    """Parse one entry of the stream `nvda`."""
    return parse("nvda", ENTRY, pairs)


def flat(**fields: str) -> Pairs:
    """Fields as Redis gives them."""
    return [(name.encode(), value.encode()) for name, value in fields.items()]


def test_minimal_signal() -> None:
    """The shortest signal of the contract is complete; everything else has its default."""
    signal = read((b"Ticker", b"NVDA"), (b"Direction", b"b"))
    expected = Signal(
        stream="nvda", entry_id=ENTRY, ticker="NVDA", side=Side.BUY, digest=signal.digest
    )
    assert signal == expected


def test_the_same_fields_under_another_entry_id() -> None:
    """One content, read once, and yet two signals."""
    pairs = ((b"ticker", b"NVDA"), (b"direction", b"s"))
    first, second = parse("nvda", "1-0", pairs), parse("other", "2-0", pairs)
    assert (second.stream, second.entry_id) == ("other", "2-0")
    assert second.identity != first.identity
    assert second._replace(stream="nvda", entry_id="1-0") == first
    assert second.digest is first.digest


def test_long_entries_are_not_remembered() -> None:
    """What is kept for the next entry is bounded in bytes, not only in number."""
    kept = _read_again.cache_info().currsize
    for number in range(3):
        read((b"ticker", b"NVDA"), (b"direction", b"b"), (b"x_note", b"%d" % number * 100))
    assert _read_again.cache_info().currsize == kept


def test_what_is_wrong_is_wrong_again() -> None:
    """An error is raised for each entry that has it."""
    for _ in range(2):
        with pytest.raises(SignalError, match="qty"):
            read((b"ticker", b"NVDA"), (b"direction", b"b"), (b"qty", b"-1"))


def test_every_field_reaches_its_attribute() -> None:
    """All fields that can stand together, in one signal."""
    fields = {
        "ticker": "brk.b",
        "direction": "sell",
        "action": "short_sell",
        "qty": "3",
        "order_type": "limit",
        "limit_price": "101.5",
        "time_in_force": "gtc",
        "take_profit": "90",
        "stop_loss": "110.25",
        "stop_loss_limit": "111",
        "extended_hours": "false",
        "cancel_after": "30.5",
        "max_age": "5",
        "signal_id": "7f1c",
        "ts": "2025-10-09T08:53:19.5Z",
        "strategy": "sma 10/30",
        "sig": "c2ln",
        "kid": "k1",
        "x_Model": "v7",
    }
    signal = parse("s", ENTRY, flat(**fields))
    assert signal == Signal(
        stream="s",
        entry_id=ENTRY,
        ticker="BRK.B",
        side=Side.SELL,
        action=Action.SHORT_SELL,
        size_kind=SizeKind.QTY,
        size=Decimal(3),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("101.5"),
        time_in_force=TimeInForce.GTC,
        take_profit=Decimal(90),
        stop_loss=Decimal("110.25"),
        stop_loss_limit=Decimal(111),
        extended_hours=False,
        cancel_after=Decimal("30.5"),
        max_age=Decimal(5),
        signal_id="7f1c",
        strategy="sma 10/30",
        sig="c2ln",
        kid="k1",
        ts_ms=1759999999500,
        extra=(("x_Model", "v7"),),
        digest=signal.digest,
    )


def test_numbers_keep_their_digits() -> None:
    """A size is the Decimal of the text, not of a float."""
    signal = parse("s", ENTRY, flat(ticker="NVDA", direction="b", qty="0.100000001"))
    assert str(signal.size) == "0.100000001"


@pytest.mark.parametrize("kind", list(SizeKind))
def test_size_kinds(kind: SizeKind) -> None:
    """Each of the five size fields sets its kind."""
    side = {} if kind.startswith("target") else {"direction": "b"}
    signal = parse("s", ENTRY, flat(ticker="NVDA", **side, **{kind: "1"}))
    assert (signal.size_kind, signal.size) == (kind, Decimal(1))


def test_missing_ticker() -> None:
    """Nothing trades without a symbol."""
    with pytest.raises(SignalError) as error:
        read((b"direction", b"b"))
    assert error.value.reason == "MISSING_FIELD"
    assert "ticker" in error.value.message


# --- the digest: what "the same content" means ----------------------------------------------------

CONTENT = {
    "ticker": st.sampled_from(["NVDA", "nvda", "AAPL"]),
    "direction": st.sampled_from(["b", "buy", "s"]),
    "qty": st.sampled_from(["1", "1.0", "10"]),
    "signal_id": st.text("ab0", min_size=1, max_size=4),
    "strategy": st.text("xyz", min_size=1, max_size=4),
    "x_a": st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6),
    "x_b": st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6),
}
contents = st.fixed_dictionaries(
    {name: CONTENT[name] for name in ("ticker", "direction")},
    optional={name: text for name, text in CONTENT.items() if name not in {"ticker", "direction"}},
)


@deterministic
@given(st.data(), contents)
def test_digest_ignores_order_and_case_of_names(
    data: st.DataObject, content: dict[str, str]
) -> None:
    """Any order of fields and any case of names give one digest."""
    names = data.draw(st.permutations(sorted(content)))
    cased = [data.draw(st.sampled_from([n, n.upper(), n.title()])) for n in names]
    shuffled = [(c.encode(), content[n].encode()) for c, n in zip(cased, names, strict=True)]
    assert parse("s", ENTRY, shuffled).digest == parse("s", "1-1", flat(**content)).digest


@deterministic
@given(contents, contents)
def test_digest_tells_contents_apart(one: dict[str, str], other: dict[str, str]) -> None:
    """Two contents share a digest exactly when they are equal."""
    same = parse("s", ENTRY, flat(**one)).digest == parse("s", ENTRY, flat(**other)).digest
    assert same is (one == other)


def test_digest_marks_where_a_value_ends() -> None:
    """Text that moves from one field into the next gives another digest."""
    one = parse("s", ENTRY, flat(ticker="A", direction="b", x_a="1x_b", x_b="2"))
    other = parse("s", ENTRY, flat(ticker="A", direction="b", x_a="1", x_b="x_b2"))
    assert one.digest != other.digest


def test_digest_is_stable() -> None:
    """The canonical form is a promise to ledgers already written."""
    signal = read((b"Ticker", b"NVDA"), (b"Direction", b"b"))
    assert signal.digest == hashlib.sha256(b"direction\x001:bticker\x004:NVDA").hexdigest()


# --- hostile input --------------------------------------------------------------------------------

names = st.sampled_from([*(n.encode() for n in READERS), b"json", b"x_1", b"X_1"]) | st.binary(
    max_size=20
)
values = st.binary(max_size=40) | st.sampled_from(
    [b"NVDA", b"BTC/USD", b"b", b"s", b"1", b"0.5", b"true", b"limit", b"day", b"liquidate"]
)


@deterministic
@given(st.lists(st.tuples(names, values), max_size=8))
def test_nothing_but_signal_error(pairs: list[tuple[bytes, bytes]]) -> None:
    """Whatever bytes arrive, the answer is a signal or a clean, bounded, printable refusal."""
    refusals = []
    try:
        parse("nvda", ENTRY, pairs)
    except SignalError as error:
        refusals.append(error)
    assert all(e.reason and e.message.isprintable() and len(e.message) < 300 for e in refusals)


@deterministic
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=40))
def test_any_bytes_in_any_field(name: str, value: bytes) -> None:
    """One hostile value in an otherwise good signal."""
    pairs = {b"ticker": b"NVDA", b"direction": b"b", name.encode(): value}
    refusals = []
    try:
        parse("nvda", ENTRY, list(pairs.items()))
    except SignalError as error:
        refusals.append(error)
    assert all(e.reason and e.message.isprintable() and len(e.message) < 300 for e in refusals)
