"""A node of a random walk split into smaller ones that fit into it exactly.

A node is the logarithm of open, high, low and close of some time. Its children
follow each other, the first opens where it opens, the last closes where it
closes, the highest reaches its high and the lowest its low, all to the last bit.
"""

from math import sqrt

from paper_exchange.prices.exact import EXPONENTIAL, GAUSS_BYTES, gaussians

Node = tuple[float, float, float, float]


def noise_size(count: int) -> int:
    """Bytes of noise that ``refine`` or ``thread`` need for ``count`` children."""
    return (GAUSS_BYTES + 2) * count


def excursion(start: float, end: float, sigma: float, dice: bytes) -> Node:
    """A node with these ends: high and low as a Brownian bridge of this spread reaches them.

    The maximum of a bridge from a to b exceeds m with probability
    exp(-2 (m - a)(m - b) / sigma**2); solved for m with an exponential number.
    """
    gap = (end - start) * (end - start)
    double = 2.0 * sigma * sigma
    middle = start + end
    high = 0.5 * (middle + sqrt(gap + double * EXPONENTIAL[dice[0]]))
    low = 0.5 * (middle - sqrt(gap + double * EXPONENTIAL[dice[1]]))
    # Rounding must not put them a hair within the ends.
    return start, max(high, start, end), min(low, start, end), end


def _bridge(start: float, end: float, steps: list[float], lengths: list[int]) -> list[float]:
    """The path of the steps, tilted so that it ends where it is told."""
    at, path = start, [start]
    for step in steps:
        at += step
        path.append(at)
    slope = (end - at) / sum(lengths)
    done = 0
    for n, length in enumerate(lengths, 1):
        done += length
        path[n] += slope * done
    path[-1] = end
    return path


def refine(
    node: Node, lengths: list[int], sigma: float, dice: bytes, *, bounded: bool = True
) -> list[Node]:
    """The children of a node; ``lengths`` are theirs in minutes, ``sigma`` is per root minute.

    Not ``bounded``, the node's own high and low are left out of account.
    """
    start, high, low, end = node
    count = len(lengths)
    spreads = [sigma * sqrt(length) for length in lengths]
    steps = [z * spread for z, spread in zip(gaussians(dice, count), spreads, strict=True)]
    path = _bridge(start, end, steps, lengths)
    tail = GAUSS_BYTES * count
    children = [
        excursion(path[n], path[n + 1], spreads[n], dice[tail + 2 * n : tail + 2 * n + 2])
        for n in range(count)
    ]
    return _fitted(children, high, low) if bounded else children


def _fitted(children: list[Node], high: float, low: float) -> list[Node]:
    """Stretch what lies beyond the two ends so that it just reaches high and low."""
    ends = (children[0][0], children[-1][3])
    above = _Side(max(ends), max(child[1] for child in children), high)
    below = _Side(-min(ends), -min(child[2] for child in children), -low)

    def fit(value: float) -> float:
        return -below(-above(value))

    fitted = [(fit(o), fit(h), fit(low_), fit(c)) for o, h, low_, c in children]
    if above.flat:
        n = max(range(len(children)), key=lambda n: children[n][1])
        fitted[n] = (fitted[n][0], high, fitted[n][2], fitted[n][3])
    if below.flat:
        n = min(range(len(children)), key=lambda n: children[n][2])
        fitted[n] = (fitted[n][0], fitted[n][1], low, fitted[n][3])
    return fitted


class _Side:
    """Moves what is above ``border`` so that ``top`` comes to lie at ``goal``; monotone."""

    __slots__ = ("_border", "_goal", "_scale", "_top", "flat")

    def __init__(self, border: float, top: float, goal: float) -> None:
        self._border, self._top, self._goal = border, top, goal
        #: There is nothing above the border that could be moved, but there should be.
        self.flat = top <= border < goal
        self._scale = (goal - border) / (top - border) if top > border else 0.0

    def __call__(self, value: float) -> float:
        if value <= self._border:
            return value
        if value >= self._top:
            return self._goal
        return min(self._goal, self._border + (value - self._border) * self._scale)


def thread(node: Node, count: int, sigma: float, dice: bytes) -> list[float]:
    """The prices (as logarithms) of ``count`` trades of one minute, at least four."""
    start, high, low, end = node
    spread = sigma / sqrt(count)
    steps = [z * spread for z in gaussians(dice, count - 1)]
    path = _bridge(start, end, steps, [1] * (count - 1))
    inner = path[1:-1]
    top = max(range(len(inner)), key=inner.__getitem__)
    bottom = min(range(len(inner)), key=inner.__getitem__)
    if top == bottom:  # all the same
        bottom = top + 1
    above = _Side(max(start, end), inner[top], high)
    below = _Side(-min(start, end), -inner[bottom], -low)
    inner = [-below(-above(value)) for value in inner]
    if above.flat:
        inner[top] = high
    if below.flat:
        inner[bottom] = low
    return [start, *inner, end]
