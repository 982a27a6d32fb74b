"""Decimals in and out of JSON."""

from decimal import ROUND_DOWN, Decimal, InvalidOperation

ZERO = Decimal(0)
CENT = Decimal("0.01")
#: Quantities carry up to nine decimals.
QTY_STEP = Decimal("0.000000001")
#: Of digits before and after the point nothing that is traded needs more. The largest price
#: times the largest quantity still has all its cents in the 28 digits of a Decimal.
_DIGITS_BEFORE, _DIGITS_AFTER = 12, 15
#: What any number that is read must be below.
LARGEST = 10**_DIGITS_BEFORE
_LONGEST = 64


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

    Floats go through their shortest text, so that 290.1 stays 290.1. Digits
    are 0 to 9: Decimal alone would also take those of other scripts, and 1_000.

    Raises:
        ValueError: for anything that is not a finite number of sane size.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"not a number: a {type(value).__name__}")
    written = str(value)
    if len(written) > _LONGEST or not written.isascii() or "_" in written:
        raise ValueError(f"not a number: {written[:_LONGEST]!r}")
    try:
        number = Decimal(written)
    except InvalidOperation:
        raise ValueError(f"not a number: {written!r}") from None
    if not number.is_finite():
        raise ValueError(f"out of range: {written!r}")
    if not number:
        return ZERO
    # Not a comparison: arithmetic on an exponent of a million overflows, and so does its text.
    if not -_DIGITS_AFTER <= number.adjusted() < _DIGITS_BEFORE:
        raise ValueError(f"out of range: {written!r}")
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
