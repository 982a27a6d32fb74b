"""Orders at the broker that carry an id of ours and have no row in the ledger.

Rows can be missing after a power loss (the row before the POST is committed without fsync), with
a ledger restored from a backup, or with another ledger. The id is a pure function of the signal,
so the signals still in the streams are asked first: the one that has this id owns the order. An
order that no signal explains is followed like any other, and its ticker halts until a person has
looked at it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from solution import failpoints
from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.crypto import book_symbol
from solution.domain.ports import AssetView, Ledger
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef, Intent, State
from solution.domain.signal import Signal, parse
from solution.errors import SignalError
from solution.trading import recovery
from solution.trading.compose import Composer, fill_in
from solution.trading.halts import Halts
from solution.trading.likeness import is_older
from solution.trading.tracker import OrderTracker
from solution.trading.work import FreeLane, Work

log = logging.getLogger(__name__)

Entry = tuple[str, str, tuple[tuple[bytes, bytes], ...]]
"""Stream, entry id, raw fields."""


class Orphans:
    """Gives every such order its row: at start, and when one turns up later.

    Args:
        recent: the entries of all streams since an epoch ms, oldest first.
        find_asset: by any spelling.
        undecided_ms: how long after its signal an order may be made.
    """

    def __init__(  # noqa: PLR0913 - the collaborators of the order path, each used here
        self,
        *,
        composer: Composer,
        ledger: Ledger,
        tracker: OrderTracker,
        portfolio: Portfolio,
        halts: Halts,
        clock: Clock,
        recent: Callable[[int], Iterable[Entry]],
        find_asset: Callable[[str], AssetView | None],
        undecided_ms: int,
    ) -> None:
        self._composer = composer
        self._ledger = ledger
        self._tracker = tracker
        self._portfolio = portfolio
        self._halts = halts
        self._clock = clock
        self._recent = recent
        self._find_asset = find_asset
        self._undecided_ms = undecided_ms

    def settle(self, unclaimed: Mapping[str, Mapping[str, Any]]) -> None:
        """Adopt each order; halt the tickers of those that no signal explains.

        Args:
            unclaimed: client_order_id → the broker's order.
        """
        if not unclaimed:
            return
        left = dict(unclaimed)
        times = [at for order in left.values() if (at := _created_ms(order))]
        since = min(times, default=self._clock.epoch_ms()) - self._undecided_ms
        for stream, entry_id, fields in self._recent(since):
            try:
                signal = parse(stream, entry_id, fields)
            except SignalError:
                continue
            order = left.pop(self._composer.client_order_id(signal), None)
            if order is not None:
                self._claim(signal, order)
        for order in left.values():
            self._halt(order)

    def stranger(self, order: Mapping[str, Any]) -> None:
        """One that turned up while running."""
        coid = str(order.get("client_order_id"))
        if self._ledger.find_by_client_order_id(coid) is None:
            self.settle({coid: order})

    def _claim(self, signal: Signal, order: Mapping[str, Any]) -> None:
        """The order has this signal's id: it is the signal's, unless it contradicts it.

        One that does (another symbol, made before its signal) gets no row: the signal's own POST
        meets it, and its lookup names the difference.
        """
        asset = self._find_asset(signal.ticker)
        if asset is None or book_symbol(order) != asset.symbol:
            log.error("order_contradicts_signal", extra=_about(order))
            return
        work = Work(
            signal=signal,
            asset=asset,
            ref=EntryRef(signal.stream, signal.entry_id),
            received_at=self._clock.monotonic(),
            received_ms=self._clock.epoch_ms(),
            redelivered=True,
            fresh=False,
        )
        intent = self._composer.found(work, order, self._clock.epoch_ms())
        if is_older(intent, order):
            log.error("order_older_than_signal", extra=_about(order))
            return
        log.warning("order_adopted", extra=_about(order))
        self._follow(intent, order)

    def _halt(self, order: Mapping[str, Any]) -> None:
        symbol, coid = book_symbol(order), str(order.get("client_order_id"))
        why = (
            f"the broker has order {order.get('id')} ({order.get('side')} {order.get('qty')}"
            f" {symbol}, {order.get('status')}) under our id {coid}, and no signal explains it"
        )
        # Before the row: with it the order is known, and a crash between would forget the halt.
        self._halts.halt(symbol, why)
        now, asset = self._clock.epoch_ms(), self._find_asset(symbol)
        created = _created_ms(order) or now
        intent = Intent(
            identity=f"orphan:{coid}",
            digest="",
            stream="",
            entry_id="",
            client_order_id=coid,
            state=State.SUBMITTING,
            symbol=symbol,
            asset_id=asset.id if asset else "",
            reason=str(Reason.ORPHAN),
            message=why,
            published_ms=created,
            received_ms=now,
        )
        fill_in(intent, order, created)
        self._follow(intent, order)

    def _follow(self, intent: Intent, order: Mapping[str, Any]) -> None:
        self._tracker.expect(intent, FreeLane(), None, keeps_lane=False)
        self._portfolio.restore(recovery.reservation_of(intent))
        failpoints.hit("recovery.adopting")
        self._ledger.begin(intent)
        failpoints.hit("recovery.adopted")
        how = ("adopted", "found in the broker's list of orders, without a row here")
        self._tracker.answered(intent.client_order_id, order, how=how)


def _about(order: Mapping[str, Any]) -> dict[str, object]:
    return {"client_order_id": order.get("client_order_id"), "symbol": order.get("symbol")}


def _created_ms(order: Mapping[str, Any]) -> int | None:
    try:
        at = datetime.fromisoformat(str(order.get("created_at")))
    except ValueError:
        return None
    return int(at.timestamp() * 1000) if at.tzinfo else None
