"""Decimals in and out of JSON."""

from decimal import ROUND_DOWN, Decimal, InvalidOperation

ZERO = Decimal(0)
CENT = Decimal("0.01")
#: Quantities carry up to nine decimals.
QTY_STEP = Decimal("0.000000001")
_LARGEST = Decimal(10) ** 15


def text(value: Decimal) -> str:
    """Plain notation without trailing zeros: ``12.50`` is ``"12.5"``."""
    if not value:
        return "0"
    return format(value.normalize(), "f")


def text_or_none(value: Decimal | None) -> str | None:
    """``text``, passing None through."""
    return None if value is None else text(value)


def parse(value: object) -> Decimal:
    """A JSON string or number as a Decimal.

    Floats go through their shortest text, so that 290.1 stays 290.1.

    Raises:
        ValueError: for anything that is not a finite number of sane size.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"not a number: {value!r}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"not a number: {value!r}") from None
    if not number.is_finite() or abs(number) > _LARGEST:
        raise ValueError(f"out of range: {value!r}")
    return number


def floor_qty(value: Decimal) -> Decimal:
    """Round a quantity down to nine decimals."""
    return value.quantize(QTY_STEP, rounding=ROUND_DOWN)


def is_whole(value: Decimal) -> bool:
    """Whether a quantity has no fraction."""
    return value == value.to_integral_value()


def cents(value: Decimal) -> Decimal:
    """Round an amount to whole cents."""
    return value.quantize(CENT)
