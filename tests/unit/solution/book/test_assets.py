"""The table of assets."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.book.assets import Asset, AssetTable

NVDA: dict[str, Any] = {
    "id": "b0b6dd9d",
    "class": "us_equity",
    "symbol": "NVDA",
    "status": "active",
    "tradable": True,
    "shortable": True,
    "easy_to_borrow": True,
    "borrow_status": "easy_to_borrow",
    "fractionable": True,
}


def asset(**changed: Any) -> Asset:
    return Asset.of({**NVDA, **changed})


def test_an_asset_is_read() -> None:
    """All that gates and sizing need."""
    assert asset() == Asset("b0b6dd9d", "NVDA", "us_equity", True, True, True)


def test_an_absent_flag_is_a_no() -> None:
    """Nothing may be traded, borrowed or split because a field went missing."""
    bare = Asset.of({"id": "x", "symbol": "NVDA"})
    assert bare == Asset("x", "NVDA", "", False, False, False)


@pytest.mark.parametrize(
    ("changed", "tradable"),
    [({}, True), ({"status": "inactive"}, False), ({"tradable": False}, False),
     ({"tradable": None}, False)],
)  # fmt: skip
def test_tradable_means_active_and_tradable(changed: dict[str, Any], tradable: bool) -> None:
    """Either word of the broker can say no."""
    assert asset(**changed).tradable is tradable


@pytest.mark.parametrize(
    ("shortable", "status", "flag", "expected"),
    [
        (True, "easy_to_borrow", True, True),
        (True, "easy_to_borrow", None, True),
        (True, "easy_to_borrow", False, True),
        (True, "hard_to_borrow", True, False),
        (True, None, True, True),
        (True, None, False, False),
        (True, None, None, False),
        (False, "easy_to_borrow", True, False),
    ],
)
def test_only_easy_borrows_can_be_sold_short(
    shortable: bool, status: str | None, flag: bool | None, expected: bool
) -> None:
    """borrow_status decides where it is given; the deprecated flag speaks only without it."""
    found = asset(shortable=shortable, borrow_status=status, easy_to_borrow=flag)
    assert found.shortable is expected


def test_the_flag_alone_suffices() -> None:
    """Servers that know no borrow_status yet."""
    raw = {key: value for key, value in NVDA.items() if key != "borrow_status"}
    assert Asset.of(raw).shortable


@pytest.mark.parametrize("tradable", [True, False])
@pytest.mark.parametrize("shortable", [True, False])
@pytest.mark.parametrize("fractionable", [True, False])
def test_the_compact_form_is_read_back(tradable: bool, shortable: bool, fractionable: bool) -> None:
    """No flag turns into another on disk."""
    kept = Asset("x", "BRK.B", "us_equity", tradable, shortable, fractionable)
    assert Asset.of_row(kept.row()) == kept


@pytest.mark.parametrize("ticker", ["BTC/USD", "BTCUSD", "btc/usd", "btcusd"])
def test_a_pair_has_two_spellings(ticker: str) -> None:
    """Orders say BTC/USD, positions BTCUSD: one asset, one lane."""
    pair = asset(symbol="BTC/USD")
    table = AssetTable([asset(), pair])
    assert table.find(ticker) is pair


def test_symbols_are_found_in_any_case_and_nothing_else_is() -> None:
    """No prefix, no guess."""
    table = AssetTable([asset(), asset(symbol="BRK.B")])
    found = [table.find(t) for t in ("nvda", "brk.b", "BRKB", "NVD", "")]
    assert [f.symbol if f else None for f in found] == ["NVDA", "BRK.B", None, None, None]


@pytest.mark.parametrize("pair_first", [True, False])
def test_a_stock_keeps_its_name_beside_a_pair(pair_first: bool) -> None:
    """A stock that is called like a joined pair is not shadowed by it."""
    stock, pair = asset(symbol="BTCUSD"), asset(symbol="BTC/USD", id="pair")
    table = AssetTable([pair, stock] if pair_first else [stock, pair])
    assert table.find("BTCUSD") is stock
    assert table.find("BTC/USD") is pair


def test_the_table_counts_its_spellings() -> None:
    """Empty is empty: the service refuses to start with it."""
    assert len(AssetTable([])) == 0
    assert len(AssetTable([asset()])) == 1


BTC: dict[str, Any] = {
    "id": "btc",
    "class": "crypto",
    "symbol": "BTC/USD",
    "status": "active",
    "tradable": True,
    "fractionable": True,
    "min_order_size": "0.000016",
    "min_trade_increment": "0.000000001",
    "price_increment": "0.01",
}
STEPS = st.none() | st.decimals("0.000000001", "1000", places=9)


def test_a_pair_has_sizes_and_steps_of_its_own() -> None:
    """Exactly as the broker writes them; a share has none, whatever the list says."""
    pair = Asset.of(BTC)
    assert pair.is_crypto
    assert (pair.min_order_size, pair.min_trade_increment, pair.price_increment) == (
        Decimal("0.000016"),
        Decimal("1E-9"),
        Decimal("0.01"),
    )
    share = asset(price_increment="0.05", min_order_size="1")
    assert not share.is_crypto
    assert (share.price_increment, share.min_order_size) == (None, None)


@pytest.mark.parametrize("value", [None, "", "0", "-1", "x", "NaN", "1e999999"])
def test_a_step_that_is_none(value: str | None) -> None:
    """Absent, nonsense or nothing: the broker's nine decimals stand in where it is used."""
    assert Asset.of({**BTC, "min_trade_increment": value}).min_trade_increment is None


@settings(deadline=None, derandomize=True)
@given(STEPS, STEPS, STEPS)
def test_the_steps_of_a_pair_are_read_back(
    least: Decimal | None, step: Decimal | None, tick: Decimal | None
) -> None:
    """To the last digit, through JSON."""
    kept = Asset("x", "BTC/USD", "crypto", True, False, True, least, step, tick)
    assert Asset.of_row(orjson.loads(orjson.dumps(kept.row()))) == kept


def test_the_pairs_of_a_table() -> None:
    """Each once, though it is found by two spellings."""
    pair = Asset.of(BTC)
    assert AssetTable([asset(), pair]).pairs() == [pair]
