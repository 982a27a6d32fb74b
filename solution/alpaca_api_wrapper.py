"""The broker as the rest of the service sees it: caches, the rate budget, protections.

Every trading-API request passes here and spends a slot of its priority. Decisions read only
memory: the market clock, the asset list and the portfolio are refreshed beside the order path.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from cachetools import TTLCache

from solution.alpaca_api_client import AlpacaAPIClient
from solution.asset_file import KEPT, AssetFile
from solution.book.assets import Asset, AssetTable
from solution.book.broker_clock import BrokerClock, instant_of
from solution.book.positions import Account, Portfolio, Position
from solution.clock import Clock
from solution.domain import crypto
from solution.domain.market import Market
from solution.domain.order_state import decimal_or_none
from solution.errors import BrokerError, NoBudget, NotSent, OutcomeUnknown, Rejected
from solution.order_request import OrderRequest
from solution.rate_limiter import Priority, RateLimiter, Slot

log = logging.getLogger(__name__)

ASSETS_RETRY = 600.0
CLOCK_KEPT = 300.0
CLOCK_SKEW = 2.0
"""Seconds between the broker's clock and ours that are worth a line in the log."""
LIST_PAGE = 500
LIST_PAGES_MAX = 40
SLOT_WAIT = 5.0
REFRESHES = 3
"""Pictures of the account asked for in a row, where each met an execution on its way."""
ZERO = Decimal(0)


