"""Does the book agree with the service? Where it does not, the broker is asked."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import redis

from signal_generator.blocks.book import PositionBook, key_of
from signal_generator.hosting import BrokerUnavailable, Position

log = logging.getLogger(__name__)

Quantities = Mapping[str, Decimal]


class Comparison:
    """For one thread. A difference counts only if it is there twice and no fill came between.

    Args:
        client: its answers are decoded.
        read: the broker's positions; takes one of the account's requests.
    """

    def __init__(
        self,
        client: redis.Redis,
        group: str,
        book: PositionBook,
        read: Callable[[], Sequence[Position]],
    ) -> None:
        self._client = client
        self._pattern = f"signalpaca:{group}:*"
        self._book = book
        self._read = read
        self._seen: tuple[int, Quantities] | None = None
        self._agreed: tuple[Quantities, Quantities] | None = None

    def step(self) -> None:
        """Look once."""
        version = self._book.version
        if self._book.doubtful:
            self._adopt(version)
            return
        told, held = self._told(), _quantities(self._book)
        if told is None or told == held or (told, held) == self._agreed:
            self._seen = None
            return
        seen, self._seen = self._seen, (version, told)
        if seen == self._seen:
            self._adopt(version)
            # Where the broker agreed with the book, it is the service's to find out.
            self._agreed = told, _quantities(self._book)

    def _adopt(self, version: int) -> None:
        try:
            read = self._read()
        except BrokerUnavailable as error:
            log.warning("positions could not be compared with the broker's: %s", error)
            return
        wanted = {key_of(position.symbol): position.qty for position in read if position.qty}
        before = _quantities(self._book)
        if self._book.adopt(read, version) and wanted != before:
            log.warning("positions taken from the broker: %s instead of %s", wanted, before)

    def _told(self) -> Quantities | None:
        """Positions in the service's picture of itself; None where there is none to read."""
        try:
            for key in self._client.scan_iter(match=self._pattern, count=500):
                text: Any = self._client.get(key)
                if (found := _positions(text)) is not None:
                    return found
        except (redis.RedisError, OSError) as error:
            log.debug("no status to compare with: %s", error)
        return None


def _positions(text: str | None) -> Quantities | None:
    """Quantities by symbol, from a picture whose events are all told."""
    try:
        picture = json.loads(text or "")
        if picture["redis"]["unpublished"] or picture["redis"]["uncommitted"]:
            return None
        rows = [(key_of(row["symbol"]), Decimal(row["qty"])) for row in picture["positions"]]
    except (ValueError, TypeError, KeyError, InvalidOperation):
        return None
    return {symbol: qty for symbol, qty in rows if qty}


def _quantities(book: PositionBook) -> Quantities:
    return {key: held.qty for key, held in book.holdings().items()}
