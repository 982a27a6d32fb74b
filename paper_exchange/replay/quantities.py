"""Recorded sizes as whole units, and volumes for bars that have none."""

from array import array
from collections.abc import Iterable, Sequence
from decimal import Decimal

from paper_exchange.assets import Asset
from paper_exchange.prices.exact import scramble
from paper_exchange.prices.grid import size_unit
from paper_exchange.prices.series import IDS_PER_MINUTE
from paper_exchange.prices.tape import MINUTE_NS, TICKS_PER_MINUTE
from paper_exchange.prices.trading_days import TradingDays
from paper_exchange.prices.volume import FEWEST, leg_volume

_SHARE = Decimal(1)
#: Recorded sizes of coins have up to nine decimals, unless they are too large for 63 bits then.
_FINE = Decimal("0.000000001")
_LARGEST_FINE = 9e9
_LARGEST = 9e18
_ROUND_LOT = 100
#: The units that are on display, or in a trade, where a file does not say.
_DEFAULT_UNITS = 100


def recorded_unit(asset: Asset, columns: Iterable["array[float] | None"]) -> Decimal:
    """The unit in which an asset's recorded sizes are whole; a share, or a part of a coin."""
    given = [column for column in columns if column is not None]
    if not asset.crypto or not given:
        return size_unit(asset)
    return _FINE if max(map(max, given)) < _LARGEST_FINE else _SHARE


def whole_units(sizes: "array[float]", unit: Decimal) -> "array[int]":
    """Sizes in units, at least one each."""
    per_unit = int(1 / unit) if unit < 1 else 1
    return array("q", (max(1, round(min(size, _LARGEST) * per_unit)) for size in sizes))


def units_or_default(sizes: "array[float] | None", count: int, unit: Decimal) -> "array[int]":
    """As above, or a plain size for each of ``count`` rows of a file without sizes."""
    return array("q", [_DEFAULT_UNITS]) * count if sizes is None else whole_units(sizes, unit)


class BarQuantities:
    """Volumes and numbers of trades of one symbol's bars."""

    def __init__(self, asset: Asset, days: TradingDays, length_ns: int) -> None:
        self._days = days
        self._minutes = max(1, length_ns // MINUTE_NS)
        self._key = scramble(int(asset.id[:8], 16))

    def made_up(self, times: "array[int]") -> "array[int]":
        """Volumes that follow the shape of the day, for a file that has none."""
        found = array("q")
        for at_ns in times:
            first = at_ns // MINUTE_NS
            legs = self._days.legs_between(first, first + self._minutes)
            units = sum(
                leg_volume(leg, self._key).between(
                    max(first, leg.start), min(first + self._minutes, leg.stop)
                )[1]
                for leg in legs
            )
            found.append(max(units, FEWEST))
        return found

    def counts(
        self,
        prices: Sequence["array[float]"],
        recorded: "array[float] | None",
        units: "array[int]",
    ) -> "array[int]":
        """Trades in each bar: as recorded, or one a round lot and at most one a tick.

        At least as many as the bar's prices need.
        """
        most = IDS_PER_MINUTE // 2 * self._minutes
        ticks = TICKS_PER_MINUTE * self._minutes
        if recorded is None:
            wanted: Iterable[float] = (min(one // _ROUND_LOT, ticks) for one in units)
        else:
            wanted = recorded
        found = array("q")
        for (first, high, low, last), count in zip(zip(*prices, strict=True), wanted, strict=True):
            # As many as turning_points has, counted without making them.
            if last >= first:
                needed = 1 + (low != first) + (high != low) + (last != high)
            else:
                needed = 1 + (high != first) + (low != high) + (last != low)
            found.append(int(min(max(count, needed), most)))
        return found
