"""Finds a strategy by what a person typed: ``module:Class`` or ``path/to/file.py:Class``."""

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from signal_generator.strategy import Strategy

_T = TypeVar("_T")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,48}")


class CannotLoad(ValueError):
    """There is no such strategy, or it cannot be made; the text says why, in one line."""


def load(targets: Sequence[str]) -> list[tuple[str, Strategy]]:
    """Name and instance of each.

    Raises:
        CannotLoad: one is not there, fails, is no strategy, or two have one name.
    """
    found: dict[str, Strategy] = {}
    for target in targets:
        strategy = load_one(target)
        name = strategy.name or type(strategy).__name__
        if not NAME.fullmatch(str(name)):
            raise CannotLoad(f"{target}: its name {name!r} is not 1 to 48 of A-Z a-z 0-9 _ . -")
        if name in found:
            raise CannotLoad(f"{target}: there is a strategy called {name} already; set its name")
        found[name] = strategy
    return list(found.items())


def load_one(target: str) -> Strategy:
    """One strategy, made without arguments.

    Raises:
        CannotLoad: as of `load`.
    """
    made = find_class(target, Strategy)
    try:
        return made()
    except (Exception, SystemExit) as error:  # the user's own code
        raise CannotLoad(f"{target}: {made.__name__}() failed: {_told(error)}") from error


def find_class(target: str, base: type[_T]) -> type[_T]:
    """The class of that name, which has to derive from `base`.

    Raises:
        CannotLoad: as of `load`.
    """
    place, colon, attribute = target.rpartition(":")
    if not colon or not place or not attribute:
        raise CannotLoad(f"{target!r} is neither module:Class nor path/to/file.py:Class")
    module = _file(target, Path(place)) if place.endswith(".py") else _module(target, place)
    made = getattr(module, attribute, None)
    if not isinstance(made, type) or not issubclass(made, base):
        wanted = base.__name__
        raise CannotLoad(f"{target}: {attribute} is no class there that derives from {wanted}")
    return made


def _module(target: str, name: str) -> ModuleType:
    # What `python -m` puts there by itself, and a console script does not.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's own code
        raise CannotLoad(f"{target}: importing {name} failed: {_told(error)}") from error


def _file(target: str, path: Path) -> ModuleType:
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if not path.is_file() or spec is None or spec.loader is None:
        raise CannotLoad(f"{target}: there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    # Modules beside the file are found as they are when Python runs it; and pickle and dataclasses
    # look a class's module up by its name.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code
        raise CannotLoad(f"{target}: {path} failed: {_told(error)}") from error
    return module


def _told(error: BaseException) -> str:
    """What went wrong, and in which line of the user's."""
    steps = traceback.extract_tb(error.__traceback__)
    own = [step for step in steps if step.filename != __file__ and "importlib" not in step.filename]
    return f"{error!r} ({own[-1].filename}, line {own[-1].lineno})" if own else repr(error)
