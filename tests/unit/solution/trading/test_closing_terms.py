"""By which order a position is closed, and how much of it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.assets import Asset
from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.domain.market import Market
from solution.domain.orders import Side, TimeInForce
from solution.errors import Refused
from solution.trading.closing_terms import Terms, free_qty, no_quote, terms_of

STOCK = Asset("1", "NVDA", "us_equity", True, True, True)
COIN = Asset("2", "BTC/USD", "crypto", True, False, True)
IN_SESSION = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
AFTER_HOURS = datetime(2026, 3, 4, 22, 0, tzinfo=UTC)
SATURDAY = datetime(2026, 3, 7, 15, 0, tzinfo=UTC)
QUOTE = Quote("NVDA", Decimal("99.995"), Decimal("100.005"), Decimal(100), None, None, 0.0)


def terms(
    asset: Asset, side: Side, market: Market, *, quote: Quote | None = QUOTE, allow: bool = True
) -> Terms | str:
    return terms_of(asset, side, market, lambda: quote, allow_extended=allow)


def test_in_session_a_stock_is_closed_at_the_market_for_the_day() -> None:
    """Taken for fractions too, and by accounts that may not send ioc."""
    assert terms(STOCK, Side.SELL, Market(True, IN_SESSION)) == Terms(TimeInForce.DAY)


@pytest.mark.parametrize("is_open", [True, False, None])
def test_crypto_is_closed_at_any_time(is_open: bool | None) -> None:
    """It knows no day orders."""
    assert terms(COIN, Side.SELL, Market(is_open, SATURDAY)) == Terms(TimeInForce.IOC)


@pytest.mark.parametrize(("side", "price"), [(Side.SELL, "99.99"), (Side.BUY, "100.01")])
def test_the_extended_session_takes_a_limit_at_the_far_side(side: Side, price: str) -> None:
    """On the exchange's grid, rounded so that it trades."""
    found = terms(STOCK, side, Market(False, AFTER_HOURS))
    assert found == Terms(TimeInForce.DAY, Decimal(price))
    assert isinstance(found, Terms)
    assert found.extended


def test_without_a_quote_the_extended_session_is_waited_out() -> None:
    """Nobody knows at what price it would trade."""
    found = terms(STOCK, Side.SELL, Market(False, AFTER_HOURS), quote=None)
    assert found == "the extended session runs, and nobody quotes it"


@pytest.mark.parametrize(("at", "allow"), [(AFTER_HOURS, False), (SATURDAY, True)])
def test_a_closed_market_names_its_next_opening(at: datetime, allow: bool) -> None:
    """That is what the position waits for."""
    found = terms(STOCK, Side.SELL, Market(False, at), allow=allow)
    assert str(found).startswith("the market is closed until 2026-03-")


def test_beyond_the_table_of_sessions_no_opening_is_named() -> None:
    """Better than a guess."""
    late = Market(False, datetime(2199, 1, 1, tzinfo=UTC))
    assert (
        terms_of(STOCK, Side.SELL, late, no_quote, allow_extended=False) == "the market is closed"
    )


def test_a_clock_that_cannot_be_read_is_told() -> None:
    """Nothing is sent into the unknown."""
    found = terms(STOCK, Side.SELL, Market(None, IN_SESSION))
    assert found == "the broker's clock could not be read"


def held(qty: str, available: str, *, buys: str = "0", uncertain: bool = False) -> Holdings:
    none = Decimal(0)
    return Holdings(
        none, none, none, Decimal(qty), Decimal(available), none, Decimal(buys), none, uncertain
    )


@given(st.decimals(-1000, 1000, places=4), st.decimals(0, 1000, places=4))
def test_no_more_is_closed_than_is_free(qty: Decimal, promised: Decimal) -> None:
    """Of a long what no sale holds, of a short what no purchase covers yet."""
    side = Side.SELL if qty > 0 else Side.BUY
    free = max(Decimal(0), abs(qty) - promised)
    view = held(str(qty), str(free if qty > 0 else 0), buys=str(promised if qty < 0 else 0))
    try:
        assert free_qty(view, side) == free > 0
    except Refused as e:
        assert not free
        assert e.message == "other orders hold all of it"


def test_an_uncertain_position_is_not_closed() -> None:
    """It is read first."""
    with pytest.raises(Refused, match="may not be in the position yet"):
        free_qty(held("10", "10", uncertain=True), Side.SELL)
