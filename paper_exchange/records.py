"""Dataclasses as JSON and back, field by field, so that a field added later is kept as well."""

from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal
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
        TypeError: on construction, for a field of a type that cannot be written.
    """

    def __init__(self, kind: type[T], assets: AssetBook, leave_out: Collection[str] = ()) -> None:
        self._kind = kind
        self._assets = assets
        hints = get_type_hints(kind)
        self._writers: list[tuple[str, object, Convert | None]] = []
        self._readers: dict[str, Convert | None] = {}
        for one in fields(cast("Any", kind)):
            if one.name in leave_out:
                continue
            write, read = self._converters(f"{kind.__name__}.{one.name}", hints[one.name])
            self._writers.append((one.name, _default(one), write))
            self._readers[one.name] = read

    def encode(self, one: T) -> bytes:
        """The record as JSON."""
        return orjson.dumps(self._plain(one))

    def _plain(self, one: T) -> dict[str, object]:
        body = {}
        for name, default, write in self._writers:
            value = getattr(one, name)
            if value is default or value == default:
                continue
            body[name] = value if write is None or value is None else write(value)
        return body

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

    def _converters(self, name: str, hint: Any) -> tuple[Convert | None, Convert | None]:
        """How a value of a type is written and read; None where JSON has the type."""
        origin, inner = get_origin(hint), [one for one in get_args(hint) if one is not NoneType]
        if origin in {Union, UnionType} and len(inner) == 1:
            return self._converters(name, inner[0])
        if hint is Decimal:
            return str, Decimal
        if hint is Asset:
            return _symbol, self._asset
        if origin in {tuple, list} and len(inner) in {1, 2} and inner[-1] in {inner[0], Ellipsis}:
            write, read = self._converters(name, inner[0])
            return _each(write, list), _each(read, origin)
        if isinstance(hint, type) and is_dataclass(hint):
            part: Codec[Any] = Codec(hint, self._assets)
            return part._plain, lambda body: hint(**part._values(body))
        if hint in _PLAIN or (origin is dict and all(one in _PLAIN for one in inner)):
            return None, None
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


def _symbol(asset: Asset) -> str:
    return asset.symbol


def _each(convert: Convert | None, kind: Callable[[Any], Any]) -> Convert:
    if convert is None:
        return kind
    return lambda values: kind([convert(value) for value in values])
