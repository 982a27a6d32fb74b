"""Dataclasses as JSON and back, field by field, so that a field added later is kept as well."""

from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from paper_exchange.assets import Asset, AssetBook

T = TypeVar("T")
Convert = Callable[[Any], Any]
_PLAIN = (str, bool, int, float)


class Unknown(Exception):
    """A record names an asset that this exchange does not list; the argument is its symbol."""


class Codec(Generic[T]):
    """Writes and reads one dataclass.

    A field that holds its default is left out, so that a record is short and
    one written before a field existed can still be read.

    Raises:
        TypeError: on construction, for a field of a type that cannot be read back.
    """

    def __init__(self, kind: type[T], assets: AssetBook, leave_out: Collection[str] = ()) -> None:
        self._kind = kind
        self._assets = assets
        hints = get_type_hints(kind)
        kept = [one for one in fields(cast("Any", kind)) if one.name not in leave_out]
        self._readers = {
            one.name: self._reader(f"{kind.__name__}.{one.name}", hints[one.name]) for one in kept
        }
        self._names = [one.name for one in kept]
        self._defaults = [_default(one) for one in kept]
        self._get = attrgetter(*self._names)

    def encode(self, one: T) -> bytes:
        """The record as JSON."""
        values = zip(self._names, self._get(one), self._defaults, strict=True)
        body = {
            name: value
            for name, value, default in values
            if value is not default and value != default
        }
        return orjson.dumps(body, _written, orjson.OPT_PASSTHROUGH_DATACLASS)

    def values(self, record: bytes) -> dict[str, Any]:
        """The fields that a record holds, for the constructor.

        Raises:
            Unknown: it names an asset that is not listed.
            KeyError: it names a field that the dataclass does not have.
        """
        return self._values(orjson.loads(record))

    def _values(self, body: dict[str, Any]) -> dict[str, Any]:
        readers = self._readers
        found = {}
        for name, value in body.items():
            read = readers[name]
            found[name] = value if read is None or value is None else read(value)
        return found

    def decode(self, record: bytes) -> T:
        """The object that ``encode`` was given; raises as ``values`` does."""
        return self._kind(**self.values(record))

    def _reader(self, name: str, hint: Any) -> Convert | None:
        """How a value of a type is read; None where JSON has the type."""
        origin, inner = get_origin(hint), [one for one in get_args(hint) if one is not NoneType]
        if origin in {Union, UnionType} and len(inner) == 1:
            return self._reader(name, inner[0])
        if hint is Decimal:
            return Decimal
        if hint is Asset:
            return self._asset
        if origin in {tuple, list} and len(inner) in {1, 2} and inner[-1] in {inner[0], Ellipsis}:
            return _each(self._reader(name, inner[0]), origin)
        if isinstance(hint, type) and is_dataclass(hint):
            part: Codec[Any] = Codec(hint, self._assets)
            return lambda body: hint(**part._values(body))
        if hint in _PLAIN or (origin is dict and all(one in _PLAIN for one in inner)):
            return None
        raise TypeError(f"{name} is of a type that cannot be kept: {hint}")

    def _asset(self, symbol: str) -> Asset:
        asset = self._assets.find(symbol)
        if asset is None:
            raise Unknown(symbol)
        return asset


def _default(one: "Field[Any]") -> object:
    """What a field holds when nothing is said; MISSING is equal to no value."""
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def _written(value: object) -> object:
    """What JSON has no type for."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Asset):
        return value.symbol
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise TypeError(f"cannot be kept: {value!r}")


def _each(read: Convert | None, kind: Callable[[Any], Any]) -> Convert:
    if read is None:
        return kind
    return lambda values: kind([read(value) for value in values])
