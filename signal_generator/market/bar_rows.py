"""Alpaca's JSON rows of bars and quotes, the same in history and on the websocket."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from signal_generator.bars import Bar, Quote


def read_bar(symbol: str, row: Mapping[str, Any]) -> Bar:
    """One bar.

    Raises:
        ValueError: the row is none; the text names the field.
    """
    return Bar(
        symbol,
        _moment(row),
        open=_number(row, "o"),
        high=_number(row, "h"),
        low=_number(row, "l"),
        close=_number(row, "c"),
        volume=_number(row, "v"),
        trade_count=int(_number(row, "n", 0)),
        vwap=_number(row, "vw", 0.0),
    )


def read_quote(symbol: str, row: Mapping[str, Any]) -> Quote:
    """One quote; raises as :func:`read_bar` does."""
    return Quote(symbol, _moment(row), _number(row, "bp", 0.0), _number(row, "ap", 0.0))


def _number(row: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = row.get(name, default)
    if value is None and default is not None:
        return default
    if type(value) not in {int, float} or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: {value!r} is not a number from 0 up")
    return float(value)


def _moment(row: Mapping[str, Any]) -> datetime:
    value = row.get("t")
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"t: {value!r} is not a time with a zone")
    return moment.astimezone(UTC)
