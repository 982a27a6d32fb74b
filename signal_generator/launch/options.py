"""What is asked of a stack, and what it answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from signal_generator.connection import Connection


class LaunchError(Exception):
    """The stack cannot start; one sentence for the user, without a secret in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What `run_trading` was called with, as far as its programs are concerned.

    Args:
        api_key, secret_key: of the account at Alpaca; of no importance to the simulator.
        tickers: what is priced from the start.
        workers: threads that send orders; None leaves it to the stack.
        per_minute: requests in any `window_s` seconds.
        use_alpaca: False starts a simulator instead.
        live_display: whether `signalpaca top` runs on this terminal, drawn every `refresh`
            seconds with the last `updates` orders.
        session_seconds: how long the strategy runs: orders wait for rate budget that long.
        environ: the caller's environment; `.env` of the working directory counts beneath it.
    """

    api_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    tickers: Sequence[str]
    workers: int | None = None
    per_minute: int = 190
    window_s: float = 60.0
    use_alpaca: bool = True
    live_display: bool = False
    refresh: float = 0.5
    updates: int = 15
    session_seconds: float = 23_400.0
    environ: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the started programs are reached.

    Args:
        redis_url: with its password, so it is in no repr.
        stream: where signals are published.
        executions_stream: where their ends are read.
        group: the service's consumer group; its status lies under ``signalpaca:{group}:*``.
        connection: trading and data API, with the keys.
        service_is_ours: False for one that ran already; it is not stopped.
    """

    redis_url: str = field(repr=False)
    stream: str
    executions_stream: str
    group: str
    connection: Connection
    service_is_ours: bool
