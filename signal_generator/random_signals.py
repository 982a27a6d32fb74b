"""Signals at random: what is drawn, without clock and network."""

import random
import uuid
from collections.abc import Sequence
from typing import Literal

Direction = Literal["b", "s", "both"]

_SIDES: dict[Direction, tuple[str, ...]] = {"b": ("b",), "s": ("s",), "both": ("b", "s")}


class RandomSignals:
    """Draws a signal with a fixed probability per tick.

    The same generator state gives the same tickers and directions, with ids or without.

    Args:
        symbols: at least one; each is equally likely.
        probability: of a signal per draw, 0 to 1.
        rng: the source of chance; seed it for a run that can be repeated.
        direction: `both` draws the direction evenly.
        with_ids: add `signal_id`, a UUID drawn from `rng` too. The same seed repeats the same
            ids, and a consumer that knows them will not trade them again.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        probability: float,
        rng: random.Random,
        *,
        direction: Direction = "both",
        with_ids: bool = False,
    ) -> None:
        self._symbols = tuple(symbols)
        self._probability = probability
        self._rng = rng
        self._sides = _SIDES[direction]
        self._with_ids = with_ids

    def draw(self) -> dict[str, str] | None:
        """Return the fields of a signal, or None, which is the usual case."""
        if self._rng.random() >= self._probability:
            return None
        fields = {
            "Ticker": self._rng.choice(self._symbols),
            "Direction": self._rng.choice(self._sides),
        }
        # Drawn even when unused, so that the option does not change what follows.
        bits = self._rng.getrandbits(128)
        if self._with_ids:
            fields["signal_id"] = str(uuid.UUID(int=bits, version=4))
        return fields
