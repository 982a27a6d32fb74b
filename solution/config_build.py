"""From validated options to the groups that components receive."""

import os
import re
from pathlib import Path

from solution.config_groups import (
    AgeSettings,
    BreakerSettings,
    BrokerSettings,
    ControlSettings,
    EndOfSessionSettings,
    GateSettings,
    IntakeSettings,
    LedgerSettings,
    LimitSettings,
    LoggingSettings,
    Ordering,
    OrderSettings,
    RedisSettings,
    SizingPolicy,
    SizingSettings,
)
from solution.config_ledger import for_dry_run, ledger_file, split_postgres_url
from solution.config_options import Options
from solution.config_urls import LIVE_HOST, PAPER_HOST, is_alpaca, to_websocket
from solution.config_values import NamedCaps
from solution.domain.caps import Cap
from solution.domain.orders import OrderType, TimeInForce

PAPER_TRADING_URL = f"https://{PAPER_HOST}"
LIVE_TRADING_URL = f"https://{LIVE_HOST}"
DATA_URL = "https://data.alpaca.markets"
DATA_STREAM_URL = "wss://stream.data.alpaca.markets"


def broker(options: Options) -> BrokerSettings:
    default_url = PAPER_TRADING_URL if options.alpaca_paper else LIVE_TRADING_URL
    trading_url = options.alpaca_trading_url or default_url
    data_url = options.alpaca_data_url or DATA_URL
    data_stream = DATA_STREAM_URL if is_alpaca(data_url) else to_websocket(data_url)
    return BrokerSettings(
        key_id=options.alpaca_api_key.reveal(),
        secret=options.alpaca_secret_key,
        paper=options.alpaca_paper,
        acknowledged=options.live_trading_acknowledged or "",
        trading_url=trading_url,
        data_url=data_url,
        stream_url=options.alpaca_stream_url or f"{to_websocket(trading_url)}/stream",
        data_stream_url=options.alpaca_data_stream_url or f"{data_stream}/v2/{options.data_feed}",
        data_feed=options.data_feed,
        exclusive_account=options.exclusive_account,
    )


def absolute(text: str) -> Path:
    # Expanded here, because nobody else does: a kill switch at `~/stop` must not become a
    # directory called `~` that no one ever looks into.
    return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100  # resolves "..", follows no links


def ledger(options: Options) -> LedgerSettings:
    url, fsync = options.ledger_url, options.ledger_fsync_before_post
    file = ledger_file(url)
    if file is None:
        url = for_dry_run(url) if options.dry_run else url
        name = split_postgres_url(url).name
        return LedgerSettings(url=url, path=None, name=name, fsync_before_post=fsync)
    path = absolute(str(file))
    if options.dry_run:
        # A dry run's row would tell the real service that the signal is done.
        path = path.with_stem(f"{path.stem}-dry-run")
    return LedgerSettings(
        url=f"sqlite:///{path}",
        path=path,
        name=f"{os.uname().nodename}:{path}",
        fsync_before_post=fsync,
    )


def redis(options: Options) -> RedisSettings:
    return RedisSettings(
        url=options.redis_url,
        streams=options.streams,
        group=f"{options.consumer_group}-dry-run" if options.dry_run else options.consumer_group,
        executions_stream=f"{options.executions_stream}-dry-run"
        if options.dry_run
        else options.executions_stream,
        executions_maxlen=options.executions_maxlen,
        retention_days=options.retention_days,
    )


def sizing(options: Options) -> SizingSettings:
    custom = ":" in options.sizing
    return SizingSettings(
        policy=SizingPolicy.CUSTOM if custom else SizingPolicy(options.sizing),
        symbols=options.symbols,
        weights=options.weights,
        qty=options.qty,
        lot=options.lot,
        max_position_pct=options.max_position_pct,
        max_order_notional=options.max_order_notional.amount,
        max_order_notional_pct=options.max_order_notional.fraction,
        max_order_qty=options.max_order_qty,
        sell_only_above_entry=options.sell_only_above_entry,
        function=options.sizing if custom else None,
    )


def gates(options: Options) -> GateSettings:
    return GateSettings(
        allow_short=options.allow_short,
        allow_extended_hours=options.allow_extended_hours,
        queue_when_closed=options.queue_when_closed,
        allowed_symbols=frozenset(options.allowed_symbols),
        denied_symbols=frozenset(options.denied_symbols),
        max_spread_bps=options.max_spread_bps,
        price_collar_pct=options.price_collar_pct,
        duplicate_window=options.duplicate_window,
        kill_switch=options.kill_switch,
        kill_switch_file=absolute(options.kill_switch_file),
        dry_run=options.dry_run,
    )


def limits(options: Options) -> LimitSettings:
    return LimitSettings(
        gross_exposure=Cap(fraction=options.max_gross_exposure_pct),
        ticker_caps=_caps(options.ticker_caps),
        strategy_caps=_caps(options.strategy_caps),
        max_trades_per_day=options.max_trades_per_day,
        max_orders_per_minute=options.max_orders_per_minute,
        max_orders_per_minute_per_ticker=options.max_orders_per_minute_per_ticker,
        max_daily_loss_pct=options.max_daily_loss_pct,
        max_drawdown_pct=options.max_drawdown_pct,
        max_flips=options.max_flips,
        flip_window=options.flip_window,
        halt_on_trip=options.halt_on_trip,
    )


def _caps(named: NamedCaps) -> tuple[tuple[str, Cap], ...]:
    return tuple((name, Cap(amount=cap.amount, fraction=cap.fraction)) for name, cap in named)


def breaker(options: Options) -> BreakerSettings:
    return BreakerSettings(
        failures=options.circuit_breaker_failures,
        cooldown=options.circuit_breaker_cooldown,
        reset=options.circuit_breaker_reset,
    )


def control(options: Options) -> ControlSettings:
    stream = options.control_stream or f"signalpaca:control:{options.consumer_group}"
    return ControlSettings(
        stream=f"{stream}-dry-run" if options.dry_run else stream, key=options.control_hmac_key
    )


def intake(options: Options) -> IntakeSettings:
    return IntakeSettings(keys=options.signal_hmac_keys, own_key=options.signal_hmac_key)


def end_of_session(options: Options) -> EndOfSessionSettings:
    return EndOfSessionSettings(
        liquidate=options.eos_behavior == "liquidate", before_close=options.eos_minutes
    )


def orders(options: Options) -> OrderSettings:
    resend = options.resend_unknown
    return OrderSettings(
        order_type=OrderType(options.order_type),
        time_in_force=TimeInForce(options.time_in_force),
        limit_collar_bps=options.limit_collar_bps,
        exit_cancels_resting=options.exit_cancels_resting,
        resend_unknown=options.alpaca_paper if resend is None else resend,
        ordering=Ordering(options.ordering),
    )


def ages(options: Options) -> AgeSettings:
    return AgeSettings(
        max_signal_age=options.max_signal_age,
        not_before_ms=options.signals_not_before,
        max_queue_wait=options.max_queue_wait,
        price_poll_interval=options.price_poll_interval,
        max_price_age=options.max_price_age,
        max_quote_age=options.max_quote_age,
    )


def logging(options: Options, *, color: bool) -> LoggingSettings:
    where = absolute(options.log_dir) if options.log_dir else None
    return LoggingSettings(level=options.log_level, dir=where, color=color)


def instance(options: Options) -> str:
    """The configured name, or the host's; the application adds what tells its processes apart."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", os.uname().nodename)[:48]
    return options.instance_name or host or "host"
