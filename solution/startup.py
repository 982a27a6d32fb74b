"""The questions asked before the first signal is read; each failure is one clear line."""

import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis

from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Account, Portfolio, weights
from solution.book.prices import PriceBook, Quote
from solution.clock import Clock, Deadline
from solution.config import Settings
from solution.config_keys import SigningKey
from solution.domain.orders import deployment_id
from solution.domain.ports import AssetView, Ledger
from solution.errors import (
    BrokerError,
    ConfigError,
    NoBudget,
    RateLimited,
    StartupError,
    Unauthorized,
)
from solution.feeds.price_poller import PricePoller
from solution.rate_limiter import Priority
from solution.trading import recovery
from solution.trading.gates.view import GateRules
from solution.trading.orphans import Entry
from solution.trading.plan import CustomSize, SizingRules
from solution.ui.snapshot import DRY_RUN, LIVE, SHADOW, read_plausible, who_sends_orders

log = logging.getLogger(__name__)

R = TypeVar("R")
ENTRIES_PAGE = 1_000
BUDGET_WITHIN = 90.0
"""Seconds that a start waits for the rate budget: a whole window and then some."""


def check_redis(connect: Callable[[], "redis.Redis"], settings: Settings) -> None:
    """One PING, and a look for another instance of the same group.

    Raises:
        StartupError: no Redis there, or a live instance with another ledger: the two would take
            each other's signals, and one signal could trade on two accounts.
    """
    client = connect()
    try:
        client.ping()
        others, _ = read_plausible(client, settings.redis.group)
    except redis.RedisError as e:
        raise StartupError(f"Redis at {settings.redis.shown_url} does not answer: {e}") from e
    finally:
        client.close()
    mine = ledger_name(settings)
    for name, other in others.items():
        # With our ledger, which is ours alone now, it can only be one that is dead or deposed and
        # not forgotten yet; unless it lives here and the lock file was deleted under it.
        locked = settings.ledger.path is not None
        if other.get("ledger") == mine and locked and _runs_here(other):
            raise StartupError(
                f"instance {name} (process {other.get('pid')}) trades on this ledger, and its lock "
                f"file {settings.ledger.path}.lock was deleted; it ends at its next order: start "
                "again then"
            )
        if other.get("ledger") != mine:
            raise StartupError(
                f"instance {name} already serves group {settings.redis.group} with ledger "
                f"{other.get('ledger')}; give this one another CONSUMER_GROUP, or stop that one"
            )


def _runs_here(other: Mapping[str, Any]) -> bool:
    """Whether another instance's process is alive on this machine."""
    pid = other.get("pid")
    if other.get("host") != socket.gethostname() or not isinstance(pid, int) or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ledger_name(settings: Settings) -> str:
    """What tells two ledgers apart, on one machine or on two."""
    return settings.ledger.name


def unclaimed_orders(
    ledger: Ledger,
    wrapper: AlpacaAPIWrapper,
    deployment: str,
    clock: Clock,
    stop: threading.Event,
) -> dict[str, Mapping[str, Any]]:
    """See :func:`solution.trading.recovery.unclaimed`.

    Raises:
        StartupError: the broker's list could not be had; without it a signal might trade twice.
    """
    try:
        return patiently(lambda: recovery.unclaimed(ledger, wrapper, deployment, clock), stop)
    except BrokerError as e:
        raise StartupError(f"the broker's orders cannot be listed: {e}") from e


def recent_entries(
    connect: Callable[[], "redis.Redis"], streams: Sequence[str], since_ms: int
) -> Iterator[Entry]:
    """The entries of all streams since then, oldest first in each, handled or not.

    Raises:
        StartupError: Redis does not answer; without its entries nobody knows whose an order is.
    """
    client: Any = connect()
    try:
        for stream in streams:
            start = f"{max(since_ms, 0)}-0"
            while page := client.xrange(stream, min=start, count=ENTRIES_PAGE):
                for raw_id, fields in page:
                    yield stream, raw_id.decode(), tuple((fields or {}).items())
                start = f"({page[-1][0].decode()}"
    except redis.RedisError as e:
        raise StartupError(f"the streams cannot be read: {e}") from e
    finally:
        client.close()


def patiently(call: Callable[[], R], stop: threading.Event) -> R:
    """A request of the start, again while the account's rate budget is used up.

    After a restart under load the broker still counts what the process before has sent; it gives
    all of it back within a minute.

    Raises:
        BrokerError: what else went wrong, or the wait was too long or ended by a stop.
    """
    deadline = Deadline(BUDGET_WITHIN)
    while True:
        try:
            return call()
        except (RateLimited, NoBudget) as e:
            if deadline.passed() or stop.is_set():
                raise
            asked = e.retry_after if isinstance(e, RateLimited) else None
            pause = min(max(asked or 1.0, 0.5), 10.0)
            log.warning("start_waits_for_rate_budget", extra={"detail": str(e), "pause": pause})
            stop.wait(pause)