class AlpacaAPIWrapper:
    """Caches and protections around :class:`~solution.alpaca_api_client.AlpacaAPIClient`.

    Args:
        client: the thin REST client.
        limiter: the account's rate budget.
        portfolio: kept current from account snapshots.
        clock: wall and monotonic time.
        assets_file: where the bulk asset list is kept for a day; None keeps it in memory only.
    """

    def __init__(
        self,
        client: AlpacaAPIClient,
        limiter: RateLimiter,
        portfolio: Portfolio,
        clock: Clock,
        *,
        assets_file: Path | None = None,
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._portfolio = portfolio
        self._clock = clock
        self._assets_file = AssetFile(assets_file)
        # Replaced as a whole, never changed: whoever reads has the old list or the new one.
        self._assets = AssetTable(())
        self._assets_due_ms = 0
        # Held over the question, so that one thread asks; whoever knows the answer never takes it.
        self._clock_mutex = threading.Lock()
        # A leaf. A cachetools cache is for one thread at a time: an entry that another thread drops
        # between the look and the reading of one get() raises KeyError.
        self._market_mutex = threading.Lock()
        self._market: TTLCache[str, BrokerClock] = TTLCache(1, CLOCK_KEPT, clock.monotonic)
        self._ahead = timedelta(0)
        self._mine = threading.local()
        self.closing = threading.Event()
        """Set when the service stops: nobody waits for budget any more."""
        self.fence: Callable[[], None] = _no_fence
        """Raises LedgerError unless this instance is the one that trades; asked before each cancel
        (before a POST, the submitter asks it)."""
        self.account_wanted = False
        """A signal waits for a fresh picture of the account and had no budget to ask for one."""
        self.requests = 0
        self.differences = 0

    # --- orders ---------------------------------------------------------------------------

    def connect(self) -> None:
        """Have a connection for orders ready; the POST tells if it is not."""
        with contextlib.suppress(NotSent):
            self._client.connect()

    def may_send_more(self, most: int) -> bool:
        """Whether another order could leave at once, over one of ``most`` connections in use."""
        return self._client.may_send_more(most)

    def send(self, slot: Slot, body: bytes, before_send: Callable[[], None]) -> "SentOrder":
        """POST an order once, on a slot that the caller already holds; the answer comes later.

        Args:
            before_send: see :meth:`AlpacaAPIClient.submit_order`.

        Raises:
            NotSent: nothing left.
            OutcomeUnknown: part of it did.
        """
        self.requests += 1
        try:
            return SentOrder(
                self._client.send_order(body, before_send=before_send), slot, self._mine
            )
        except NotSent:
            slot.cancel()  # the broker has not counted what never left this machine
            raise
        except BaseException:
            slot.done()
            raise

    def lookup(self, client_order_id: str, priority: Priority) -> Mapping[str, Any]:
        """The order under an id of ours; NotFound says the broker has none now."""
        with self._slot(priority):
            return self._client.get_order_by_client_id(client_order_id)

    def order(
        self, order_id: str, priority: Priority, *, nested: bool = False
    ) -> Mapping[str, Any]:
        """The order under the broker's id; ``nested`` with the legs of a bracket."""
        with self._slot(priority):
            return self._client.get_order(order_id, nested=nested)

    def cancel(self, order_id: str) -> None:
        with self._slot(Priority.CANCEL):
            self.fence()
            self._client.cancel_order(order_id)

    def cancel_all(self) -> Sequence[Mapping[str, Any]]:
        """Every open order of the account in one request, whoever sent it."""
        with self._slot(Priority.CANCEL):
            self.fence()
            return self._client.cancel_all_orders()

    def orders_since(
        self, since: datetime, priority: Priority
    ) -> Sequence[Mapping[str, Any]] | None:
        """Every order submitted after ``since``, oldest first; None if the list has no end."""
        found: dict[str, Mapping[str, Any]] = {}
        after = since
        for _ in range(LIST_PAGES_MAX):
            with self._slot(priority):
                # Not nested: legs rolled up under their parents could make a full page look like
                # the last one.
                page = self._client.list_orders(
                    status="all", after=after, limit=LIST_PAGE, direction="asc"
                )
            fresh = [o for o in page if str(o.get("id")) not in found]
            found.update((str(o.get("id")), o) for o in page)
            if len(page) < LIST_PAGE:
                return list(found.values())
            if not fresh:
                return None
            # `after` is exclusive: step back a little, so that orders of one instant that
            # straddle the page's end are not skipped; known ones are dropped above.
            last = instant_of(page[-1].get("submitted_at")) or instant_of(
                page[-1].get("created_at")
            )
            if last is None:
                return None
            after = last - timedelta(microseconds=1000)
        return None

    def open_orders(
        self, priority: Priority, *, nested: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        """The newest 500 orders that are not at their end.

        Args:
            nested: the legs of a bracket stand under their entry order, and not each by itself.
        """
        with self._slot(priority):
            return self._client.list_orders(status="open", limit=LIST_PAGE, nested=nested)

    # --- account --------------------------------------------------------------------------

    def refresh_account(self, priority: Priority = Priority.POLL) -> None:
        """Read account and positions and apply them as one snapshot.

        Under no lock: an exit must neither wait for the budget that an entry waits for, nor for an
        entry's requests. Of two snapshots on their way at once the portfolio keeps the one asked
        for later, in whichever order the answers come.

        Raises:
            BrokerError: nothing was applied.
        """
        wanted_at = self._clock.monotonic()
        # Both before the first request: without the second one it would be spent for nothing.
        with self._slots(priority, 2) as (first_slot, second_slot):
            if self._portfolio.snapshot_at > wanted_at:
                return  # another thread's, asked for while we waited
            requested_at = self._clock.monotonic()
            with self._spent(first_slot):
                raw_account = self._client.account()
            with self._spent(second_slot):
                raw_positions = self._client.positions()
        positions = {p.symbol: p for p in (self._position(r) for r in raw_positions)}
        account = account_of(raw_account)
        first = self._portfolio.account() is None
        differing = self._portfolio.apply_snapshot(account, positions, requested_at)
        self.account_wanted = False
        for symbol, (ours, theirs) in differing.items():
            if not first:
                self.differences += 1
                log.warning(
                    "position_corrected",
                    extra={"symbol": symbol, "ours": f"{ours:f}", "broker": f"{theirs:f}"},
                )

    def refresh_if_uncertain(self, symbol: str, *, urgent: bool = False) -> bool:
        """A fill learned by poll may be in our number already: ask before deciding on it.

        Returns:
            False when it is still to be asked for, and only rate budget is missing. Never when
            urgent: that is decided on what is certain.
        """
        for _ in range(REFRESHES):
            if not self._portfolio.is_uncertain(symbol):
                break
            try:
                # What is not urgent tries once, as a poll: a worker that stood in line would be
                # missing to an exit. The account keeper stands there instead.
                self.refresh_account(Priority.EXIT if urgent else Priority.POLL)
            except NoBudget as e:
                if not urgent:
                    self.account_wanted = True
                    return False
                log.warning("account_refresh_failed", extra={"detail": str(e)})
                break
            except BrokerError as e:
                log.warning("account_refresh_failed", extra={"detail": str(e)})
                break
        return True

    def _position(self, raw: Mapping[str, Any]) -> Position:
        symbol = str(raw.get("symbol"))
        asset = self._assets.find(symbol)  # BTCUSD here, BTC/USD in orders and in our book
        qty = decimal_or_none(raw.get("qty")) or ZERO
        available = decimal_or_none(raw.get("qty_available"))
        return Position(
            symbol=asset.symbol if asset else symbol,
            qty=qty,
            qty_available=qty if available is None else available,
            avg_entry_price=decimal_or_none(raw.get("avg_entry_price")) or ZERO,
            market_value=decimal_or_none(raw.get("market_value")) or ZERO,
        )

    # --- market clock ---------------------------------------------------------------------

    def market(self) -> Market:
        """Whether the market is open now, from the cached clock, and the broker's time.

        The broker's time decides, not ours: a clock of ours that is five minutes slow would trade
        past the close. Asked again when the cached answer's next transition has passed. One thread
        asks; the others wait for it, since a decision without a session is none.
        """
        known = self._known_clock() or self._ask_clock()
        at = self._clock.now() + self._ahead
        return Market(None if known is None else known.is_open, at)

    def market_is_known(self) -> bool:
        """Whether :meth:`market` asks nobody now."""
        return self._known_clock() is not None

    def closes_at(self) -> datetime | None:
        """When the broker says that the session in hand closes; None while it is closed."""
        known = self._known_clock()
        return known.changes_at if known is not None and known.is_open else None

    def refresh_clock(self) -> None:
        """Ask the broker's clock before the cached answer is too old."""
        try:
            self._keep_clock(Priority.POLL)
        except BrokerError as e:
            log.warning("clock_refresh_failed", extra={"detail": str(e)})

    def _ask_clock(self) -> BrokerClock | None:
        with self._clock_mutex:
            known = self._known_clock()
            if known is not None:
                return known
            try:
                self._keep_clock(Priority.EXIT)
            except BrokerError as e:
                log.warning("clock_refresh_failed", extra={"detail": str(e)})
            return self._known_clock()

    def _keep_clock(self, priority: Priority) -> None:
        with self._slot(priority):
            asked, asked_at = self._clock.monotonic(), self._clock.now()
            raw = self._client.clock()
        took = self._clock.monotonic() - asked
        known = BrokerClock.of(raw, asked, asked_at)
        ahead = known.ahead.total_seconds()
        skew = max(ahead - took, -ahead)  # what the request's duration does not explain
        if skew > CLOCK_SKEW:
            log.warning("clock_skew", extra={"seconds": round(skew, 1)})
        with self._market_mutex:
            self._market["clock"] = known
        self._ahead = known.ahead

    def _known_clock(self) -> BrokerClock | None:
        """The last answer, while it holds."""
        try:
            with self._market_mutex:
                known = self._market["clock"]  # get() looks twice, and every decision asks
        except KeyError:
            return None
        return known if known.holds(self._clock.monotonic(), self._clock.now()) else None

    # --- assets ---------------------------------------------------------------------------

    def find(self, ticker: str) -> Asset | None:
        """The asset by any spelling of its symbol, from memory."""
        return self._assets.find(ticker)

    def asset_count(self) -> int:
        return len(self._assets)

    def load_assets(self) -> None:
        """From disk when younger than a day, else one bulk request; never one per symbol.

        Raises:
            BrokerError: neither was to be had.
        """
        kept = self._assets_file.read()
        if kept is None:
            self._ask_assets(Priority.ENTRY)
        else:
            self._keep_assets(*kept)

    def renew_assets(self) -> None:
        """Ask for the list anew once it is a day old, from budget that nobody needs.

        What cannot be had leaves the old one: stale flags and no new listings, for a while.
        """
        if self._clock.epoch_ms() < self._assets_due_ms:
            return
        try:
            self._ask_assets(Priority.POLL)
        except NoBudget:
            log.debug("assets_wait")  # orders need the budget; asked again with the next call
        except BrokerError as e:
            self._assets_due_ms = self._clock.epoch_ms() + int(ASSETS_RETRY * 1000)
            log.warning("assets_not_renewed", extra={"detail": str(e)})
        else:
            log.info("assets_renewed", extra={"assets": len(self._assets)})

    def _ask_assets(self, priority: Priority) -> None:
        # One request a class: without one the broker lists shares alone.
        with self._slots(priority, 2) as (first_slot, second_slot):
            with self._spent(first_slot):
                shares = _assets_of(self._client.assets(asset_class="us_equity"))
            if not shares and len(self._assets):
                raise OutcomeUnknown("the broker lists no asset any more")
            with self._spent(second_slot):
                assets = shares + self._pairs()
        self._assets_file.write(assets)
        self._keep_assets(assets, 0.0)

    def _pairs(self) -> list[Asset]:
        """Crypto; those known before where the broker refuses the question, for shares trade
        without it, and coins that are held must stay sellable."""
        try:
            return _assets_of(self._client.assets(asset_class=crypto.ASSET_CLASS))
        except Rejected as e:
            log.warning("crypto_not_listed", extra={"detail": str(e)})
            return self._assets.pairs()

    def _keep_assets(self, assets: Sequence[Asset], age: float) -> None:
        self._assets_due_ms = self._clock.epoch_ms() + int((KEPT - age) * 1000)
        self._assets = AssetTable(assets)

    # --- the budget -----------------------------------------------------------------------

    @contextlib.contextmanager
    def _slot(self, priority: Priority) -> Iterator[None]:
        """A slot of the budget for one request; raises NoBudget when none comes in time."""
        with self._slots(priority, 1) as (slot,), self._spent(slot):
            yield

    @contextlib.contextmanager
    def _slots(self, priority: Priority, count: int) -> Iterator[list[Slot]]:
        """So many slots or none; those that are not spent in the end go back."""
        # A poll takes what is left over and never waits for it: its thread has cancels to send.
        patience = 0.0 if priority is Priority.POLL else SLOT_WAIT
        slots: list[Slot] = []
        try:
            for _ in range(count):
                slot = self._limiter.acquire(priority, patience, self.closing)
                if slot is None:
                    raise NoBudget("no slot in the rate budget")
                slots.append(slot)
            yield slots
        finally:
            for slot in slots:
                slot.cancel()  # a no-op for what was spent

    @contextlib.contextmanager
    def _spent(self, slot: Slot) -> Iterator[None]:
        """One request on a slot in hand."""
        self.requests += 1
        self._mine.slot = slot
        try:
            with slot:
                try:
                    yield
                except NotSent:
                    slot.cancel()
                    raise
        finally:
            self._mine.slot = None

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """The client calls this with each trading-API answer, in the thread that asked.

        The slot tells the limiter which of our own requests the broker can have counted by then.
        """
        self._limiter.observe(headers, status, getattr(self._mine, "slot", None))


class SentOrder:
    """An order on its way to the broker, and the slot it was sent on. For one thread."""

    __slots__ = ("_mine", "_request", "_slot")

    def __init__(self, request: OrderRequest, slot: Slot, mine: threading.local) -> None:
        self._request = request
        self._slot = slot
        self._mine = mine

    @property
    def answering(self) -> bool:
        """Whether its answer is there and was not taken in."""
        return self._request.answering

    @property
    def failed(self) -> bool:
        """Whether the answer was taken in and is no success."""
        return self._request.failed

    def fileno(self) -> int:
        """See :meth:`OrderRequest.fileno`."""
        return self._request.fileno()

    def receive(self) -> None:
        """Take in the answer, whatever it is: connection and slot are free then."""
        self._mine.slot = self._slot
        try:
            self._request.receive()
        finally:
            self._mine.slot = None
            self._slot.done()

    def order(self) -> Mapping[str, Any]:
        """The order as the broker has it.

        Raises:
            BrokerError: as :meth:`AlpacaAPIClient.submit_order`.
        """
        self.receive()
        return self._request.order()


def _assets_of(rows: Iterable[Mapping[str, Any]]) -> list[Asset]:
    try:
        return [Asset.of(row) for row in rows]
    except KeyError as e:
        raise OutcomeUnknown(f"the broker lists an asset without {e}") from e


def account_of(raw: Mapping[str, Any]) -> Account:
    """Amounts from the API's object; flags that stop trading are folded into ``blocked``.

    Raises:
        OutcomeUnknown: the object is no account.
    """
    if not raw.get("id"):
        raise OutcomeUnknown("the answer is no account: it has no id")
    return Account(
        id=str(raw.get("id") or ""),
        equity=decimal_or_none(raw.get("equity")) or ZERO,
        cash=decimal_or_none(raw.get("cash")) or ZERO,
        buying_power=decimal_or_none(raw.get("buying_power")) or ZERO,
        blocked=any(
            raw.get(flag) is True
            for flag in ("trading_blocked", "account_blocked", "trade_suspended_by_user")
        ),
        shorting_enabled=raw.get("shorting_enabled") is not False,
        last_equity=decimal_or_none(raw.get("last_equity")),
        number=str(raw.get("account_number") or ""),
        non_marginable=decimal_or_none(raw.get("non_marginable_buying_power")),
    )


def _no_fence() -> None:
    """Nobody else could trade."""
