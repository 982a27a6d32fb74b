"""The exchange as one object: everything but the network."""

from random import Random

from paper_exchange.assets import AssetBook
from paper_exchange.books.accounts import Accounts
from paper_exchange.clock import MILLISECOND, SECOND, Clock, ManualClock, SystemClock, make_clock
from paper_exchange.engine.events import EventSink, TradeEvent
from paper_exchange.engine.matching import Behaviour, Engine
from paper_exchange.faults.orders import FaultyConduct
from paper_exchange.faults.rules import Faults
from paper_exchange.hours import make_hours
from paper_exchange.ids import IdSource, random_id, seeded_ids
from paper_exchange.prices.market import DAY_NS, Market, Replayed
from paper_exchange.rate_limit import RateLimiter
from paper_exchange.settings import Settings
from paper_exchange.storage.kept_clock import KeptClock
from paper_exchange.storage.recovery import recover
from paper_exchange.storage.store import Parts, Store
from paper_exchange.witness import Witness

#: The longest way a stepped clock moves at once.
LONGEST_STEP_NS = 7 * DAY_NS


class Exchange:
    """Assets, market, accounts and engine, built from settings, and the store that keeps them.

    Raises:
        StateError: on construction, when the settings name a state file that cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        sink: EventSink,
        *,
        clock: Clock | None = None,
        new_id: IdSource | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or make_clock(
            settings.speed, settings.start_ns, stepped=settings.stepped
        )
        self.assets = AssetBook(settings.symbols)
        self.hours = make_hours(settings.session)
        self.store = Store(
            settings.state,
            keep=settings.keep_closed,
            seed=settings.seed,
            assets=self.assets,
            now_ns=self.clock.now_ns(),
        )
        self._keep_time()
        self.journal = self.store.journal
        if new_id is None:
            # What happens on a stepped clock can be repeated to the byte, ids included.
            new_id = seeded_ids(self.store.id_seed) if settings.stepped else random_id
        self.market = Market(
            self.assets,
            seed=settings.seed,
            volatility=settings.volatility,
            origin_ns=self.store.origin_ns,
            session=settings.session,
            replayed=_replayed(settings, self.assets, self.store.origin_ns),
        )
        self.accounts = Accounts(settings.cash, settings.keys, self.journal, self.store.archive)
        self.limiter = RateLimiter(
            settings.rate_limit,
            window_ns=round(settings.rate_window * SECOND),
            # A client's own limiter counts in real time, at whatever speed the exchange's runs.
            clock=self.clock if isinstance(self.clock, ManualClock) else SystemClock(),
        )
        self.witness = Witness()
        self.engine = Engine(
            market=self.market,
            hours=self.hours,
            clock=self.clock,
            new_id=new_id,
            draws=Random(settings.seed),  # noqa: S311  -- partial fills, not secrets
            sink=self._noting(sink) if self.store.durable else sink,
            behaviour=Behaviour(
                fill_delay_ns=settings.fill_delay_ms * MILLISECOND,
                cancel_delay_ns=settings.cancel_delay_ms * MILLISECOND,
                liquidity=settings.liquidity,
                partial_fill_rate=settings.partial_fill_rate,
                closed_ioc=settings.closed_ioc,
            ),
        )
        self.faults = Faults(settings.seed, settings.faults)
        self.engine.conduct = FaultyConduct(
            self.faults, self.engine.conduct, self.accounts.key_id_of
        )
        parts = Parts(self.accounts, self.assets, self.market, self.engine, self.clock)
        self.store.attach(parts)
        if settings.state is not None:
            recover(parts, self.store, settings.state)

    def _keep_time(self) -> None:
        """Go on from what a state file says; keep what is shown, where the clock is our own.

        A machine's clock goes on by itself while nobody runs, and is not moved ahead of it.
        """
        clock, last = self.clock, self.store.clock_ns
        own = self.settings.speed != 1 or self.settings.start_ns is not None
        own = own or last > clock.now_ns()
        clock.not_before(last)
        if own and self.store.durable and isinstance(clock, SystemClock):
            self.clock = KeptClock(clock, self.store.keep_clock)

    def _noting(self, sink: EventSink) -> EventSink:
        """The sink behind one that notes every order something is told of."""

        def note(event: TradeEvent) -> None:
            self.journal.order(event.order)
            sink(event)

        return note

    def step(self, clock: ManualClock, target_ns: int) -> None:
        """Move a stepped clock, letting the engine work wherever it asks to on the way."""
        while (pause := self.engine.tick()) is not None and clock.ns + pause < target_ns:
            clock.ns += max(1, pause)
        clock.ns = target_ns
        self.engine.tick()
        self.journal.step()

    def close(self) -> None:
        """Write what is left and give up the files; nothing may be asked afterwards.

        Raises:
            sqlite3.Error: what was left could not be written.
        """
        self.witness.close()
        if isinstance(self.clock, KeptClock):
            # Nobody is shown a later moment: the next start need not jump ahead of it.
            self.store.keep_clock(self.clock.now_ns())
        self.store.close()


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
