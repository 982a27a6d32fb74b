"""Everything that the broker is reached by, and what is known of it from the start on."""

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from solution import startup
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.book.prices import PriceBook
from solution.broker_client import client_of
from solution.clock import Clock
from solution.config import Settings
from solution.domain.crypto import in_pair_spelling
from solution.feeds.price_poller import FETCH_NOW_SECONDS, PricePoller
from solution.ledger.store import Store
from solution.rate_limiter import RateLimiter
from solution.trading import recovery


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """The way to the broker, and the books that its answers are kept in."""

    limiter: RateLimiter
    portfolio: Portfolio
    prices: PriceBook
    client: AlpacaAPIClient
    wrapper: AlpacaAPIWrapper
    poller: PricePoller


def build_broker(settings: Settings, clock: Clock) -> Broker:
    """Nothing is asked yet."""
    broker = settings.broker

    def observe(status: int, headers: Mapping[str, str]) -> None:
        wrapper.observe(status, headers)  # it is made below, of the client that calls this

    limiter = RateLimiter(
        settings.rate_limit_per_minute, ceiling=settings.rate_limit_ceiling, clock=clock
    )
    portfolio = Portfolio(clock, [name for name, _ in settings.limits.strategy_caps])
    prices = PriceBook()
    client = client_of(broker, clock, on_headers=observe)
    wrapper = AlpacaAPIWrapper(
        client,
        limiter,
        portfolio,
        clock,
        assets_file=startup.assets_file(settings.ledger.path, broker.trading_url),
    )
    poller = PricePoller(
        prices,
        client.snapshots,
        interval=settings.ages.price_poll_interval,
        fetch_soon=functools.partial(client.snapshots, within=FETCH_NOW_SECONDS),
        clock=clock,
    )
    return Broker(
        limiter=limiter,
        portfolio=portfolio,
        prices=prices,
        client=client,
        wrapper=wrapper,
        poller=poller,
    )


def meet_account(
    broker: Broker, settings: Settings, ledger: Store, stop: threading.Event, clock: Clock
) -> tuple[str, Settings]:
    """Ask for assets, account, positions and prices, and bind the ledger to the account.

    Returns:
        the account's id, and the settings with every ticker as the broker spells it.

    Raises:
        StartupError: the broker or the account is not as it must be, or lists no such ticker.
    """
    for symbol in settings.sizing.symbols:
        broker.prices.watch(in_pair_spelling(symbol))
    # Before the first request: the broker remembers what was sent before the restart.
    recovery.restore_budget(ledger, broker.limiter, clock)
    account = startup.load_world(broker.wrapper, broker.poller, broker.portfolio, settings, stop)
    settings = startup.in_broker_spelling(settings, broker.wrapper.find)
    for symbol in settings.sizing.symbols:
        broker.prices.watch(symbol)
    recovery.bind_ledger(ledger, account.id, settings.broker.trading_url)
    return account.id, settings
