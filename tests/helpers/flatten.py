"""A flatten in one thread: everything real but the broker, the clock and the thread.

A :class:`FlattenRig` is a :class:`tests.helpers.trading.Rig` whose broker keeps positions, with the
whole saga on top of it. :meth:`FlattenRig.run` lets time pass in the saga's own pace.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from solution.book.positions import Account, Portfolio, Position
from solution.domain.flattening import PREFIX, Flattening, flattening_of
from solution.domain.records import Intent
from solution.rate_limiter import Priority, Slot
from solution.trading.closing import Closer
from solution.trading.flatten import Flattener
from solution.trading.flatten_limits import FlattenLimits
from solution.trading.flatten_round import FlattenRound
from solution.trading.resting import RestingOrders
from tests.helpers.clocks import ManualClock
from tests.helpers.trading import ASSETS, DEPLOYMENT, Answer, FakeDesk, Rig, RigRules

OPEN = frozenset({"new", "accepted", "held", "partially_filled"})


class PositionDesk(FakeDesk):
    """A broker in a dict that keeps positions: fills move them, open sales hold them."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self._manual = clock
        self.positions: dict[str, Decimal] = {}
        self.sold: dict[str, Decimal] = {}
        """Shares that changed hands by orders of either side, by symbol."""
        self.lag: dict[str, Decimal] = {}
        """What pictures of the account still say of a position."""
        self.portfolio: Portfolio | None = None

    def live_on(self, clock: ManualClock) -> None:
        """The service has another clock after a crash; time goes on."""
        self._manual = self._clock = clock

    def fill(self, coid: str, price: str = "100", qty: str = "") -> dict[str, Any]:
        order = self.orders[coid]
        before = Decimal(order["filled_qty"])
        found = super().fill(coid, price, qty)
        symbol, done = str(order["symbol"]), Decimal(found["filled_qty"]) - before
        self.sold[symbol] = self.sold.get(symbol, Decimal(0)) + done
        signed = done if order["side"] == "buy" else -done
        self.positions[symbol] = self.positions.get(symbol, Decimal(0)) + signed
        return found

    def refresh_account(self, priority: Priority) -> None:
        super().refresh_account(priority)
        assert self.portfolio is not None
        self._manual.advance(0.001)
        asked = self._manual.monotonic()
        self._manual.advance(0.001)
        account = Account("acc", Decimal(100_000), Decimal(100_000), Decimal(200_000))
        shown = {s: q for s, q in (self.positions | self.lag).items() if q}
        positions = {
            symbol: Position(symbol, qty, self._available(symbol, qty), Decimal(100))
            for symbol, qty in shown.items()
        }
        self.portfolio.apply_snapshot(account, positions, asked)

    def _available(self, symbol: str, qty: Decimal) -> Decimal:
        held = sum(
            Decimal(o["qty"]) - Decimal(o["filled_qty"])
            for o in self.orders.values()
            if o["symbol"] == symbol and o["side"] == "sell" and o["status"] in OPEN
        )
        return max(Decimal(0), qty - held) if qty > 0 else qty


