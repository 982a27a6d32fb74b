"""What tells a crypto pair from a share, and the broker's rules that hold for pairs alone.

Sources: Alpaca's pages "Crypto Spot Trading" and "Crypto Fees", and answers recorded from paper
accounts (the minimum, the fee taken from what is received, the two spellings).
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

ZERO: Final = Decimal(0)
ASSET_CLASS: Final = "crypto"
QUOTED_IN: Final = "USD"
"""The account's currency. Of a pair quoted in anything else (``ETH/BTC``) no price is an amount of
money, so no cap would mean anything."""

LEAST_COST: Final = Decimal(10)
"""Account currency: an order that opens a position costs at least so much. (403, "cost basis must
be >= minimal amount of order 10"; no list of assets says so.)"""
LEAST_STEP: Final = Decimal("0.000000001")
"""Of quantities and prices where the asset names no step of its own: the broker's nine decimals."""
MOST_FEE: Final = Decimal("0.003")
"""The broker keeps up to 25 basis points of what an order receives: of a buy, coins. The rest is
for what its rounding takes."""

_JOINED: Final = re.compile(r"([A-Z0-9]+)(USD[CT]?|BTC)")
_LONGEST_SHARE: Final = 5
"""Letters of the longest symbol of a share, suffixes behind a dot aside."""


def is_pair(symbol: str) -> bool:
    """Whether a symbol in the book's spelling (``BTC/USD``) is a pair; no share has a slash."""
    return "/" in symbol


def in_pair_spelling(ticker: str) -> str:
    """``BTCUSD`` as ``BTC/USD``, everything else as it is.

    For where no list of assets is at hand. Longer than any share's symbol, so none is mistaken for
    a pair; a pair of fewer letters is not recognised, and only the list of assets tells.
    """
    found = _JOINED.fullmatch(ticker) if len(ticker) > _LONGEST_SHARE else None
    return ticker if found is None else f"{found[1]}/{found[2]}"


def names_pair(ticker: str) -> bool:
    """Whether a ticker as a producer writes it is a pair in one of its two spellings."""
    return is_pair(in_pair_spelling(ticker))


def book_symbol(row: Mapping[str, Any]) -> str:
    """The symbol of a broker's order or position as our book has it.

    The broker writes a pair with the slash in orders and without it in positions.
    """
    symbol = str(row.get("symbol") or "")
    joined = row.get("asset_class") == ASSET_CLASS and not is_pair(symbol)
    found = _JOINED.fullmatch(symbol) if joined else None
    return symbol if found is None else f"{found[1]}/{found[2]}"


def is_fee(expected: Decimal, found: Decimal, bought: Decimal) -> bool:
    """Whether ``found`` coins instead of ``expected`` are what a fee on ``bought`` leaves."""
    return ZERO <= expected - found <= bought * MOST_FEE
