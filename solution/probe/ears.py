"""The order stream as a probe hears it: every event of its orders, and when it came."""

import threading
from collections.abc import Callable, Collection
from typing import Self

from solution.clock import Clock, Deadline
from solution.config_groups import BrokerSettings
from solution.feeds.trade_stream import TradeStream
from solution.feeds.trade_updates import TradeUpdates, Update

STOP_WITHIN = 2.0


class Ears:
    """One connection to the order stream; a context manager.

    Args:
        within: seconds that a connection may take, and an event.
    """

    def __init__(self, broker: BrokerSettings, clock: Clock, *, within: float) -> None:
        self._clock = clock
        self._within = within
        self._changed = threading.Condition()
        self._updates: list[Update] = []
        self._stream = TradeStream(
            broker.stream_url,
            TradeUpdates(broker.key_id, broker.secret.reveal()),
            on_updates=self._heard,
            on_connected=self._notify,
            clock=clock,
        )

    def __enter__(self) -> Self:
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.stop(Deadline(STOP_WITHIN))

    @property
    def state(self) -> str:
        """What the connection is doing, in words."""
        return self._stream.state

    @property
    def connected(self) -> bool:
        """Whether the server has confirmed that we hear the account's updates."""
        return self._stream.connected

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and made again."""
        return self._stream.reconnects

    def connects(self) -> bool:
        """Whether it listens within the time it has."""
        return self._until(lambda: self._stream.connected)

    def hears(self, client_order_id: str, events: Collection[str]) -> Update | None:
        """The first of these events of that order, waited for; None if none comes."""

        def found() -> Update | None:
            return next(
                (
                    update
                    for update in self._updates
                    if update.client_order_id == client_order_id and update.event in events
                ),
                None,
            )

        self._until(lambda: found() is not None)
        return found()

    def _until(self, condition: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, self._within)

    def _heard(self, updates: list[Update]) -> None:
        with self._changed:
            self._updates += updates
            self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