def load_world(
    wrapper: AlpacaAPIWrapper,
    poller: PricePoller,
    portfolio: Portfolio,
    settings: Settings,
    stop: threading.Event,
) -> Account:
    """Assets, account, positions, market clock and first prices, asked for side by side.

    Returns:
        the account behind the keys.

    Raises:
        StartupError: wrong keys, no broker, or a blocked account.
    """
    host = settings.broker.trading_url

    def world() -> None:
        patiently(wrapper.load_assets, stop)
        # After the assets: positions are filed under the asset list's spelling.
        patiently(lambda: wrapper.refresh_account(Priority.EXIT), stop)

    with ThreadPoolExecutor(3, thread_name_prefix="startup") as pool:
        pending: list[Future[Any]] = [
            pool.submit(world),
            pool.submit(wrapper.market),
            pool.submit(poller.step),
        ]
        try:
            for each in pending:
                each.result()
        except Unauthorized as e:
            raise StartupError(f"{host} does not accept the keys: {e.message}") from e
        except BrokerError as e:
            raise StartupError(f"{host} does not answer as a broker: {e}") from e
    account = portfolio.account()
    if account is None or account.blocked:
        raise StartupError(
            f"the account {account.id if account else ''} is blocked for trading at {host}"
        )
    return account


def tickers_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The settings that name tickers, each with those it names, as the user spelled them."""
    sizing, gates = settings.sizing, settings.gates
    return {
        "SYMBOLS": sizing.symbols,
        "WEIGHTS": tuple(ticker for ticker, _ in sizing.weights),
        "ALLOWED_SYMBOLS": tuple(sorted(gates.allowed_symbols)),
        "DENIED_SYMBOLS": tuple(sorted(gates.denied_symbols)),
        "TICKER_CAPS": tuple(ticker for ticker, _ in settings.limits.ticker_caps),
        "SIGNAL_HMAC_KEYS": tuple(
            sorted({symbol for key in settings.intake.keys for symbol in key.limit.symbols})
        ),
    }


def in_broker_spelling(settings: Settings, find: Callable[[str], AssetView | None]) -> Settings:
    """The settings with every ticker as the broker spells it, for that is what signals become.

    Compared with the user's spelling, a denied asset would trade.

    Args:
        find: an asset by any spelling.

    Raises:
        StartupError: a ticker that the broker does not list, or one asset weighed twice.
    """
    spelled = {
        name: tuple(_symbol(name, ticker, find) for ticker in tickers)
        for name, tickers in tickers_of(settings).items()
    }
    weighed, shares = spelled["WEIGHTS"], (share for _, share in settings.sizing.weights)
    capped, caps = spelled["TICKER_CAPS"], (cap for _, cap in settings.limits.ticker_caps)
    for name in ("WEIGHTS", "TICKER_CAPS"):
        twice = [symbol for symbol in spelled[name] if spelled[name].count(symbol) > 1]
        if twice:
            raise StartupError(f"{name} names {twice[0]} in two spellings")
    return replace(
        settings,
        sizing=replace(
            settings.sizing,
            symbols=tuple(dict.fromkeys(spelled["SYMBOLS"])),
            weights=tuple(zip(weighed, shares, strict=True)),
        ),
        gates=replace(
            settings.gates,
            allowed_symbols=frozenset(spelled["ALLOWED_SYMBOLS"]),
            denied_symbols=frozenset(spelled["DENIED_SYMBOLS"]),
        ),
        limits=replace(settings.limits, ticker_caps=tuple(zip(capped, caps, strict=True))),
        intake=replace(
            settings.intake, keys=tuple(_spelled_key(key, find) for key in settings.intake.keys)
        ),
    )


def _spelled_key(key: SigningKey, find: Callable[[str], AssetView | None]) -> SigningKey:
    symbols = frozenset(_symbol("SIGNAL_HMAC_KEYS", s, find) for s in key.limit.symbols)
    return replace(key, limit=key.limit._replace(symbols=symbols))


def _symbol(name: str, ticker: str, find: Callable[[str], AssetView | None]) -> str:
    asset = find(ticker)
    if asset is None:
        raise StartupError(f"{name} names {ticker}, which the broker does not list")
    return asset.symbol


def log_world(portfolio: Portfolio, prices: PriceBook, symbols: Sequence[str]) -> None:
    """Account, positions, prices and asset weights, one line each."""
    account = portfolio.account()
    if account is None:
        return
    entries = portfolio.entries()
    values = {s: qty * _mark(prices.get(s), entry) for s, (qty, entry) in entries.items()}
    shares = weights({s: values.get(s, Decimal(0)) for s in {*symbols, *values}}, account.cash)
    log.info(
        "account",
        extra={
            "account": account.id,
            "equity": f"{account.equity:f}",
            "cash": f"{account.cash:f}",
            "buying_power": f"{account.buying_power:f}",
        },
    )
    for symbol in sorted(shares):
        quote = prices.get(symbol)
        log.info(
            "asset",
            extra={
                "symbol": symbol,
                "qty": f"{entries.get(symbol, (Decimal(0),))[0]:f}",
                "bid": _text(quote.bid if quote else None),
                "ask": _text(quote.ask if quote else None),
                "weight": f"{shares[symbol]:.4f}",
            },
        )


def log_position_change(before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> None:
    """What this run did to each position, one line each."""
    for symbol in sorted({*before, *after}):
        change = after.get(symbol, Decimal(0)) - before.get(symbol, Decimal(0))
        if change:
            log.info("position_change", extra={"symbol": symbol, "change": f"{change:+f}"})


def _mark(quote: Quote | None, entry: Decimal) -> Decimal:
    price = quote.sell_price if quote else None
    return entry if price is None else price


def _text(price: Decimal | None) -> str:
    return "-" if price is None else f"{price:f}"


def deployment_of(account_id: str, settings: Settings) -> str:
    """The deployment's part of every client_order_id; a dry run's group gives it its own."""
    return deployment_id(account_id, settings.redis.group)


def mode_of(settings: Settings) -> str:
    """Which mode runs, in the words the banner, the log and ``status`` share."""
    if settings.gates.dry_run:
        return DRY_RUN
    if not settings.broker.paper:
        return LIVE
    host = urlsplit(settings.broker.trading_url).hostname or ""
    return "paper" if host.endswith("alpaca.markets") else "local exchange"


def mode_beside(connect: Callable[[], "redis.Redis"], settings: Settings) -> str:
    """The mode, once it is known who else runs: a dry run beside the real service is its shadow.

    Raises:
        StartupError: Redis does not answer.
    """
    if not settings.gates.dry_run:
        return mode_of(settings)
    client = connect()
    try:
        beside = any(who_sends_orders(client, stream) for stream in settings.redis.streams)
    except redis.RedisError as e:
        raise StartupError(f"Redis at {settings.redis.shown_url} does not answer: {e}") from e
    finally:
        client.close()
    return SHADOW if beside else DRY_RUN


def assets_file(ledger_path: Path | None, trading_url: str) -> Path | None:
    """Where the asset list is kept for a day: beside the ledger, one file per broker host."""
    if ledger_path is None:
        return None
    where = urlsplit(trading_url)
    name = f"assets-{where.hostname}-{where.port or where.scheme}.json"
    return ledger_path.parent / name


def sizing_rules(settings: Settings) -> SizingRules:
    """The sizing policy, a custom function imported and checked.

    Raises:
        ConfigError: the function cannot be imported.
    """
    sizing = settings.sizing
    return SizingRules(
        policy=sizing.policy.value,
        weights=dict(sizing.weights),
        symbols=sizing.symbols,
        qty=sizing.qty or Decimal(0),
        lot=sizing.lot or Decimal(0),
        max_position_pct=sizing.max_position_pct or Decimal(0),
        max_order_notional=sizing.max_order_notional or Decimal(0),
        max_order_notional_pct=sizing.max_order_notional_pct or Decimal(0),
        max_order_qty=sizing.max_order_qty or Decimal(0),
        strategy_caps=dict(settings.limits.strategy_caps),
        gross_exposure=settings.limits.gross_exposure,
        sell_only_above_entry=sizing.sell_only_above_entry,
        custom=_custom(sizing.function) if sizing.function else None,
    )


def _custom(path: str) -> CustomSize:
    module_name, _, name = path.partition(":")
    # As `python -m` does and a console script does not: the user's module lies where they stand.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as e:
        raise ConfigError(f"SIZING={path} cannot be imported: {e}") from e
    if not callable(found):
        raise ConfigError(f"SIZING={path} is not a function")
    policy: CustomSize = found
    return policy


def gate_rules(settings: Settings) -> GateRules:
    """The gates' settings."""
    gates, ages, limits = settings.gates, settings.ages, settings.limits
    return GateRules(
        allow_short=gates.allow_short,
        allow_extended_hours=gates.allow_extended_hours,
        queue_when_closed=gates.queue_when_closed,
        allowed_symbols=gates.allowed_symbols,
        denied_symbols=gates.denied_symbols,
        max_signal_age=ages.max_signal_age,
        not_before_ms=ages.not_before_ms,
        max_queue_wait=ages.max_queue_wait,
        max_price_age=ages.max_price_age,
        max_quote_age=ages.max_quote_age,
        max_order_qty=settings.sizing.max_order_qty or Decimal(0),
        exits_cancel_resting=settings.orders.exit_cancels_resting,
        max_spread_bps=gates.max_spread_bps,
        price_collar_pct=gates.price_collar_pct,
        max_trades_per_day=limits.max_trades_per_day,
        max_orders_per_minute=limits.max_orders_per_minute,
        max_orders_per_minute_per_ticker=limits.max_orders_per_minute_per_ticker,
        max_daily_loss_pct=limits.max_daily_loss_pct,
        max_drawdown_pct=limits.max_drawdown_pct,
        key_limits={key.kid: key.limit for key in settings.intake.keys},
    )
