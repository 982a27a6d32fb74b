"""Coins in the book: fees that come off what was bought, and no margin."""

from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.book.positions import Account, Holdings, Portfolio, Position
from solution.book.reservations import Reservation
from solution.domain.orders import Side
from tests.helpers.clocks import ManualClock

PAIR = "BTC/USD"
PRICE = Decimal(50_000)
ACCOUNT = Account("acc", Decimal(100_000), Decimal(100_000), Decimal(200_000))


class Book:
    """A portfolio whose clock moves between any two things that happen."""

    def __init__(self, account: Account = ACCOUNT, held: str = "0") -> None:
        self.clock = ManualClock()
        self.portfolio = Portfolio(self.clock)
        self.account = account
        self.snapshot(held)
        self.portfolio.drain_findings()

    def snapshot(self, held: str, cash: str | None = None) -> dict[str, tuple[Decimal, Decimal]]:
        self.clock.advance(1)
        account = self.account
        if cash is not None:
            account = Account(account.id, account.equity, Decimal(cash), account.buying_power)
        qty = Decimal(held)
        positions = {PAIR: Position(PAIR, qty, qty, PRICE)} if qty else {}
        return self.portfolio.apply_snapshot(account, positions, self.clock.monotonic())

    def looked_at(self, held: str, *, really: bool) -> None:
        """A snapshot, or none."""
        if really:
            self.snapshot(held)

    def order(self, side: Side, qty: str, symbol: str = PAIR, *, opens: bool | None = None) -> None:
        """Reserved, and taken by the broker; its id is its side."""
        self.clock.advance(1)
        adds = side is Side.BUY if opens is None else opens
        order = Reservation(side.value, symbol, side, Decimal(qty), PRICE, adds)
        self.portfolio.reserve(symbol, lambda _: (order, None))
        self.portfolio.accepted(side.value)

    def fill(self, qty: str, standing: str | None) -> None:
        """Told by the stream with a standing, by poll without."""
        self.clock.advance(1)
        signed = Decimal(qty)
        coid = Side.BUY.value if signed > 0 else Side.SELL.value
        position = None if standing is None else Decimal(standing)
        self.portfolio.filled(coid, PAIR, signed, PRICE, position)

    def end(self, coid: str) -> None:
        self.clock.advance(1)
        self.portfolio.ended(coid)

    @property
    def btc(self) -> Holdings:
        return self.portfolio.view(PAIR)


def bought(standing: str | None, qty: str = "1") -> Book:
    """A buy of so much, filled."""
    book = Book()
    book.order(Side.BUY, qty)
    book.fill(qty, standing)
    book.end(Side.BUY.value)
    return book


def test_a_standing_less_the_fee_is_certain() -> None:
    """What the stream says is there can be sold at once; nobody is asked."""
    book = bought("0.9975")
    assert book.btc.qty == book.btc.available_qty == Decimal("0.9975")
    assert not book.portfolio.is_uncertain(PAIR)


def test_parts_of_a_buy_each_less_their_fee() -> None:
    """A part at a time, the same."""
    book = Book()
    book.order(Side.BUY, "1")
    book.fill("0.4", "0.399")
    assert not book.portfolio.is_uncertain(PAIR)
    book.fill("0.6", "0.9975")
    assert book.btc.qty == Decimal("0.9975")
    assert not book.portfolio.is_uncertain(PAIR)


@pytest.mark.parametrize("standing", ["1", None], ids=["stream without the fee", "poll"])
def test_a_fee_that_nobody_told_is_not_for_sale(standing: str | None) -> None:
    """Its most is kept back, and the broker is asked before the next decision."""
    book = bought(standing)
    assert book.portfolio.is_uncertain(PAIR)
    assert book.btc.available_qty == Decimal("0.997")
    book.snapshot("0.9975")
    assert book.btc.available_qty == Decimal("0.9975")
    assert not book.portfolio.is_uncertain(PAIR)


def test_a_standing_that_no_fee_explains_is_doubted() -> None:
    """As for shares: something else moved the position."""
    book = bought("0.9")
    assert book.portfolio.is_uncertain(PAIR)


