"""The table of assets."""

from typing import Any

import pytest

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
