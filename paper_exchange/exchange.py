"""The exchange as one object: everything but the network."""

from random import Random

from paper_exchange.accounts import Accounts
from paper_exchange.assets import AssetBook
from paper_exchange.clock import MILLISECOND, Clock, SystemClock
from paper_exchange.events import EventSink
from paper_exchange.hours import make_hours
from paper_exchange.ids import IdSource, random_id
from paper_exchange.market import Market, Replayed
from paper_exchange.matching import Behaviour, Engine
from paper_exchange.rate_limit import RateLimiter
from paper_exchange.settings import Settings
from paper_exchange.witness import Witness


class Exchange:
    """Assets, market, accounts and engine, built from settings."""

    def __init__(
        self,
        settings: Settings,
        sink: EventSink,
        *,
        clock: Clock | None = None,
        new_id: IdSource = random_id,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.assets = AssetBook(settings.symbols)
        self.hours = make_hours(settings.session)
        start_ns = self.clock.now_ns()
        self.market = Market(
            self.assets,
            seed=settings.seed,
            volatility=settings.volatility,
            origin_ns=start_ns,
            session=settings.session,
            replayed=_replayed(settings, self.assets, start_ns),
        )
        self.accounts = Accounts(settings.cash, settings.keys)
        self.limiter = RateLimiter(settings.rate_limit)
        self.witness = Witness()
        self.engine = Engine(
            market=self.market,
            hours=self.hours,
            clock=self.clock,
            new_id=new_id,
            draws=Random(settings.seed),  # noqa: S311  -- partial fills, not secrets
            sink=sink,
            behaviour=Behaviour(
                fill_delay_ns=settings.fill_delay_ms * MILLISECOND,
                partial_fill_rate=settings.partial_fill_rate,
                closed_ioc=settings.closed_ioc,
            ),
        )


def _replayed(settings: Settings, assets: AssetBook, start_ns: int) -> dict[str, Replayed]:
    """What the files tell; symbols only they know are added to the assets.

    Raises:
        ReplayError: when one cannot be replayed.
    """
    if not settings.replay:
        return {}
    from paper_exchange.replay.load import When, load

    when = When(start_ns, settings.replay_times == "recorded", settings.session)
    return load(settings.replay, assets, when)
