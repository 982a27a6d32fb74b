"""Takes snapshots: all that goes on, read in one go and bounded, however much there is."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from heapq import nlargest
from itertools import chain, islice
from operator import attrgetter

from paper_exchange.books.accounts import Account
from paper_exchange.exchange import Exchange
from paper_exchange.ids import stable_id
from paper_exchange.network.connections import Hub
from paper_exchange.orders import Order
from paper_exchange.page.fault_rules import FaultRules
from paper_exchange.page.recent import Recent
from paper_exchange.page.snapshot import (
    AccountLine,
    ConnectionLine,
    ExecutionLine,
    OrderLine,
    PositionLine,
    QuoteLine,
    RequestLine,
    Session,
    Snapshot,
    Some,
    Traffic,
)
from paper_exchange.settings import Settings
from paper_exchange.witness import ANSWERED, Seen

#: Rows of a table at most; tables say how many there are beyond.
LIMIT = 50
#: Requests that are counted by outcome, and from which the rate is taken.
SAMPLE = 1000
#: Seconds of real time over which the rate is taken, whatever the exchange's clock does.
RATE_WINDOW = 10.0
#: Quoted while no symbol is in use, so that a new exchange shows its prices.
EXAMPLES = ("SPY", "NVDA", "KO", "BTC/USD")


@lru_cache(maxsize=16_384)
def _name(account_id: str, key_id: str) -> str:
    """The key id; of a bearer token, which is a secret in itself, its beginning."""
    if stable_id("account", key_id, "") == account_id:
        return f"token {key_id[:4]}…"
    return key_id


class Photographer:
    """Takes snapshots of one exchange.

    Args:
        hubs: where stream clients are connected.
        monotonic: the clock that the witness notes arrivals with.
    """

    def __init__(
        self,
        exchange: Exchange,
        recent: Recent,
        faults: FaultRules,
        hubs: Sequence[Hub] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange = exchange
        self._recent = recent
        self._hubs = hubs
        self._faults = faults
        self._monotonic = monotonic

    def take(self) -> Snapshot:
        """The exchange as it is now; takes some milliseconds at most."""
        now = self._exchange.clock.now_ns()
        accounts = list(reversed(list(self._exchange.accounts)))
        self._recent.recall(accounts)
        names = {account.id: _name(account.id, account.key_id) for account in accounts}
        requests = self._exchange.witness.newest(SAMPLE)
        positions = self._positions(accounts, names, now)
        open_orders = _open_orders(accounts, names)
        ended = tuple(_order_line(order, names) for order in self._recent.ended())
        executions = tuple(
            ExecutionLine(names.get(event.order.account_id, ""), event)
            for event in self._recent.executions()
        )
        held = self._exchange.market.held()
        used = chain(
            held,
            (line.symbol for line in positions.rows),
            (line.order.asset.symbol for line in open_orders.rows),
            (line.event.order.asset.symbol for line in executions),
        )
        symbols = list(islice(dict.fromkeys(used), LIMIT))
        return Snapshot(
            now_ns=now,
            session=self._session(now),
            examples=not symbols,
            quotes=self._quotes(sorted(symbols) or EXAMPLES, held, now),
            held=len(held),
            accounts=Some(
                tuple(self._account(one, names, now) for one in accounts[:LIMIT]), len(accounts)
            ),
            positions=positions,
            open_orders=open_orders,
            ended=ended,
            executions=executions,
            connections=self._connections(names),
            requests=_requests(requests, accounts, names),
            traffic=_traffic(requests, self._exchange.witness.count, self._monotonic()),
            faults=self._faults.state(),
        )

    def _session(self, now: int) -> Session:
        hours = self._exchange.hours
        return Session(
            kind=self._exchange.settings.session,
            pace=_pace(self._exchange.settings),
            phase=hours.phase(now),
            next_open_ns=hours.next_open(now),
            next_close_ns=hours.next_close(now),
        )

    def _quotes(
        self, symbols: Iterable[str], held: dict[str, Decimal], now: int
    ) -> tuple[QuoteLine, ...]:
        market = self._exchange.market
        return tuple(QuoteLine(market.quote(symbol, now), symbol in held) for symbol in symbols)

    def _account(self, account: Account, names: dict[str, str], now: int) -> AccountLine:
        worth = account.worth(self._exchange.market, now)
        return AccountLine(
            id=account.id,
            name=names[account.id],
            number=account.number,
            equity=worth.equity,
            cash=account.cash,
            buying_power=account.buying_power(worth),
            day_change=worth.equity - account.last_equity,
            open_orders=len(account.open_orders),
            fills=len(account.fills),
        )

    def _positions(
        self, accounts: list[Account], names: dict[str, str], now: int
    ) -> Some[PositionLine]:
        lines = (
            (account, position) for account in accounts for position in account.positions.values()
        )
        shown = []
        for account, position in islice(lines, LIMIT):
            symbol, qty = position.asset.symbol, position.qty
            last = self._exchange.market.quote(symbol, now).last
            shown.append(
                PositionLine(
                    account=names[account.id],
                    account_id=account.id,
                    symbol=symbol,
                    qty=qty,
                    entry=position.avg_entry_price,
                    last=last,
                    value=qty * last,
                    gain=qty * (last - position.avg_entry_price),
                )
            )
        return Some(tuple(shown), sum(len(account.positions) for account in accounts))

    def _connections(self, names: dict[str, str]) -> Some[ConnectionLine]:
        open_now = [connection for hub in self._hubs for connection in hub.connected()]
        newest = nlargest(LIMIT, open_now, key=lambda one: one.arrival.number)
        lines = (ConnectionLine(names.get(one.account_id or ""), one) for one in newest)
        return Some(tuple(lines), len(open_now))


def _pace(settings: Settings) -> str:
    if settings.stepped:
        return "stands still until it is stepped"
    return "" if settings.speed == 1 else f"runs {settings.speed:g} times as fast"


def _order_line(order: Order, names: dict[str, str]) -> OrderLine:
    return OrderLine(names.get(order.account_id, ""), order)


def _open_orders(accounts: list[Account], names: dict[str, str]) -> Some[OrderLine]:
    newest = chain.from_iterable(
        islice(reversed(account.open_orders.values()), LIMIT)
        for account in accounts
        if account.open_orders
    )
    found = nlargest(LIMIT, newest, key=attrgetter("submitted_ns"))
    rows = tuple(_order_line(order, names) for order in found)
    return Some(rows, sum(len(account.open_orders) for account in accounts))


def _requests(
    newest: list[Seen], accounts: list[Account], names: dict[str, str]
) -> tuple[RequestLine, ...]:
    """A key that is no account's is not repeated: it may be a secret in the wrong place."""
    by_key = {account.key_id: names[account.id] for account in accounts}
    return tuple(
        RequestLine(by_key.get(seen.key_id, "unknown key" if seen.key_id else "no key"), seen)
        for seen in newest[:LIMIT]
    )


def _traffic(newest: list[Seen], total: int, now: float) -> Traffic:
    inside = sum(1 for seen in newest if seen.arrived > now - RATE_WINDOW)
    # With a full sample inside the window, the sample's own span is the better window.
    span = max(0.001, now - newest[-1].arrived) if inside == SAMPLE else RATE_WINDOW
    outcomes = Counter(_outcome(seen) for seen in newest)
    return Traffic(
        total=total,
        per_second=inside / span,
        sampled=len(newest),
        fine=outcomes["fine"],
        refused=outcomes["refused"],
        limited=outcomes["limited"],
        failed=outcomes["failed"],
        struck=outcomes["struck"],
    )


def _outcome(seen: Seen) -> str:
    if seen.outcome != ANSWERED:
        return "struck"
    if seen.status == 429:
        return "limited"
    if seen.status >= 500:
        return "failed"
    return "refused" if seen.status >= 400 else "fine"
