"""Arithmetic and noise that give the same bits on every machine.

The C library's ``exp`` and ``log`` may differ in the last place from one
platform to the next, and with them a price that stands on the edge between two
cents. Here only operations are used that IEEE 754 defines to the last bit
(``+ - * /`` and the square root; floats are added up by ``math.fsum``, for
``sum`` changed with Python 3.12), and noise comes from SHAKE-128, which is
defined as bytes.
"""

import hashlib
from math import floor, frexp, ldexp

# ln 2 in two parts: the first has so many zeros at its end that k * _LN2_HIGH is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_LOG2_E = 1.4426950408889634
_HALF_ROOT = 0.7071067811865476
# The coefficients of exp's rational approximation in FreeBSD's msun (e_exp.c).
_P1 = 1.66666666666666019037e-01
_P2 = -2.77777777770155933842e-03
_P3 = 6.61375632143793436117e-05
_P4 = -1.65339022054652515390e-06
_P5 = 4.13813679705723846039e-08
_MASK = (1 << 64) - 1

#: Bytes of noise that make one normal number, and the spread of their sum.
GAUSS_BYTES = 8
_GAUSS_MEAN = GAUSS_BYTES * 127.5
_GAUSS_SIGMA = 209.02153

#: exp(_LARGEST) is about 1e300.
_LARGEST = 690.0


def exp(x: float) -> float:
    """The exponential, right to about the last place; cut off at 1e±300."""
    x = min(max(x, -_LARGEST), _LARGEST)
    k = floor(x * _LOG2_E + 0.5)
    high = x - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (_P1 + t * (_P2 + t * (_P3 + t * (_P4 + t * _P5))))
    return ldexp(1.0 - ((low - (r * c) / (2.0 - c)) - high), k)


def ln(x: float) -> float:
    """The natural logarithm of a positive number, right to about the last place."""
    mantissa, exponent = frexp(x)
    if mantissa < _HALF_ROOT:
        mantissa, exponent = mantissa * 2.0, exponent - 1
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series = 0.0
    for odd in range(25, 0, -2):
        series = series * square + 1.0 / odd
    return exponent * _LN2_HIGH + (2.0 * s * series + exponent * _LN2_LOW)


#: Exponentially distributed numbers, one for each value of a byte.
EXPONENTIAL = tuple(-ln((byte + 0.5) / 256) for byte in range(256))


def noise(name: str, *parts: int, size: int) -> bytes:
    """``size`` bytes that follow from the name and the numbers alone."""
    return hashlib.shake_128(f"{name}:{parts}".encode()).digest(size)


def gaussians(source: bytes, count: int) -> list[float]:
    """Standard normal numbers (to within ±4.9) from the first bytes of ``source``."""
    return [
        (sum(source[at : at + GAUSS_BYTES]) - _GAUSS_MEAN) / _GAUSS_SIGMA
        for at in range(0, count * GAUSS_BYTES, GAUSS_BYTES)
    ]


def scramble(number: int) -> int:
    """SplitMix64: a cheap, well mixed 64-bit hash."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)
