"""What a strategy is. The host (:mod:`signal_generator.hosts.host`) calls it, from one thread.

A strategy holds no threads, sends no orders and keeps what it wants to remember in ``state``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from signal_generator.bars import Bar, Quote
from signal_generator.executions import Execution
from signal_generator.signals import Signal

if TYPE_CHECKING:
    from signal_generator.hosting import Context

Signals = Signal | list[Signal] | None
"""What a callback may return; a coroutine that returns it will do as well."""

_ALIASES = {"get_required_history": "required_history", "on_order_update": "on_execution"}


class Strategy:
    """Derive from it, and override what is needed.

    Every callback may return a signal, several, or None. Signals and ``state`` reach Redis in one
    transaction after the callback; where that fails they are kept and tried again, and no further
    callback runs before. A callback that raises, returns something else, or leaves a state that
    JSON cannot say, counts as failed: nothing of it is published and the state is as it was before.

    ``get_required_history`` and ``on_order_update`` are other names of ``required_history`` and
    ``on_execution``; callbacks may be coroutines.

    Attributes:
        name: label of its signals and of its state; the class's name where empty.
        symbols: what it wants to hear of; the host's ``--symbols`` where empty.
        frames: True to get bars as a pandas DataFrame (columns open, high, low, close, volume,
            trade_count, vwap; index: aware UTC timestamps), else as a sequence of :class:`Bar`.
        quotes: True to have ``on_quote`` called.
        state: kept between restarts; what JSON can say. Change it in place or assign it anew.
        context: what the host knows (clock, broker, logger); set before ``on_start``.
    """

    name: str = ""
    symbols: Sequence[str] = ()
    frames: bool = False
    quotes: bool = False
    context: "Context"

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Let the other names override what they stand for."""
        super().__init_subclass__(**options)
        for alias, name in _ALIASES.items():
            if alias in cls.__dict__ and name not in cls.__dict__:
                setattr(cls, name, cls.__dict__[alias])

    def required_history(self) -> int:
        """How many bars ``on_bar`` wants, the newest included; it is not called with fewer."""
        return 1

    def on_start(self) -> Signals:
        """Once, after ``state`` was read and before the first bar."""
        return None

    def on_bar(self, symbol: str, bars: "Sequence[Bar] | Any") -> Signals:
        """After each completed bar: the last ``required_history()`` bars, oldest first."""
        del symbol, bars
        return None

    def on_quote(self, quote: Quote) -> Signals:
        """The newest quote of a symbol; those in between may have been left out."""
        del quote
        return None

    def on_execution(self, update: Execution) -> Signals:
        """What became of one of this strategy's signals; each update once."""
        del update
        return None

    def checkup(self) -> Signals:
        """Every 30 seconds."""
        return None

    def on_stop(self) -> Signals:
        """Once, when the host ends."""
        return None
