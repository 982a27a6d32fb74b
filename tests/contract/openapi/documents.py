"""Alpaca's OpenAPI documents, as published and as this project reads them."""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from tests.contract.openapi.deviations import DATA, TRADING, Deviation

Document = dict[str, Any]

NAMES = ("trading", "data")
_METHODS = ("get", "post", "put", "patch", "delete")
_DEVIATIONS: dict[str, tuple[Deviation, ...]] = {"trading": TRADING, "data": DATA}
_REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "paper-exchange.md"
_FIRST, _LAST = "<!-- operations not served: begin -->", "<!-- operations not served: end -->"


@cache
def _published(name: str) -> Document:
    text = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
    # The C parser reads the two documents in 0.4 s, the Python one in 5.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: Document = yaml.load(text, Loader=loader)  # noqa: S506  -- a safe loader, either way
    return document


def published(name: str) -> Document:
    """The document as Alpaca published it; a copy that may be changed."""
    return copy.deepcopy(_published(name))


def amended(name: str) -> Document:
    """The document with every deviation applied.

    Raises:
        AssertionError: a deviation found nothing to change, so it is out of date.
    """
    document = published(name)
    for deviation in _DEVIATIONS[name]:
        before = orjson.dumps(document)
        deviation.apply(document)
        assert orjson.dumps(document) != before, (
            f"{name}: nothing left to amend: {deviation.reason}"
        )
    return document


def operations(name: str) -> Iterator[tuple[str, str]]:
    """Every operation of a document: method in capitals, and path."""
    for path, item in _published(name)["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method.upper(), path


def documented_as_not_served() -> list[str]:
    """``METHOD /path`` of each operation that the reference says is not served."""
    text = _REFERENCE.read_text(encoding="utf-8")
    section = text.partition(_FIRST)[2].partition(_LAST)[0]
    return [line[2:].strip("`") for line in section.splitlines() if line.startswith("- `")]
