"""The closing orders of a flatten: one row, one POST, one id each, like any order of a signal.

What differs is where they come from. The id is a function of deployment, request, symbol and
attempt; no entry waits to be acknowledged; and the worker that a signal's lane would bring is this
module's caller, so that a body is sent again from here.
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from solution import failpoints
from solution.book.positions import Portfolio
from solution.book.prices import Quote
from solution.clock import Clock
from solution.domain.flattening import (
    END_OF_SESSION,
    PREFIX,
    Flattening,
    identity_of,
    is_closing,
)
from solution.domain.market import Market
from solution.domain.orders import Side, client_order_id
from solution.domain.ports import AssetView, Ledger
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef, Intent
from solution.domain.signal_model import Signal
from solution.errors import BrokerError, IdentityExists, Refused
from solution.rate_limiter import Priority, Slot
from solution.trading.closing_terms import ClosingPlan, Terms, no_quote, terms_of
from solution.trading.submit import Submitter
from solution.trading.tracked import UNRESOLVED
from solution.trading.tracker import OrderTracker
from solution.trading.work import Work

log = logging.getLogger(__name__)

AGAIN_LONGEST = 5.0
WITHDRAWN = "the request was withdrawn"
READ_WITHIN = 2.0
"""Seconds: a position is closed by no older picture of it. Between its reading and an order there
may be a weekend, or an outage in which a person closed it by hand."""


class ClosingDesk(Protocol):
    """What a closing order depends on besides the position."""

    def market(self) -> Market: ...
    def quote(self, symbol: str) -> Quote | None: ...
    def connect(self) -> None: ...


class AccountDesk(Protocol):
    """Reads account and positions; spends two rate slots."""

    def refresh_account(self, priority: Priority) -> None: ...


class ClosingLane:
    """What the tracker holds of a closing order: it wakes, and hands a body back to be resent."""

    urgent = True

    def __init__(self, wake: Callable[[], None], again: Callable[[Work], None]) -> None:
        self._wake = wake
        self._again = again

    def done(self) -> None:
        self._wake()

    def requeue(self, item: Work) -> None:
        self._again(item)
        self._wake()


@dataclass(slots=True)
class _Again:
    """A body that is to be sent once more, and when (monotonic)."""

    work: Work
    at: float


class Closer:
    """Decides and sends closing orders; for one thread, that of the flatten.

    Args:
        deployment: the deployment's part of every client_order_id.
        slot: a slot of an exit's priority, or None when none comes in time.
        stopped: why not even a reduction of this symbol may be sent, or None; asked only for what
            no person asked for.
        live: why the account that answers is not the one that may be traded, or None; asked for
            every request.
        wake: ends the caller's pause.
        allow_extended: ALLOW_EXTENDED_HOURS.
        max_price_age: seconds; the extended session's limit is not taken from an older quote.
    """

    def __init__(  # noqa: PLR0913 - the collaborators of the order path, each used here
        self,
        *,
        deployment: str,
        desk: ClosingDesk,
        account: AccountDesk,
        find_asset: Callable[[str], AssetView | None],
        ledger: Ledger,
        portfolio: Portfolio,
        tracker: OrderTracker,
        submitter: Submitter,
        slot: Callable[[], Slot | None],
        stopped: Callable[[str], str | None],
        live: Callable[[], str | None],
        clock: Clock,
        wake: Callable[[], None],
        allow_extended: bool,
        max_price_age: float,
    ) -> None:
        self._deployment = deployment
        self._desk = desk
        self._account = account
        self._find_asset = find_asset
        self._ledger = ledger
        self._portfolio = portfolio
        self._tracker = tracker
        self._submitter = submitter
        self._slot = slot
        self._stopped = stopped
        self._live = live
        self._clock = clock
        self._wake = wake
        self._allow_extended = allow_extended
        self._max_price_age = max_price_age
        self._attempts: dict[tuple[str, str], int] = {}
        self._again: dict[str, _Again] = {}

    # --- a new order --------------------------------------------------------------------------

    def close(self, request: Flattening, symbol: str, begun: Callable[[Intent], None]) -> str:
        """Send one order for all of the position that is free; "" once it is on its way.

        Args:
            begun: told of the durable row before its POST; what it keeps is durable too.

        Returns:
            else why nothing was sent.

        Raises:
            BrokerError: the position could not be read.
        """
        asset = self._find_asset(symbol)
        if asset is None:
            return "the broker does not list it"
        side = Side.SELL if self._portfolio.view(symbol).qty > 0 else Side.BUY
        terms = self._terms(request, asset, side)
        if isinstance(terms, str):
            return terms
        self._read()
        self._desk.connect()
        slot = self._slot()
        if slot is None:
            return "no request is left in the rate budget"
        if self._is_withdrawn(request.key):  # the slot may have been long in coming
            slot.cancel()
            return WITHDRAWN
        identity = self._next_identity(request.id, symbol)
        coid = client_order_id(self._deployment, identity)
        plan = ClosingPlan(request, asset, side, terms, identity, coid)
        try:
            return self._send(plan, slot, begun)
        except Refused as e:
            return e.message
        finally:
            slot.cancel()  # a no-op once it was spent on a POST

    def _read(self) -> None:
        """Have a picture of the position that is young enough to close it."""
        if self._clock.monotonic() - self._portfolio.snapshot_at > READ_WITHIN:
            self._account.refresh_account(Priority.EXIT)

    def _terms(self, request: Flattening, asset: AssetView, side: Side) -> Terms | str:
        why = self._live()
        if why is None and request.automatic:
            why = self._stopped(asset.symbol)
        if why is not None:
            return why
        return terms_of(
            asset,
            side,
            self._desk.market(),
            functools.partial(self._fresh_quote, asset.symbol),
            allow_extended=self._allow_extended,
        )

    def _fresh_quote(self, symbol: str) -> Quote | None:
        quote = self._desk.quote(symbol)
        if quote is None or self._clock.monotonic() - quote.received > self._max_price_age:
            return None
        return quote

    def _send(self, plan: ClosingPlan, slot: Slot, begun: Callable[[Intent], None]) -> str:
        symbol, now_ms = plan.asset.symbol, self._clock.epoch_ms()
        intent = self._portfolio.reserve(symbol, functools.partial(plan.decide, now_ms))
        failpoints.hit("flatten.reserved", symbol)
        work, lane = self._work(intent, plan.asset), self._lane()
        try:
            self._submitter.begin(intent, work, lane, keeps_lane=not plan.terms.extended)
        except IdentityExists:
            self._portfolio.released(intent.client_order_id)  # the next round counts one further
            return "its row exists already"
        begun(intent)
        failpoints.hit("flatten.row_kept", symbol)
        self._post(intent, work, slot)
        failpoints.hit("flatten.posted", symbol)
        return ""

    def _next_identity(self, request_id: str, symbol: str) -> str:
        """The first attempt without a row: the ledger counts, whatever was kept beside it."""
        key = request_id, symbol
        attempt = self._attempts.get(key, 0) + 1
        while True:
            identity = identity_of(request_id, symbol, attempt)
            if self._ledger.find(identity, client_order_id(self._deployment, identity)) is None:
                self._attempts[key] = attempt - 1
                return identity
            attempt += 1

    def _is_withdrawn(self, key: str) -> bool:
        """A person took it back, or resumed: what is bought now must not be sold."""
        return self._ledger.get_state(key) is None

    def _work(self, intent: Intent, asset: AssetView) -> Work:
        signal = Signal(stream="", entry_id="0-0", ticker=asset.symbol, digest="")
        return Work(
            signal=signal,
            asset=asset,
            ref=EntryRef("", ""),
            received_at=self._clock.monotonic(),
            received_ms=intent.received_ms,
            exempt=not _is_automatic(intent),
        )

    def _lane(self) -> ClosingLane:
        return ClosingLane(self._wake, self._send_later)

    # --- the same body once more ----------------------------------------------------------------

    def adopt(self) -> None:
        """After a start: closing orders of unclear standing can be sent again from here."""
        for tracked in self._tracker.open_orders():
            intent = tracked.intent
            asset = self._find_asset(intent.symbol)
            if is_closing(intent) and asset is not None and tracked.progress.state in UNRESOLVED:
                work = self._work(intent, asset)
                self._tracker.attach(intent.client_order_id, self._lane(), work)

    def _post(self, intent: Intent, work: Work, slot: Slot) -> None:
        if not self._submitter.post(intent, work, slot):
            work.tries += 1
            self._send_later(work, min(AGAIN_LONGEST, 0.05 * 2.0 ** min(work.tries, 10)))

    def _send_later(self, work: Work, pause: float = 0.0) -> None:
        """From the tracker's thread, or from ours."""
        self._again[work.resend] = _Again(work, self._clock.monotonic() + pause)

    def send_again(self) -> None:
        """What provably is not at the broker, if it may still go."""
        now = self._clock.monotonic()
        for coid in [c for c, one in list(self._again.items()) if one.at <= now]:
            one = self._again.pop(coid)
            try:
                self._read()
                slot = self._slot()
            except BrokerError as e:
                log.warning("flatten_waits", extra={"client_order_id": coid, "detail": str(e)})
                slot = None
            if slot is None:
                self._again[coid] = _Again(one.work, now + AGAIN_LONGEST / 5)
                return
            try:
                self._resend(coid, one.work, slot)
            finally:
                slot.cancel()

    def _resend(self, coid: str, work: Work, slot: Slot) -> None:
        intent = self._tracker.retake(coid, self._lane(), work)
        if intent is None:
            return  # news settled it
        self._desk.connect()
        why = self._no_more(intent, work)
        if not why:
            failpoints.hit("flatten.resend", intent.symbol)
            if self._submitter.begin_again(intent):
                self._post(intent, work, slot)
            return
        tracked = self._tracker.get(coid)
        if tracked is not None and tracked.may_exist:
            self._tracker.expire_unconfirmed(coid, why)
        else:
            self._tracker.stopped_before_resend(coid, Reason.NOTHING_TO_SELL, why)

    def _no_more(self, intent: Intent, work: Work) -> str:
        """Why the body must not go out again; "" when it may."""
        if (other := self._live()) is not None:
            return other
        if self._is_withdrawn(intent.signal_id):
            return WITHDRAWN
        if _is_automatic(intent) and (stopped := self._stopped(intent.symbol)) is not None:
            return stopped
        if not self._portfolio.covers(intent.client_order_id):
            return f"what is held of {intent.symbol} no longer covers it"
        if intent.limit_price is None:
            terms = terms_of(
                work.asset, Side(intent.side), self._desk.market(), no_quote, allow_extended=False
            )
            return terms if isinstance(terms, str) else ""
        return ""


def _is_automatic(intent: Intent) -> bool:
    """Whether it closes for a request that no person made; see :attr:`Flattening.automatic`."""
    return intent.signal_id.startswith(PREFIX + END_OF_SESSION)
