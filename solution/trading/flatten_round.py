"""One round of a flatten: what is due now is done, and what is left is told, with the reason.

Every order of it goes the one way that all orders go: a reservation, a durable row, one POST, the
tracker. Between rounds nothing is remembered that a round could not find out again, but for times.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from solution import failpoints
from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.flattening import Closing, Flattening, Left, belongs_to
from solution.domain.ports import AssetView
from solution.domain.records import Intent, State
from solution.rate_limiter import Priority
from solution.trading.closing_terms import CRYPTO
from solution.trading.resting import LIST_EVERY, RestingOrders, Standing
from solution.trading.tracker import OrderTracker

log = logging.getLogger(__name__)

READ_EVERY = 0.5
"""Seconds between two pictures of the account; each costs two requests."""
SETTLE = 1.0
"""Seconds after a closing order's end from which on a picture of the position is believed: one that
lags behind the fill would have the same shares sold twice."""
ENOUGH_REFUSALS = 5
REFUSED_PAUSE = 2.0
LATE_MS = 60_000
"""After ``until_ms``, what the stream still has to tell of the last orders."""
READING = "the position is being read"

Keep = Callable[[Flattening], None]


class AccountDesk(Protocol):
    def refresh_account(self, priority: Priority) -> None: ...


class Sender(Protocol):
    """What sends a closing order: :class:`solution.trading.closing.Closer`."""

    def close(self, request: Flattening, symbol: str, begun: Callable[[Intent], None]) -> str: ...


@dataclass(slots=True)
class Run:
    """What this process knows of one request beside its row; times are monotonic seconds.

    Args:
        began: when it was taken up here.
        moved_at: what a list or a picture of the account has to be younger than to be the last.
        read_after: the same for the picture of one position.
        refusals: closing orders in a row that were not taken, by symbol.
    """

    began: float
    moved_at: float = field(default=0.0)
    read_after: dict[str, float] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.moved_at = self.began

    def after(self, symbol: str) -> float:
        return self.read_after.get(symbol, self.began)

    def moved(self, symbol: str, at: float) -> None:
        """Something of the symbol ended; what is asked from ``at`` on contains it."""
        self.read_after[symbol] = max(at, self.after(symbol))
        self.moved_at = max(at, self.moved_at)


class FlattenRound:
    """Does what is due; for one thread.

    Args:
        row_of: the ledger's row of a client_order_id.
        find_asset: by any spelling.
    """

    def __init__(  # noqa: PLR0913 - what a round looks at, each used here
        self,
        *,
        desk: AccountDesk,
        portfolio: Portfolio,
        tracker: OrderTracker,
        resting: RestingOrders,
        sender: Sender,
        row_of: Callable[[str], Intent | None],
        find_asset: Callable[[str], AssetView | None],
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._portfolio = portfolio
        self._tracker = tracker
        self._resting = resting
        self._sender = sender
        self._row_of = row_of
        self._find_asset = find_asset
        self._clock = clock
        self._read_at = float("-inf")

    def work(self, request: Flattening, run: Run, keep: Keep) -> bool | None:
        """One round.

        Args:
            keep: makes the request's progress durable.

        Returns:
            None while it goes on; at its end whether everything is closed.

        Raises:
            BrokerError: the broker did not answer a question; the next round asks again.
        """
        over = 0 < request.until_ms <= self._clock.epoch_ms()
        self._follow(request, run)
        standing = self._cancels(request, run, act=not over)
        self._read(request, run)
        left = {}
        for symbol in self._symbols(request, standing):
            why = self._busy(request, symbol, standing)
            if not why:
                why = self._open_position(request, run, symbol)
                if why == _TO_BE_CLOSED:
                    why = "its time is over" if over else self._close(request, run, symbol, keep)
            if why:
                left[symbol] = Left(f"{self._portfolio.view(symbol).qty:f}", why)
        request.left = left
        if over:
            return self._result_in_time(request)
        return None if standing else self._result(request, run)

    # --- what it is about ---------------------------------------------------------------------

    def _symbols(self, request: Flattening, standing: Mapping[str, Standing]) -> list[str]:
        """What is to be closed, as the broker spells it."""
        named = {self._spelled(symbol) for symbol in request.symbols}
        held = {s for s in self._portfolio.quantities() if self._covers(request, s)}
        resting = {order.symbol for order in standing.values()}
        sent = {order.symbol for order in request.orders.values()}
        return sorted(named | held | resting | sent)

    def _spelled(self, ticker: str) -> str:
        asset = self._find_asset(ticker)
        return asset.symbol if asset else ticker

    def _covers(self, request: Flattening, symbol: str) -> bool:
        if request.symbols:
            return symbol in {self._spelled(s) for s in request.symbols}
        asset = self._find_asset(symbol)
        return not (request.stocks_only and asset is not None and asset.asset_class == CRYPTO)

    # --- cancels ------------------------------------------------------------------------------

    def _cancels(self, request: Flattening, run: Run, *, act: bool) -> Mapping[str, Standing]:
        """Cancel what rests; returns what has not ended yet."""
        covers = functools.partial(self._covers, request)
        now, listed_at = self._clock.monotonic(), self._resting.listed_at
        old = now - listed_at >= LIST_EVERY and self._resting.standing(covers)
        if old or listed_at < run.moved_at <= now:
            self._resting.look()
        standing = self._resting.standing(covers)
        if act and standing:
            self._resting.cancel(request, standing)
            self._resting.settle(standing)
            standing = self._resting.standing(covers)
        for order_id, order in request.cancelled.items():
            if not order.end and order_id not in standing:
                order.end = self._resting.end_of(order_id)
                run.moved(order.symbol, self._clock.monotonic())
        return standing

    def _busy(self, request: Flattening, symbol: str, standing: Mapping[str, Standing]) -> str:
        """What of this symbol has to end first; "" when nothing is on its way."""
        for order in request.orders.values():
            if order.symbol == symbol and not order.over:
                return _under_way(order)
        resting = sum(order.symbol == symbol for order in standing.values())
        if resting:
            return f"orders that rest are being cancelled: {resting}"
        for tracked in self._resting.unresolved():
            if tracked.intent.symbol == symbol:
                return f"order {tracked.intent.client_order_id} of a signal is on its way"
        return ""

    # --- positions ----------------------------------------------------------------------------

    def _read(self, request: Flattening, run: Run) -> None:
        """A new picture of the account, where the one in hand is older than what happened."""
        now = self._clock.monotonic()
        held = [s for s in self._portfolio.quantities() if self._covers(request, s)]
        stale = [s for s in held if not self._is_read(run, s) and run.after(s) <= now]
        behind = self._portfolio.snapshot_at < run.moved_at <= now
        if (stale or behind) and now - self._read_at >= READ_EVERY:
            self._read_at = now
            self._desk.refresh_account(Priority.EXIT)
            failpoints.hit("flatten.read")

    def _is_read(self, run: Run, symbol: str) -> bool:
        """Whether what we hold of it is certain now."""
        read = self._portfolio.snapshot_at > run.after(symbol)
        return read and not self._portfolio.is_uncertain(symbol)

    def _open_position(self, request: Flattening, run: Run, symbol: str) -> str:
        """ "" when nothing is held of it; else why not to close it now, or _TO_BE_CLOSED."""
        if not self._is_read(run, symbol):
            return READING
        held = self._portfolio.view(symbol)
        if not held.qty:
            if held.pending_qty or held.pending_buy_qty:
                return "an order that may open it is not at its end"
            unknown = symbol in request.symbols and self._find_asset(symbol) is None
            return "the broker lists no such ticker" if unknown else ""
        refusals = run.refusals.get(symbol, 0)
        if refusals >= ENOUGH_REFUSALS:
            return f"refused {refusals} times: {self._refusal(request, symbol)}"
        if self._clock.monotonic() < run.not_before.get(symbol, 0.0):
            return f"refused: {self._refusal(request, symbol)}"
        return _TO_BE_CLOSED

    # --- closing orders -----------------------------------------------------------------------

    def _close(self, request: Flattening, run: Run, symbol: str, keep: Keep) -> str:
        """Send the next closing order of a symbol; why it is not closed yet."""

        def begun(intent: Intent) -> None:
            request.orders[intent.client_order_id] = _closing(intent)
            keep(request)

        why = self._sender.close(request, symbol, begun)
        if why:
            return why
        self._follow(request, run)  # the answer may have told its end
        return self._busy(request, symbol, {}) or READING

    def _refusal(self, request: Flattening, symbol: str) -> str:
        """The broker's words for the newest order that it did not take."""
        refused = [c for c, o in request.orders.items() if o.symbol == symbol and o.refused]
        row = self._row_of(refused[-1]) if refused else None
        return (row.message if row else "") or "the broker does not say why"

    def _follow(self, request: Flattening, run: Run) -> None:
        """Where the closing orders stand by now."""
        for tracked in self._tracker.open_orders():
            coid = tracked.intent.client_order_id
            if coid not in request.orders and belongs_to(tracked.intent, request.id):
                request.orders[coid] = _closing(tracked.intent)  # a crash came between the rows
        for coid, order in request.orders.items():
            known = None if order.over else self._tracker.recall(coid)
            if known is None:
                continue
            progress = known.progress
            order.state, order.filled = str(progress.state), f"{progress.filled_qty:f}"
            if order.over:
                self._ended(run, order, coid)

    def _ended(self, run: Run, order: Closing, coid: str) -> None:
        failpoints.hit("flatten.ended", order.symbol)
        now, symbol = self._clock.monotonic(), order.symbol
        run.moved(symbol, now + SETTLE)
        if order.refused:
            run.refusals[symbol] = run.refusals.get(symbol, 0) + 1
            run.not_before[symbol] = now + REFUSED_PAUSE * run.refusals[symbol]
        elif Decimal(order.filled):
            run.refusals.pop(symbol, None)
        log.info(
            "flatten_order_ended",
            extra={"symbol": symbol, "client_order_id": coid, "state": order.state},
        )

    # --- its end ------------------------------------------------------------------------------

    def _result(self, request: Flattening, run: Run) -> bool | None:
        """Done once nothing is left that will be closed, by a list and a picture taken since."""
        if any(not self._is_given_up(run, symbol) for symbol in request.left):
            return None
        # What a worker had decided before signals were restricted has its row by then, or is gone.
        run.moved_at = max(run.moved_at, run.began + SETTLE)
        if min(self._portfolio.snapshot_at, self._resting.listed_at) < run.moved_at:
            return None
        return not request.left

    def _is_given_up(self, run: Run, symbol: str) -> bool:
        refused = run.refusals.get(symbol, 0) >= ENOUGH_REFUSALS
        return refused or self._find_asset(symbol) is None

    def _result_in_time(self, request: Flattening) -> bool | None:
        """Its time is over: the orders that are on their way get a minute to be told."""
        late = self._clock.epoch_ms() > request.until_ms + LATE_MS
        if late or all(order.over for order in request.orders.values()):
            return not request.left
        return None


_TO_BE_CLOSED = "to be closed"


def _closing(intent: Intent) -> Closing:
    qty = intent.qty if intent.qty is not None else intent.reserved_qty
    return Closing(intent.symbol, intent.side, f"{qty:f}", State.SUBMITTING)


def _under_way(order: Closing) -> str:
    if order.state == State.EXPIRED_UNCONFIRMED:
        return f"{order.side} {order.qty} was sent and is not confirmed; nothing is sent beside it"
    done = f", {order.filled} filled" if Decimal(order.filled) else ""
    return f"{order.side} {order.qty} is on its way ({order.state}{done})"
