"""The mean of the last N values, equal to the last bit to pandas' ``rolling(N).mean()``.

Two averages that are equal in exact arithmetic often differ in the last bit as floats, and then the
summation decides which one is "above". So that a strategy trades the crossings that its author saw
in pandas, this adds up as pandas does: one running sum, compensated after Kahan with one remainder
for what comes in and another for what goes out, what goes out first, and a run of equal values
answered by the value itself. A test compares the two on any series.

Its memory is a few floats, which JSON keeps exactly: a restart goes on with the same bits.
"""

from collections.abc import Sequence
from typing import Any


class RollingMean:
    """Given the values one by one, as in a series that began with the first of them.

    Args:
        length: how many values the mean is of.
        kept: what `kept` returned before.
    """

    def __init__(self, length: int, kept: Sequence[Any] | None = None) -> None:
        self._length = length
        self._values: list[float] = []
        self._sum = self._in = self._out = 0.0
        self._same = 0
        if kept is not None:
            self._values, self._sum, self._in, self._out, self._same = kept
            self._values = list(self._values)

    def kept(self) -> list[Any]:
        """What JSON can keep of it."""
        return [list(self._values), self._sum, self._in, self._out, self._same]

    def add(self, value: float) -> float | None:
        """The mean with this value; None before there are enough."""
        if len(self._values) == self._length:
            self._sum, self._out = _compensated(self._sum, -self._values.pop(0), self._out)
        same = bool(self._values) and self._values[-1] == value
        self._same = self._same + 1 if same else 1
        self._values.append(value)
        self._sum, self._in = _compensated(self._sum, value, self._in)
        if len(self._values) < self._length:
            return None
        return value if self._same >= self._length else self._sum / self._length


def _compensated(total: float, value: float, remainder: float) -> tuple[float, float]:
    """The new sum, and what was lost by rounding it."""
    corrected = value - remainder
    after = total + corrected
    return after, after - total - corrected
