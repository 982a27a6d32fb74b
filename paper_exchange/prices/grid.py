"""From the floats of a tape to prices and sizes as the exchange shows them."""

from decimal import Decimal

from paper_exchange.assets import Asset
from paper_exchange.prices.tape import Stretch

_ONE = Decimal(1)
#: What one trade in crypto is worth, roughly; see ``size_unit``.
_TYPICAL_VALUE = Decimal(1000)
_UNITS_A_TRADE = 100


def size_unit(asset: Asset) -> Decimal:
    """The unit in which made-up sizes are counted: a share, or a power of ten of coins.

    A hundred units of a coin are worth between $100 and $1,000 at its base price.
    """
    if not asset.crypto:
        return _ONE
    return _ONE.scaleb((_TYPICAL_VALUE / asset.base_price / _UNITS_A_TRADE).adjusted())


class Grid:
    """Rounds one asset's prices to its increments, exactly, and scales its sizes.

    A price is first rounded to a whole number of steps; what is made of that
    number, a Decimal or the float nearest to it, is the same price.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_divide_size",
        "_fine",
        "_multiply_size",
        "_steps",
        "unit",
    )

    def __init__(self, asset: Asset, unit: Decimal | None = None) -> None:
        self.unit = size_unit(asset) if unit is None else unit
        self._multiply_size, self._divide_size = self.unit.as_integer_ratio()
        step, fine = asset.increment(_ONE), asset.increment(Decimal(0))
        self._steps = (step, *step.as_integer_ratio())
        self._fine = (fine, *fine.as_integer_ratio())
        self._asked = 0.0
        self._answered = Decimal(0)

    def step(self, price: float) -> Decimal:
        """The increment at a price."""
        return self._steps[0] if price >= 1 else self._fine[0]

    def decimal(self, price: float) -> Decimal:
        """The price, as money; the newest answer is kept, for a trade stands for many quotes."""
        if price != self._asked:
            step, numerator, denominator = self._steps if price >= 1 else self._fine
            self._answered = (round(price * denominator / numerator) or 1) * step
            self._asked = price
        return self._answered

    def steps(self, dollars: float, price: float) -> int:
        """A distance in whole increments at a price, at least one."""
        _, numerator, denominator = self._steps if price >= 1 else self._fine
        return round(dollars * denominator / numerator) or 1

    def number(self, price: float) -> float:
        """The price, as the JSON number nearest to it."""
        _, numerator, denominator = self._steps if price >= 1 else self._fine
        return (round(price * denominator / numerator) or 1) * numerator / denominator

    def average(self, one: Stretch) -> float:
        """The volume-weighted price of a stretch, to six digits and never outside its range."""
        price = round(one.turnover / one.volume, 6)
        return min(max(price, self.number(one.low)), self.number(one.high))

    def size(self, units: int) -> float:
        """Shares (whole) or coins."""
        if self._divide_size == 1:
            return units * self._multiply_size
        return units * self._multiply_size / self._divide_size