class FlattenRig:
    """Positions at the broker and in our books, and a saga to close them."""

    def __init__(
        self,
        *,
        rules: RigRules | None = None,
        rig: Rig | None = None,
        exclusive: bool = False,
        allow_extended: bool = False,
        dry_run: bool = False,
        **positions: str,
    ) -> None:
        self.rig = rig or Rig(rules, make_desk=PositionDesk)
        desk = self.rig.desk
        assert isinstance(desk, PositionDesk)
        self.desk = desk
        self.states = self.rig.states
        self.prompted = 0
        self.has_slot = True
        self.stopped: str | None = None
        self.other_account: str | None = None
        desk.portfolio = self.rig.portfolio
        desk.positions |= {symbol: Decimal(qty) for symbol, qty in positions.items()}
        desk.on_cancel = self.cancelled
        desk.refresh_account(Priority.EXIT)
        self.rig.clock.advance(0.001)
        self.build(exclusive=exclusive, allow_extended=allow_extended, dry_run=dry_run)

    def build(self, *, exclusive: bool, allow_extended: bool, dry_run: bool) -> None:
        """The saga's parts, as at a start."""
        rig = self.rig
        self.closer = Closer(
            deployment=DEPLOYMENT,
            desk=self.desk,
            account=self.desk,
            find_asset=ASSETS.get,
            ledger=rig.ledger,
            portfolio=rig.portfolio,
            tracker=rig.tracker,
            submitter=rig.submitter,
            slot=self._slot,
            stopped=lambda _symbol: self.stopped,
            live=lambda: self.other_account,
            clock=rig.clock,
            wake=lambda: None,
            allow_extended=allow_extended,
            max_price_age=5.0,
        )
        self.resting = RestingOrders(
            self.desk,
            rig.tracker,
            rig.clock,
            find_asset=ASSETS.get,
            is_ours=lambda coid: coid.startswith(f"sp-{DEPLOYMENT}-"),
            exclusive=exclusive,
            stopping=lambda: False,
        )
        rounds = FlattenRound(
            desk=self.desk,
            portfolio=rig.portfolio,
            tracker=rig.tracker,
            resting=self.resting,
            sender=self.closer,
            row_of=rig.ledger.find_by_client_order_id,
            find_asset=ASSETS.get,
            clock=rig.clock,
        )
        self.service = Flattener(
            ledger=rig.ledger,
            rounds=rounds,
            resends=self.closer,
            restrict=FlattenLimits(self.states, ASSETS.get).restrict,
            prompt=self._prompt,
            clock=rig.clock,
            dry_run=dry_run,
        )

    def _prompt(self) -> None:
        self.prompted += 1

    def _slot(self) -> Slot | None:
        return self.rig.limiter.try_acquire(Priority.EXIT) if self.has_slot else None

    def after_a_crash(self) -> "FlattenRig":
        """A new process over the same ledger and the same broker, a second later."""
        dead = self.rig

        def same(clock: ManualClock) -> FakeDesk:
            clock.advance_to(dead.clock.monotonic() + 1)
            self.desk.live_on(clock)
            return self.desk

        rig = Rig(dead.rules, ledger=dead.ledger, make_desk=same)
        made = FlattenRig(rig=rig)
        rig.states.refresh()
        rig.recover()
        made.service.on_start()
        return made

    # --- the broker -----------------------------------------------------------------------------

    def cancelled(self, order_id: str) -> None:
        """A cancel takes effect at once, and the stream tells it."""
        order = self.order(order_id)
        if order["status"] in OPEN:
            order["status"] = "canceled"
            self.rig.hear(self.rig.update(order["client_order_id"], "canceled"))

    def order(self, order_id: str) -> dict[str, Any]:
        """The broker's order under this id."""
        return next(o for o in self.desk.orders.values() if o["id"] == order_id)

    def answers(self, *answers: Answer) -> None:
        """The next POSTs get these."""
        self.desk.script.extend(answers)

    # --- requests -------------------------------------------------------------------------------

    def ask(self, *symbols: str, request_id: str = "one", **more: Any) -> None:
        """Somebody writes a request."""
        request = Flattening(request_id, symbols, "a test", self.rig.clock.epoch_ms(), **more)
        self.rig.ledger.set_state(request.key, request.to_json())

    def request(self, request_id: str = "one") -> Flattening:
        """As it stands in the ledger."""
        text = self.rig.ledger.get_state(PREFIX + request_id)
        assert text is not None, f"no request {request_id}"
        return flattening_of(request_id, text)

    def run(
        self, seconds: float = 30.0, until: Callable[[], bool] | None = None
    ) -> Flattening | None:
        """Rounds in the saga's pace, until the request is done (or something else is so)."""
        end = self.rig.clock.monotonic() + seconds
        while self.rig.clock.monotonic() < end:
            pause = self.service.step()
            if self.request().done_ms or (until is not None and until()):
                break
            self.rig.advance(pause)
        return self.request()

    def left(self) -> dict[str, tuple[str, str]]:
        """By symbol: what is left, and why."""
        return {s: (one.qty, one.why) for s, one in self.request().left.items()}

    def sent(self) -> Sequence[tuple[str, str, str]]:
        """Symbol, side and quantity of each closing order that has a row, oldest first."""
        return [(o.symbol, o.side, o.qty) for o in self.request().orders.values()]

    def rows(self) -> Sequence[Intent]:
        """The rows of the closing orders."""
        return [self.rig.row(coid) for coid in self.request().orders]
