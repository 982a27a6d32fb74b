"""Programs that publish trading signals to a Redis stream, and what strategies derive from."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signal_generator.scalper import ScalpAlgo

__all__ = ["ScalpAlgo"]

#: Imported when first asked for: `import signal_generator` costs next to nothing.
_WHERE = {"ScalpAlgo": "signal_generator.scalper"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
