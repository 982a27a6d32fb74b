"""With what the service is started, so that it does what `run_trading` promises."""

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signal_generator.connection import Connection
from signal_generator.launch.account import Account, is_loopback
from signal_generator.launch.options import StackOptions
from signal_generator.launch.surroundings import Surroundings

WORKERS = 16
"""Where `num_workers` is None. A worker waits for the broker nearly all of its time: 16 send a
block of 16 orders in one round trip of about 100 ms and one of 50 in four, far faster than Alpaca's
200 requests a minute admit; under the GIL still more threads only slow each other down."""
LARGEST_RATE = 100_000
_ALPACAS_LIMIT = 200
LONGEST_WAIT = 604_800
"""The service's own upper bounds."""
QUEUE_SIZE = "100000"
"""Signals are read, and their age judged, at once, whatever the rate limit: at 190 a minute a whole
session sends fewer than this."""

WIDE = (
    *("MAX_POSITION_PCT", "MAX_ORDER_NOTIONAL", "MAX_TRADES_PER_DAY"),
    *("MAX_ORDERS_PER_MINUTE_PER_TICKER", "MAX_FLIPS"),
)
"""Limits that `run_trading` does without unless the user sets them: what a strategy asks for is its
own affair. What protects the account as a whole stays."""
_KEPT = {"MAX_GROSS_EXPOSURE_PCT": "1", "MAX_DAILY_LOSS_PCT": "0.05", "ALLOW_SHORT": "explicit"}

_ALIASES = {
    "ALPACA_API_KEY": "APCA_API_KEY_ID",
    "ALPACA_SECRET_KEY": "APCA_API_SECRET_KEY",
    "ALPACA_TRADING_URL": "APCA_API_BASE_URL",
    "ALPACA_DATA_URL": "APCA_API_DATA_URL",
}


@dataclass(frozen=True, slots=True)
class Names:
    """Keys in Redis that no other deployment uses.

    Args:
        group: as configured; a dry run's has a suffix, see :attr:`live_group`.
    """

    group: str
    stream: str
    executions: str
    dry_run: bool = False

    @property
    def live_group(self) -> str:
        """The group under which the service really runs."""
        return self._shown(self.group)

    @property
    def live_executions(self) -> str:
        """The stream it really reports to."""
        return self._shown(self.executions)

    def _shown(self, name: str) -> str:
        return f"{name}-dry-run" if self.dry_run else name


def names_for(surroundings: Surroundings, trading_url: str, account: Account) -> Names:
    """Of one account: what waits in its stream can never be traded on another.

    With `CONSUMER_GROUP` set, a service of the user's own is meant, which has to read `blocks`.
    """
    dry = surroundings.flag("DRY_RUN")
    group = surroundings.text("CONSUMER_GROUP")
    if group:
        executions = surroundings.text("EXECUTIONS_STREAM") or "executions"
        return Names(group, "blocks", executions, dry)
    digest = hashlib.sha256(f"{trading_url}|{account.id}".encode()).hexdigest()
    name = f"blocks-{digest[:8]}"
    return Names(name, name, f"{name}-executions", dry)


def names_for_simulator(surroundings: Surroundings) -> Names:
    """Of one run: a simulated order that was left over must never reach a real account."""
    name = f"blocks-simulated-{os.urandom(4).hex()}"
    return Names(name, name, f"{name}-executions", surroundings.flag("DRY_RUN"))


def service_environment(
    options: StackOptions,
    surroundings: Surroundings,
    *,
    connection: Connection,
    redis_url: str,
    names: Names,
    folder: Path,
    since_ms: int,
) -> dict[str, str]:
    """The environment of `python -m solution`; what is not named here is the user's to set.

    Args:
        since_ms: when this run began, by Redis's clock. What an earlier one has left waiting ends
            unsent, with a reason: after its end positions may have been closed.
    """
    settings = {
        "ALPACA_API_KEY": connection.key,
        "ALPACA_SECRET_KEY": connection.secret,
        "ALPACA_TRADING_URL": connection.trading_url,
        "ALPACA_DATA_URL": connection.data_url,
        "REDIS_URL": redis_url,
        "STREAMS": names.stream,
        "CONSUMER_GROUP": names.group,
        "EXECUTIONS_STREAM": names.executions,
        "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "LOG_DIR": str(folder / "logs"),
        "SIGNALS_NOT_BEFORE": str(since_ms),
        "SYMBOLS": ",".join(options.tickers),
        "MAX_QUEUE_WAIT": str(min(LONGEST_WAIT, math.ceil(max(options.session_seconds, 0)) + 600)),
        **rate_limits(options, connection.trading_url),
    }
    if not options.use_alpaca:
        settings |= _simulated(connection)
    settings |= {n: text for n, text in _wishes().items() if not surroundings.text(n)}
    replaced = {*settings, *(_ALIASES[name] for name in settings if name in _ALIASES)}
    return {**surroundings.without(replaced), **settings}


def rate_limits(options: StackOptions, trading_url: str) -> dict[str, str]:
    """`total_allowed_per_min` per `refill_interval_sec`, as requests in any 60 seconds.

    The limit begins at Alpaca's usual one and follows the broker's headers, up to the ceiling.
    """
    wanted = max(1, math.floor(options.per_minute * 60 / options.window_s))
    if not is_loopback(trading_url):
        begin = min(wanted, _ALPACAS_LIMIT)
    else:
        begin = wanted if wanted <= LARGEST_RATE else 0  # unlimited, as only a local server may be
    ceiling = wanted if wanted <= LARGEST_RATE else 0
    return {"RATE_LIMIT_PER_MINUTE": str(begin), "RATE_LIMIT_CEILING": str(ceiling)}


def limits_line(surroundings: Surroundings) -> str:
    """Which limits count, and how to change them; for the user, before anything is sent."""
    values = {name: surroundings.text(name) or "0" for name in WIDE}
    values |= {name: surroundings.text(name) or text for name, text in _KEPT.items()}
    on = [f"{name}={text}" for name, text in values.items() if text not in {"0", "none"}]
    off = [name for name, text in values.items() if text in {"0", "none"}]
    return (
        f"limits: {', '.join(on) or 'none'}; off: {', '.join(off) or 'none'}; "
        "set them by these names in the environment or .env"
    )


def _simulated(connection: Connection) -> Mapping[str, str]:
    """Whatever the user has set for Alpaca must not reach beyond the simulator."""
    return {
        "ALPACA_STREAM_URL": connection.trading_url.replace("http", "ws", 1) + "/stream",
        "ALPACA_DATA_STREAM_URL": connection.data_stream_url,
        "ALPACA_PAPER": "true",
        "ALLOW_LIVE_TRADING": "false",
    }


def _wishes() -> Mapping[str, str]:
    """Defaults of `run_trading`, where the user has set nothing else.

    `ORDERING` stays `asset`: the orders of one ticker go out in the order given, and the tickers
    side by side. `none` would send those of one ticker side by side as well; but an exit overtakes
    the entries that wait for rate budget, and a buy would follow the sell that was to close it.
    """
    return {
        **dict.fromkeys(WIDE, "0"),
        "TIME_IN_FORCE": "day",
        "QUEUE_SIZE": QUEUE_SIZE,
        "INSTANCE_NAME": "run_trading",
    }
