"""Programs that publish trading signals to a Redis stream, and what strategies derive from."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signal_generator import state_store as state_store
    from signal_generator.bars import Bar as Bar
    from signal_generator.bars import Quote as Quote
    from signal_generator.executions import Execution as Execution
    from signal_generator.fleece import BaseStrategy as BaseStrategy
    from signal_generator.fleece import SignalEvent as SignalEvent
    from signal_generator.run_trading import run_trading as run_trading
    from signal_generator.scalper import ScalpAlgo as ScalpAlgo
    from signal_generator.signals import Signal as Signal
    from signal_generator.strategy import Strategy as Strategy

#: Imported when first asked for: a generator at random needs none of them. ``state_store`` is a
#: module and needs no place here.
_PLACES = {
    "Bar": "bars",
    "BaseStrategy": "fleece",
    "Execution": "executions",
    "Quote": "bars",
    "ScalpAlgo": "scalper",
    "Signal": "signals",
    "SignalEvent": "fleece",
    "Strategy": "strategy",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, "run_trading", "state_store"})


class _Package(ModuleType):
    """Has `run_trading` without importing what it needs before somebody asks for it.

    A property and not `__getattr__`: the module of the same name, once imported, would be stored
    here by the import system and hide the function.
    """

    @property
    def run_trading(self) -> Any:
        """The function :func:`signal_generator.run_trading.run_trading`."""
        from signal_generator.run_trading import run_trading

        return run_trading

    @run_trading.setter
    def run_trading(self, module: ModuleType) -> None:
        """Only the import system assigns it, and what it assigns stands in sys.modules anyway."""


sys.modules[__name__].__class__ = _Package
