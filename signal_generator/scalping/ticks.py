"""Prices on the exchange's grid: two decimals from one dollar on, four below."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_CENT, _FINE = Decimal("0.01"), Decimal("0.0001")


def round_down(price: Decimal) -> Decimal:
    """What a buy may pay: never more than `price`."""
    return price.quantize(_grid(price), ROUND_FLOOR)


def round_up(price: Decimal) -> Decimal:
    """What a sale must bring: never less than `price`."""
    return price.quantize(_grid(price), ROUND_CEILING)


def _grid(price: Decimal) -> Decimal:
    return _CENT if price >= 1 else _FINE
