"""Programs that publish trading signals to a Redis stream."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signal_generator.run_trading import run_trading as run_trading


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