def test_a_sale_takes_no_coins_beyond_its_own() -> None:
    """Its fee comes off the money, so its standing is exact."""
    book = bought("0.9975")
    book.order(Side.SELL, "0.9975")
    book.fill("-0.9975", "0")
    book.end(Side.SELL.value)
    assert book.btc.qty == book.btc.available_qty == 0
    assert not book.portfolio.is_uncertain(PAIR)


@pytest.mark.parametrize(
    ("cash", "findings"), [("149875", 0), ("150000", 0), ("149800", 1), ("150001", 1)]
)
def test_the_fee_of_a_sale_is_no_correction_of_cash(cash: str, findings: int) -> None:
    """Up to 30 basis points less came in; more than that is found."""
    book = Book(held="1")
    book.order(Side.SELL, "1")
    book.fill("-1", "0")
    book.end(Side.SELL.value)
    book.clock.advance(1)
    book.snapshot("0", cash=cash)
    assert len(book.portfolio.drain_findings()[0]) == findings


def test_a_fee_that_is_taken_late_is_no_correction() -> None:
    """Coins that go at the end of the day; a larger loss is told."""
    book = Book(held="1")
    assert book.snapshot("0.9975") == {}
    assert book.btc.qty == Decimal("0.9975")
    assert book.snapshot("0.99") == {PAIR: (Decimal("0.9975"), Decimal("0.99"))}


# --- buying power ----------------------------------------------------------------------------


def test_coins_are_bought_with_what_is_not_marginable() -> None:
    """Stated by the broker, or cash; never more than the overall buying power."""
    stated = Account("a", PRICE, Decimal(9), Decimal(200), non_marginable=Decimal(50))
    assert Book(stated).btc.buying_power == 50
    assert Book(stated).portfolio.view("NVDA").buying_power == 200
    assert Book(Account("a", PRICE, Decimal(9), Decimal(200))).btc.buying_power == 9
    short = Account("a", PRICE, Decimal(900), Decimal(20), non_marginable=Decimal(900))
    assert Book(short).btc.buying_power == 20


def test_every_opening_order_is_charged_against_it() -> None:
    """Coins and shares draw on the same money."""
    book = Book()
    book.order(Side.BUY, "1")
    assert book.btc.buying_power == 50_000
    book.order(Side.SELL, "0.5", "NVDA", opens=True)
    assert book.btc.buying_power == 25_000
    book.portfolio.released(Side.SELL.value)
    book.portfolio.released(Side.BUY.value)
    assert book.btc.buying_power == 100_000


def test_the_proceeds_of_a_sale_are_not_credited_to_it() -> None:
    """They may not have settled; the next snapshot tells."""
    book = Book(held="1")
    book.order(Side.SELL, "1")
    book.fill("-1", "0")
    book.end(Side.SELL.value)
    assert book.portfolio.view("NVDA").buying_power == 250_000
    assert book.btc.buying_power == 100_000


# --- whatever comes -------------------------------------------------------------------------------

PARTS = st.lists(
    st.tuples(
        st.decimals("0.0001", "1", places=9),
        st.sampled_from(["net", "gross", "poll"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, derandomize=True)
@given(PARTS, st.decimals("0", "0.0025", places=4))
def test_no_more_is_for_sale_than_is_there(
    parts: list[tuple[Decimal, str, bool]], rate: Decimal
) -> None:
    """Parts of a buy told by a stream with or without the fee, or by poll; snapshots in between."""
    book, truth = Book(), Decimal(0)
    book.order(Side.BUY, "8")
    for qty, told, looked in parts:
        truth += (qty * (1 - rate)).quantize(Decimal("1E-9"), ROUND_DOWN)
        # A stream without fees counts from what a snapshot said last.
        standing = {"net": truth, "gross": book.btc.qty + qty, "poll": None}[told]
        book.fill(f"{qty:f}", None if standing is None else f"{standing:f}")
        assert book.btc.available_qty <= truth
        book.looked_at(f"{truth:f}", really=looked)
    book.end(Side.BUY.value)
    book.snapshot(f"{truth:f}")
    assert book.btc.available_qty == truth
