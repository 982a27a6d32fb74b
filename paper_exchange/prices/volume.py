"""How much trades when: the shape of the day, from which every bar's volume and count follow.

Trades and volume up to each minute of a leg are counted by two functions of
the minute alone. A bar of any length takes the difference of its two ends, so
that coarse bars are the sums of fine ones by construction.

The share of a leg's activity at ``x`` (0 at its start, 1 at its end), on average 1:

- core session: ``0.5 + 1.5 (2x - 1)**2``, four times as busy at the bells as at noon;
- pre-market ``0.5 + x``, post-market ``1.5 - x``, both a small part of the core's level;
- crypto: ``0.8 + 1.2 x (1 - x)``, from 0.8 at midnight UTC to 1.1 at noon.
"""

from collections.abc import Callable

from paper_exchange.prices.exact import scramble
from paper_exchange.prices.trading_days import Leg

#: Every minute of a session trades at least so often: open, high, low and close need a trade each.
FEWEST = 4
#: Trades a minute beyond that, averaged over a leg.
_BUSYNESS = {"core": 36, "crypto": 24, "pre": 2, "post": 2}
_HALF_SIZE = 50
_JITTER = 0.8
_UNIT = 1.0 / (1 << 24)


def _core(x: float) -> float:
    y = 2.0 * x - 1.0
    return 0.5 * x + 0.25 * (y * y * y + 1.0)


def _pre(x: float) -> float:
    return 0.5 * x + 0.5 * x * x


def _post(x: float) -> float:
    return 1.5 * x - 0.5 * x * x


def _crypto(x: float) -> float:
    return 0.8 * x + 0.6 * x * x - 0.4 * x * x * x


_SO_FAR: dict[str, Callable[[float], float]] = {
    "core": _core,
    "pre": _pre,
    "post": _post,
    "crypto": _crypto,
}


class LegVolume:
    """Counts trades and units traded within one leg; ``key`` is the asset's.

    ``extra_trades`` are those beyond the fewest, ``extra_units`` those beyond
    one a trade, both in the whole leg.
    """

    __slots__ = ("_newest", "extra_trades", "extra_units", "key", "leg")

    def __init__(self, leg: Leg, key: int, extra_trades: int, extra_units: int) -> None:
        self.leg = leg
        self.key = key
        self.extra_trades = extra_trades
        self.extra_units = extra_units
        #: The answer given last: bars follow each other, and one's end is the next one's start.
        self._newest = (leg.start, 0, 0)

    def before(self, minute: int) -> tuple[int, int]:
        """Trades and units from the start of the leg to the start of ``minute``.

        Both grow with the minute, and by at least as many units as trades.
        """
        leg = self.leg
        done = minute - leg.start
        length = leg.stop - leg.start
        if done <= 0:
            return 0, 0
        if done >= length:
            trades = FEWEST * length + self.extra_trades
            return trades, trades + self.extra_units
        so_far = _SO_FAR[leg.kind]
        here = so_far(done / length)
        least = min(here - so_far((done - 1) / length), so_far((done + 1) / length) - here)
        # Borders are moved by less than half of the smaller neighbour: order stays.
        dice = scramble(self.key ^ minute)
        room = _JITTER * least
        some = here + room * ((dice & 0xFFFFFF) * _UNIT - 0.5)
        much = here + room * ((dice >> 24 & 0xFFFFFF) * _UNIT - 0.5)
        trades = FEWEST * done + int(self.extra_trades * some)
        return trades, trades + int(self.extra_units * much)

    def between(self, first: int, stop: int) -> tuple[int, int]:
        """Trades and units from the start of ``first`` to the start of ``stop``."""
        minute, trades, units = self._newest
        if minute != first:
            trades, units = self.before(first)
        self._newest = (stop, *self.before(stop))
        return self._newest[1] - trades, self._newest[2] - units


def leg_volume(leg: Leg, key: int) -> LegVolume:
    """The activity of a leg: 70 to 130 % of what is usual, at 50 to 150 units a trade."""
    dice = scramble(key ^ scramble(leg.start))
    length = leg.stop - leg.start
    extra = _BUSYNESS[leg.kind] * length * (70 + dice % 61) // 100
    size = _HALF_SIZE + key % (2 * _HALF_SIZE + 1)
    return LegVolume(leg, key, extra, (FEWEST * length + extra) * (size - 1))
