"""What the gates look at: prices, market, account and age, all of one moment."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from solution.book.positions import Account, Portfolio
from solution.book.prices import Quote
from solution.clock import Clock
from solution.domain.day import Day
from solution.domain.market import Market
from solution.trading.compose import Composer, PipelineRules
from solution.trading.duplicates import Duplicates
from solution.trading.gates.view import View
from solution.trading.kill_switch import KillSwitch
from solution.trading.states import TradingStates
from solution.trading.tracker import OrderTracker
from solution.trading.work import Work


class MarketDesk(Protocol):
    """The part of the wrapper that is looked at; none of it spends trading-API budget."""

    def market(self) -> Market: ...
    def quote(self, symbol: str) -> Quote | None:
        """From memory, or fetched once on the spot when too old."""
        ...


class Tripping(Protocol):
    """What limits that trip say to the gates, from memory."""

    def breaker(self, beside: str) -> str | None:
        """Why nothing may open a position; ``beside`` is the order that is judged."""
        ...

    def day(self) -> Day | None: ...


class NothingTrips:
    """There are no such limits."""

    def breaker(self, beside: str) -> str | None:  # noqa: ARG002 - of the protocol
        """It never opens."""
        return None

    def day(self) -> Day | None:
        """Nobody asks."""
        return None


class Looker:
    """Makes the :class:`View` of one signal; called by workers.

    Args:
        redis_ms: Redis time, so that ages compare two readings of one clock.
        starved: seconds of waiting for the rate budget so far; see :meth:`Lanes.starved`.
        tripping: the limits that trip, and the day's figures.
    """

    def __init__(  # noqa: PLR0913 - everything that a gate may ask about
        self,
        *,
        rules: PipelineRules,
        composer: Composer,
        desk: MarketDesk,
        portfolio: Portfolio,
        tracker: OrderTracker,
        kill: KillSwitch,
        states: TradingStates,
        clock: Clock,
        redis_ms: Callable[[], int],
        starved: Callable[[], float],
        duplicates: Duplicates,
        tripping: "Tripping | None" = None,
    ) -> None:
        self._rules = rules
        self._duplicates = duplicates
        self._composer = composer
        self._desk = desk
        self._portfolio = portfolio
        self._tracker = tracker
        self._kill = kill
        self._states = states
        self._clock = clock
        self._redis_ms = redis_ms
        self._starved = starved
        self._tripping = tripping or NothingTrips()

    def look(self, work: Work, *, beside: str = "") -> View:
        """The picture of this moment; ``beside`` is an order of its own that does not count."""
        signal, symbol, now = work.signal, work.asset.symbol, self._clock.monotonic()
        wall = self._clock.now()
        quote = self._desk.quote(symbol)
        if quote is not None:
            quote = usable(quote, wall, self._rules.gates.max_quote_age)
        exchange_at = _exchange_time(quote)
        market = self._desk.market()
        # Both clocks: the monotonic one stands still while the machine is suspended.
        waited = max(now - work.received_at, (self._clock.epoch_ms() - work.received_ms) / 1000)
        account = self._portfolio.account()
        return View(
            signal=signal,
            asset=work.asset,
            rules=self._rules.gates,
            market=market,
            # The questions before this line may be slow each time (a price fetched on the spot).
            seen_at=self._clock.monotonic(),
            age=(self._redis_ms() - signal.oldest_ms()) / 1000,
            starved=self.starved_for(work, now) if work.fresh else 0.0,
            waited=waited,
            killed=None if work.exempt else self._kill.reason(),
            restriction=None if work.exempt else self._states.restriction(symbol),
            account=account,
            live=another_account(self._rules.account_id, account),
            breaker=self._tripping.breaker(beside),
            day=self._tripping.day(),
            halted=None if work.exempt else self._states.halts.reason(symbol),
            duplicate_of=self._duplicates.earlier(signal),
            resting=self._tracker.resting(symbol),
            quote=quote,
            price_age=self._clock.monotonic() - quote.received if quote else None,
            quote_age=(wall - exchange_at).total_seconds() if exchange_at else None,
            unconfirmed=self._tracker.is_unconfirmed(symbol, beside=beside),
            time_in_force=self._composer.expected_time(signal, crypto=work.asset.is_crypto),
        )

    def starved_for(self, work: Work, now: float) -> float:
        """Seconds it waited for the rate budget: for a slot, or to have its position asked for."""
        return max(self._starved() - work.starved_at, now - work.waits_since)


def another_account(started_on: str, account: Account | None) -> str | None:
    """Why the account that answers now may not be traded: it is not the one of the start."""
    if account is None or started_on in {"", account.id}:
        return None
    return f"the keys open account {account.id} now, this service was started on {started_on}"


def usable(quote: Quote, wall: datetime, limit: float) -> Quote:
    """The quote without a bid and ask that are too old beside a newer trade.

    Otherwise a size would be computed on the old ask while the new trade made it look young.
    """
    stale = quote.quote_at is None or (wall - quote.quote_at).total_seconds() > limit
    if not limit or not stale or quote.trade_at is None:
        return quote
    return replace(quote, bid=None, ask=None, quote_at=None)


def _exchange_time(quote: Quote | None) -> datetime | None:
    """When the exchange last spoke of the symbol: the younger of quote and trade."""
    if quote is None:
        return None
    times = [at for at in (quote.quote_at, quote.trade_at) if at is not None]
    return max(times, default=None)
