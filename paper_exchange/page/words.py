"""Numbers and times the way a reader wants them."""

from decimal import Decimal

from paper_exchange.clock import new_york, to_datetime

_SMALLEST_SHOWN = Decimal("0.000000001")


def money(value: Decimal) -> str:
    """Dollars and cents: ``-1,234.50``."""
    rounded = round(value, 2)
    return f"{rounded or abs(rounded):,.2f}"


def signed_money(value: Decimal) -> str:
    """``money`` with a plus where there is a gain."""
    return f"+{money(value)}" if round(value, 2) > 0 else money(value)


def price(value: Decimal | None) -> str:
    """A price with two to four decimals, up to eight below a dollar; a dash for none."""
    if value is None:
        return "–"
    plain = round(value, 4 if abs(value) >= 1 else 8).normalize()
    exponent = plain.as_tuple().exponent
    decimals = max(2, -exponent if isinstance(exponent, int) else 0)
    return f"{plain:,.{decimals}f}"


def quantity(value: Decimal) -> str:
    """A quantity without trailing zeros, up to nine decimals."""
    plain = value.quantize(_SMALLEST_SHOWN) if value % 1 else value.to_integral_value()
    text = f"{plain:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int, one: str, many: str = "") -> str:
    """``1 order``, ``2 orders``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(ns: int, now_ns: int) -> str:
    """A time in UTC to the millisecond; with its date instead if that is not today's."""
    at, now = to_datetime(ns), to_datetime(now_ns)
    if at.date() == now.date():
        return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"
    return f"{at:%d %b %H:%M:%S}"


def in_new_york(ns: int) -> str:
    """``Fri 20 Nov 2026, 12:00:05``."""
    return f"{new_york(ns):%a %d %b %Y, %H:%M:%S}"


def in_utc(ns: int) -> str:
    """``17:00:05``."""
    return f"{to_datetime(ns):%H:%M:%S}"


def coming(ns: int, now_ns: int) -> str:
    """A coming time in New York, with its day unless that is today."""
    at = new_york(ns)
    return f"{at:%H:%M}" if at.date() == new_york(now_ns).date() else f"{at:%a %d %b, %H:%M}"


def rate(per_second: float) -> str:
    """Per second, with a decimal while it is small."""
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.1f}"
