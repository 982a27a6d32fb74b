"""What can be traded here: a bundled list of well-known names, and whatever is added to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from paper_exchange.asset_table import CRYPTO, EQUITIES
from paper_exchange.decimals import QTY_STEP, text
from paper_exchange.ids import stable_id

_PENNY = Decimal("0.01")
_SUB_PENNY = Decimal("0.0001")
_REPLAYED_INCREMENT = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Asset:
    """One tradable thing; prices in US dollars."""

    id: str
    symbol: str
    name: str
    exchange: str
    base_price: Decimal
    crypto: bool = False
    status: str = "active"
    tradable: bool = True
    fractionable: bool = True
    easy_to_borrow: bool = True
    price_increment: Decimal | None = None
    min_order_size: Decimal | None = None

    @property
    def asset_class(self) -> str:
        """``us_equity`` or ``crypto``."""
        return "crypto" if self.crypto else "us_equity"

    @property
    def position_symbol(self) -> str:
        """The symbol as positions show it: ``BTC/USD`` is ``BTCUSD`` there."""
        return self.symbol.replace("/", "") if self.crypto else self.symbol

    @property
    def shortable(self) -> bool:
        """Whether a short sale is possible: equities that are easy to borrow."""
        return self.easy_to_borrow and not self.crypto

    def increment(self, price: Decimal) -> Decimal:
        """The smallest price step at ``price`` (equities: cents from $1, else 1/100 of one)."""
        if self.price_increment is not None:
            return self.price_increment
        return _PENNY if price >= 1 else _SUB_PENNY

    def render(self) -> dict[str, object]:
        """The asset as ``GET /v2/assets`` shows it."""
        body: dict[str, object] = {
            "id": self.id,
            "class": self.asset_class,
            "exchange": self.exchange,
            "symbol": self.symbol,
            "name": self.name,
            "status": self.status,
            "tradable": self.tradable,
            "marginable": not self.crypto,
            "shortable": self.shortable,
            # Deprecated by Alpaca, still returned, and alpaca-py 0.44 raises without it.
            "easy_to_borrow": self.shortable,
            "borrow_status": "easy_to_borrow" if self.shortable else "hard_to_borrow",
            "fractionable": self.fractionable,
            "margin_requirement_long": "100" if self.crypto else "30",
            "margin_requirement_short": "100" if self.crypto else "30",
            "maintenance_margin_requirement": 100 if self.crypto else 30,
            "attributes": [],
        }
        if self.price_increment is not None:
            body["price_increment"] = text(self.price_increment)
            body["min_order_size"] = text(self.min_order_size or QTY_STEP)
            body["min_trade_increment"] = text(QTY_STEP)
        return body


def _invented_price(symbol: str) -> Decimal:
    """A stable price between $20 and $500 for a symbol the table does not know."""
    return Decimal(20 + int(stable_id("price", symbol)[:8], 16) % 480)


class AssetBook:
    """All assets, by symbol and by id."""

    def __init__(self, extra_symbols: Iterable[str] = ()) -> None:
        self._by_key: dict[str, Asset] = {}
        self._assets: list[Asset] = []
        for symbol, name, exchange, price, flags in EQUITIES:
            self._add(
                Asset(
                    id=stable_id("asset", symbol),
                    symbol=symbol,
                    name=name,
                    exchange=exchange,
                    base_price=Decimal(price),
                    status="inactive" if "inactive" in flags else "active",
                    tradable="inactive" not in flags,
                    fractionable="whole" not in flags,
                    easy_to_borrow="hard_to_borrow" not in flags,
                )
            )
        for symbol, name, price, increment, least in CRYPTO:
            self._add(
                Asset(
                    id=stable_id("asset", symbol),
                    symbol=symbol,
                    name=name,
                    exchange="CRYPTO",
                    base_price=Decimal(price),
                    crypto=True,
                    price_increment=Decimal(increment),
                    min_order_size=Decimal(least),
                )
            )
        for symbol in extra_symbols:
            if symbol not in self._by_key:
                self._add(
                    Asset(
                        id=stable_id("asset", symbol),
                        symbol=symbol,
                        name=f"{symbol} (added by hand)",
                        exchange="NASDAQ",
                        base_price=_invented_price(symbol),
                    )
                )

    def add_replayed(self, symbol: str, price: Decimal) -> Asset:
        """List a symbol that only a replayed file knows; one with a slash is crypto."""
        crypto = "/" in symbol
        asset = Asset(
            id=stable_id("asset", symbol),
            symbol=symbol,
            name=f"{symbol} (replayed)",
            exchange="CRYPTO" if crypto else "NASDAQ",
            base_price=price,
            crypto=crypto,
            price_increment=_REPLAYED_INCREMENT if crypto else None,
        )
        self._add(asset)
        return asset

    def _add(self, asset: Asset) -> None:
        self._assets.append(asset)
        for key in (asset.symbol, asset.position_symbol, asset.id):
            self._by_key[key] = asset

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._assets)

    def find(self, key: str) -> Asset | None:
        """The asset with this symbol (``BTC/USD`` or ``BTCUSD``) or id, or None."""
        return self._by_key.get(key)
