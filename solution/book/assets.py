"""The broker's list of assets in memory, found by any spelling of a symbol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Asset:
    """What gates and sizing need to know of one asset (Trading API v2, ``Asset``)."""

    id: str
    symbol: str
    asset_class: str
    tradable: bool
    shortable: bool
    fractionable: bool

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Asset":
        """From the API's object; an absent flag counts as no."""
        # borrow_status replaces the flag, which is deprecated and may be null beside it.
        status = raw.get("borrow_status")
        borrow = status == "easy_to_borrow" if status else raw.get("easy_to_borrow")
        return cls(
            id=str(raw["id"]),
            symbol=str(raw["symbol"]),
            asset_class=str(raw.get("class") or ""),
            tradable=bool(raw.get("tradable")) and raw.get("status", "active") == "active",
            shortable=bool(raw.get("shortable")) and bool(borrow),
            fractionable=bool(raw.get("fractionable")),
        )

    def row(self) -> list[object]:
        """The compact form kept on disk; :meth:`of_row` reads it back."""
        flags = self.tradable << 2 | self.shortable << 1 | self.fractionable
        return [self.id, self.symbol, self.asset_class, flags]

    @classmethod
    def of_row(cls, row: list[Any]) -> "Asset":
        asset_id, symbol, asset_class, flags = row
        return cls(
            str(asset_id),
            str(symbol),
            str(asset_class),
            bool(flags & 4),
            bool(flags & 2),
            bool(flags & 1),
        )


class AssetTable:
    """Immutable after construction, so it is read without a lock.

    Crypto pairs are found as ``BTC/USD`` and as ``BTCUSD``; both are one asset with one lane.
    """

    def __init__(self, assets: Iterable[Asset]) -> None:
        self._by_symbol: dict[str, Asset] = {}
        joined: dict[str, Asset] = {}
        for asset in assets:
            self._by_symbol[asset.symbol.upper()] = asset
            if "/" in asset.symbol:
                joined[asset.symbol.upper().replace("/", "")] = asset
        # A stock of the joined name would win; the pair keeps its spelling with the slash.
        self._by_symbol = joined | self._by_symbol

    def __len__(self) -> int:
        return len(self._by_symbol)

    def find(self, ticker: str) -> Asset | None:
        return self._by_symbol.get(ticker.upper())
