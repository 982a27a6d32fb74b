"""The parameters of `run_trading`, checked: what is wrong is said in one sentence that names it."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from signal_generator.blocks.durations import Now, WrongParameter, period, run_length
from signal_generator.signal_checks import is_symbol

Callback = Callable[[dict[str, Any]], Any]
AtTheEnd = Literal["liquidate", "hold", "custom"]
_ENDS: tuple[AtTheEnd, ...] = ("liquidate", "hold", "custom")
_LABEL = 64
MOST_WORKERS = 256
"""The service's own upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run was asked for; times in seconds. Keys are in no repr."""

    strategy: Callback
    log_name: str
    log_path: str
    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    tickers: tuple[str, ...]
    frequency: float
    run_seconds: float
    per_minute: int
    window_s: float
    workers: int | None
    use_alpaca: bool
    at_the_end: AtTheEnd
    custom_action: Callback | None
    warm_up: float
    live_display: bool
    refresh: float
    updates: int

    @property
    def label(self) -> str:
        """The name of the run on its signals."""
        found = "".join(c for c in self.log_name if c.isprintable()).strip()[:_LABEL]
        return found or "run_trading"


def read_options(given: Mapping[str, Any], now: Now) -> Options:
    """Check the parameters, by their names.

    Raises:
        WrongParameter: one of them cannot be used.
    """
    at_the_end = _end(given["eos_behavior"], given["custom_shutdown_action"])
    return Options(
        strategy=_callable("strategy_callable", given["strategy_callable"]),
        log_name=_file_name(given["trade_log_name"]),
        log_path=_directory(given["trade_log_path"]),
        api_key=_key("api_key", given["api_key"]),
        secret_key=_key("secret_key", given["secret_key"]),
        tickers=_tickers(given["tickers"]),
        frequency=period("frequency", given["frequency"], now),
        run_seconds=run_length("run_seconds", given["run_seconds"], now),
        per_minute=_count("total_allowed_per_min", given["total_allowed_per_min"]),
        window_s=_above_zero("refill_interval_sec", given["refill_interval_sec"], now),
        workers=None
        if given["num_workers"] is None
        else _count("num_workers", given["num_workers"], MOST_WORKERS),
        use_alpaca=_flag("use_alpaca", given["use_alpaca"]),
        at_the_end=at_the_end,
        custom_action=given["custom_shutdown_action"],
        warm_up=period("warm_up_period", given["warm_up_period"], now),
        live_display=_flag("live_display", given["live_display"]),
        refresh=_above_zero("display_refresh_rate", given["display_refresh_rate"], now),
        updates=_count("max_trade_updates", given["max_trade_updates"]),
    )


def _callable(name: str, value: Any) -> Callback:
    if not callable(value):
        raise WrongParameter(f"{name}: {value!r} cannot be called")
    return value  # type: ignore[no-any-return]  # the strategy's own


def _end(value: Any, action: Any) -> AtTheEnd:
    if action is not None and not callable(action):
        raise WrongParameter(f"custom_shutdown_action: {action!r} cannot be called")
    for known in _ENDS:
        if value == known:
            if known == "custom" and action is None:
                raise WrongParameter(
                    "custom_shutdown_action: it is missing, and eos_behavior is 'custom'"
                )
            return known
    raise WrongParameter(f"eos_behavior: {value!r} is not one of {', '.join(_ENDS)}")


def _file_name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or value != PurePath(value).name:
        raise WrongParameter(
            f"trade_log_name: {value!r} is no name of a file, without a directory and .csv"
        )
    return value


def _directory(value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise WrongParameter(f"trade_log_path: {value!r} is no directory")
    return os.fspath(value) if isinstance(value, str) else str(value)


def _key(name: str, value: Any) -> str:
    # Without the value: it may be half of a secret.
    if not isinstance(value, str) or not value.strip() or not value.isascii():
        raise WrongParameter(f"{name}: it must be the text that Alpaca gave you")
    return value.strip()


def _tickers(value: Any) -> tuple[str, ...]:
    one_text = isinstance(value, str)
    if one_text or not isinstance(value, (Sequence, set, frozenset)) or not value:
        raise WrongParameter(f"tickers: {value!r} is no list of symbols such as ['AAPL', 'MSFT']")
    for symbol in value:
        if not isinstance(symbol, str) or not is_symbol(symbol.strip().upper()):
            raise WrongParameter(f"tickers: {symbol!r} is not a symbol such as AAPL")
    found = sorted(value) if isinstance(value, (set, frozenset)) else value
    return tuple(dict.fromkeys(symbol.strip().upper() for symbol in found))


def _count(name: str, value: Any, most: float = math.inf) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < 1:
        raise WrongParameter(f"{name}: {value!r} is not a whole number of at least 1")
    if value > most:
        raise WrongParameter(f"{name}: {value!r} is more than {most}")
    return int(value)


def _above_zero(name: str, value: Any, now: Now) -> float:
    seconds = period(name, value, now)
    if not seconds:
        raise WrongParameter(f"{name}: {value!r} is not greater than 0")
    return seconds


def _flag(name: str, value: Any) -> bool:
    if value not in (True, False):
        raise WrongParameter(f"{name}: {value!r} is neither True nor False")
    return bool(value)
