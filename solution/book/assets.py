"""The broker's list of assets in memory, found by any spelling of a symbol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from solution.domain import crypto
from solution.domain.order_state import decimal_or_none


@dataclass(frozen=True, slots=True)
class Asset:
    """What gates and sizing need to know of one asset (Trading API v2, ``Asset``).

    ``min_order_size`` and ``min_trade_increment`` are coins, ``price_increment`` account currency;
    only crypto has them.
    """

    id: str
    symbol: str
    asset_class: str
    tradable: bool
    shortable: bool
    fractionable: bool
    min_order_size: Decimal | None = None
    min_trade_increment: Decimal | None = None
    price_increment: Decimal | None = None

    @property
    def is_crypto(self) -> bool:
        """Whether the rules for crypto pairs hold, instead of those for shares."""
        return self.asset_class == crypto.ASSET_CLASS

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Asset":
        """From the API's object; an absent flag counts as no."""
        # borrow_status replaces the flag, which is deprecated and may be null beside it.
        status = raw.get("borrow_status")
        borrow = status == "easy_to_borrow" if status else raw.get("easy_to_borrow")
        steps = raw if raw.get("class") == crypto.ASSET_CLASS else {}
        return cls(
            id=str(raw["id"]),
            symbol=str(raw["symbol"]),
            asset_class=str(raw.get("class") or ""),
            tradable=bool(raw.get("tradable")) and raw.get("status", "active") == "active",
            shortable=bool(raw.get("shortable")) and bool(borrow),
            fractionable=bool(raw.get("fractionable")),
            min_order_size=_positive(steps.get("min_order_size")),
            min_trade_increment=_positive(steps.get("min_trade_increment")),
            price_increment=_positive(steps.get("price_increment")),
        )

    def row(self) -> list[object]:
        """The compact form kept on disk; :meth:`of_row` reads it back."""
        flags = self.tradable << 2 | self.shortable << 1 | self.fractionable
        row: list[object] = [self.id, self.symbol, self.asset_class, flags]
        steps = (self.min_order_size, self.min_trade_increment, self.price_increment)
        if any(steps):  # of ten thousand assets a hundred have them
            row += [None if step is None else f"{step:f}" for step in steps]
        return row

    @classmethod
    def of_row(cls, row: list[Any]) -> "Asset":
        asset_id, symbol, asset_class, flags, *steps = row
        return cls(
            str(asset_id),
            str(symbol),
            str(asset_class),
            bool(flags & 4),
            bool(flags & 2),
            bool(flags & 1),
            *(_positive(step) for step in steps),
        )


def _positive(value: object) -> Decimal | None:
    """A step or a size; what is absent, unreadable or no more than zero is none."""
    number = decimal_or_none(value)
    return number if number is not None and number > 0 else None


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

    def pairs(self) -> list[Asset]:
        """Crypto, each once."""
        return [
            asset
            for key, asset in self._by_symbol.items()
            if key == asset.symbol.upper() and asset.is_crypto
        ]

    def find(self, ticker: str) -> Asset | None:
        return self._by_symbol.get(ticker.upper())
