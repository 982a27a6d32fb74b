"""What tells a pair from a share, and what a fee explains."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.crypto import MOST_FEE, book_symbol, in_pair_spelling, is_fee, names_pair

COINS = st.decimals("0.000001", "1000000", places=9)


@pytest.mark.parametrize(
    ("ticker", "pair"),
    [
        ("BTC/USD", "BTC/USD"),
        ("BTCUSD", "BTC/USD"),
        ("ETHUSDT", "ETH/USDT"),
        ("ETHUSDC", "ETH/USDC"),
        ("ETHBTC", "ETH/BTC"),
        ("SHIBUSD", "SHIB/USD"),
        ("USDCUSD", "USDC/USD"),
    ],
)
def test_a_pair_in_either_spelling(ticker: str, pair: str) -> None:
    """One asset, whichever way it is written."""
    assert in_pair_spelling(ticker) == pair
    assert names_pair(ticker)


@pytest.mark.parametrize("ticker", ["NVDA", "BRK.B", "OPUSD", "GBTC", "USD", "A", "AAPL240119", ""])
def test_a_share_is_no_pair(ticker: str) -> None:
    """Five letters at most, so nothing that short is taken for a pair."""
    assert in_pair_spelling(ticker) == ticker
    assert not names_pair(ticker)


@pytest.mark.parametrize(
    ("row", "symbol"),
    [
        ({"symbol": "BTCUSD", "asset_class": "crypto"}, "BTC/USD"),
        ({"symbol": "OPUSD", "asset_class": "crypto"}, "OP/USD"),
        ({"symbol": "BTC/USD", "asset_class": "crypto"}, "BTC/USD"),
        ({"symbol": "BTCUSD", "asset_class": "us_equity"}, "BTCUSD"),
        ({"symbol": "BTCEUR", "asset_class": "crypto"}, "BTCEUR"),
        ({"symbol": None}, ""),
        ({}, ""),
    ],
)
def test_the_book_has_one_spelling(row: dict[str, object], symbol: str) -> None:
    """Positions come without the slash; the class says what they are."""
    assert book_symbol(row) == symbol


@settings(deadline=None, derandomize=True)
@given(COINS, st.decimals(0, "0.0025", places=4))
def test_a_fee_is_told_from_anything_else(bought: Decimal, rate: Decimal) -> None:
    """What is missing is a fee up to 30 basis points; more, or a surplus, is something else."""
    assert is_fee(bought, bought * (1 - rate), bought)
    assert not is_fee(bought, bought * (1 - MOST_FEE) - Decimal("1E-9"), bought)
    assert not is_fee(bought, bought + Decimal("1E-9"), bought)
