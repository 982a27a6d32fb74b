"""A host, a service and a broker for the scalper, small enough to be driven one step at a time.

The service does what docs/reference/signal.md says of the scalper's signals; its news waits in a
queue until the test delivers it, so that what is true and what is known can differ.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from signal_generator.bars import Bar
from signal_generator.executions import Execution
from signal_generator.hosting import BrokerUnavailable, Context, OpenOrder, Position, Session
from signal_generator.scalping.signals import ScalpSettings
from signal_generator.scalping.strategy import ScalpStrategy
from signal_generator.signals import Signal

OPENS = datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
CLOSES = datetime(2026, 3, 6, 21, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ZERO = Decimal(0)
BY_HAND = "by-hand"
"""An order that the service knows nothing of, and tells nothing of."""


@dataclass
class Order:
    """An order at the broker."""

    signal_id: str
    order_id: str
    side: str
    qty: Decimal
    limit: Decimal | None
    filled: Decimal = ZERO


@dataclass
class Market:
    """Clock, broker and service of one symbol."""

    symbol: str = "TSLA"
    at: datetime = OPENS
    session_today: Session | None = field(default_factory=lambda: Session(OPENS, CLOSES))
    price: Decimal = Decimal("100.00")
    held: Decimal = ZERO
    silent: bool = False
    other_positions: Sequence[Position] = ()
    inbox: deque[dict[str, str]] = field(default_factory=deque)
    orders: dict[str, Order] = field(default_factory=dict)
    lost: dict[str, dict[str, str]] = field(default_factory=dict)
    news: deque[Execution] = field(default_factory=deque)
    ended: set[str] = field(default_factory=set)
    number: int = 0

    # --- what a Context asks ----------------------------------------------------------------

    def now(self) -> datetime:
        return self.at

    def session(self) -> Session | None:
        return self.session_today

    def positions(self) -> Sequence[Position]:
        self._ask()
        mine = [Position(self.symbol, self.held, self.price)] if self.held else []
        return [*mine, *self.other_positions]

    def open_orders(self) -> Sequence[OpenOrder]:
        self._ask()
        return [
            OpenOrder(
                symbol=self.symbol,
                order_id=o.order_id,
                client_order_id=f"c-{o.order_id}",
                side=o.side,
                order_type="limit" if o.limit else "market",
                qty=o.qty,
                filled_qty=o.filled,
                limit_price=o.limit,
                submitted_at=OPENS,
            )
            for o in self.orders.values()
        ]

    def last_trade(self, symbol: str) -> Decimal:
        self._ask()
        return self.price

    def _ask(self) -> None:
        if self.silent:
            raise BrokerUnavailable("silent")

    # --- what the service does with the oldest signal ---------------------------------------

    def submit(self) -> None:
        """Take it to the broker."""
        if not self.inbox:
            return
        fields = self.inbox.popleft()
        if fields.get("action") == "liquidate":
            self._cancel_resting()
            if self.held <= 0:
                self.say(fields["signal_id"], "refused", final=True, reason="NOTHING_TO_SELL")
                return
            fields |= {"qty": str(self.held)}
        if fields["direction"] == "s" and Decimal(fields["qty"]) > self._free():
            self.say(fields["signal_id"], "refused", final=True, reason="NOTHING_TO_SELL")
            return
        self.place(fields)
        if "limit_price" not in fields:
            self.fill(fields["signal_id"])

    def place(self, fields: Mapping[str, str]) -> None:
        self.number += 1
        signal_id = fields["signal_id"]
        limit = fields.get("limit_price")
        order = Order(
            signal_id,
            f"o-{self.number}",
            {"b": "buy", "s": "sell"}[fields["direction"]],
            Decimal(fields["qty"]),
            None if limit is None else Decimal(limit),
        )
        self.orders[signal_id] = order
        self.say(signal_id, "submitted")

    def turn_down(self, event: str = "refused", reason: str = "KILL_SWITCH") -> None:
        """Send it nowhere."""
        if self.inbox:
            self.say(self.inbox.popleft()["signal_id"], event, final=True, reason=reason)

    def lose(self) -> None:
        """No answer, and nobody finds it: it may still arrive."""
        if self.inbox:
            fields = self.inbox.popleft()
            self.lost[fields["signal_id"]] = fields
            self.say(fields["signal_id"], "unknown")
            self.say(fields["signal_id"], "expired_unconfirmed")

    def appear(self, part: Decimal) -> None:
        """A lost one arrives after all: cancelled on sight, what filled is booked."""
        if self.lost:
            signal_id, fields = self.lost.popitem()
            qty = Decimal(fields.get("qty", "0"))
            if fields["direction"] == "s" and not ZERO < qty <= self._free():
                self.say(signal_id, "expired_unconfirmed", final=True, reason="ABSENT_CONFIRMED")
                return
            self.place(fields)
            self.fill(signal_id, part)
            if signal_id in self.orders:
                self.end(signal_id, "canceled")

    def confirm_absent(self) -> None:
        if self.lost:
            signal_id, _ = self.lost.popitem()
            self.say(signal_id, "expired_unconfirmed", final=True, reason="ABSENT_CONFIRMED")

    # --- what the broker does ---------------------------------------------------------------

    def fill(self, signal_id: str, part: Decimal = Decimal(1), *, told: bool = True) -> None:
        """Execute this part of what is left."""
        order = self.orders[signal_id]
        left = order.qty - order.filled
        qty = left if part == 1 else (left * part).to_integral_value("ROUND_FLOOR")
        if not qty:
            return
        order.filled += qty
        self.held += qty if order.side == "buy" else -qty
        position = self.held if told else None
        if order.filled == order.qty:
            self.end(signal_id, "fill", position_qty=position)
        else:
            self._tell(order, "partial_fill", position_qty=position)

    def end(self, signal_id: str, event: str, position_qty: Decimal | None = None) -> None:
        order = self.orders.pop(signal_id)
        self._tell(order, event, final=True, position_qty=position_qty)

    def _tell(self, order: Order, event: str, **more: Any) -> None:
        filled = {
            "filled_qty": order.filled,
            "filled_avg_price": self.price if order.filled else None,
        }
        self.say(order.signal_id, event, order_id=order.order_id, **filled, **more)

    def _cancel_resting(self) -> None:
        for signal_id in [key for key in self.orders if key != BY_HAND]:
            self.end(signal_id, "canceled")

    def others_sell(self, qty: Decimal) -> None:
        """What no sale of ours holds."""
        self.held -= max(ZERO, min(qty, self._free()))

    def _free(self) -> Decimal:
        sells = [o for o in self.orders.values() if o.side == "sell"]
        return self.held - sum((o.qty - o.filled for o in sells), ZERO)

    def say(self, signal_id: str, event: str, **fields: Any) -> None:
        """News for the stream `executions`."""
        if signal_id == BY_HAND:
            return
        order = self.orders.get(signal_id)
        if fields.get("final"):
            self.ended.add(signal_id)
        fields.setdefault("order_id", order.order_id if order else "")
        self.number += 1
        self.news.append(
            Execution(
                event_id=self.number,
                event=event,
                signal_id=signal_id,
                ticker=self.symbol,
                own={},
                **fields,
            )
        )


class World:
    """The market and the process that scalps there, which may die at any time.

    Args:
        settings: of the scalper. others: symbols that it has besides the market's.
        algo: whether to buy is set by the test where it is None.
    """

    def __init__(
        self,
        market: Market | None = None,
        settings: ScalpSettings | None = None,
        algo: Callable[..., Any] | None = None,
        others: Sequence[str] = (),
    ) -> None:
        self.market = market or Market()
        self.settings = settings or ScalpSettings(lot=Decimal(1000))
        self.algo = algo
        self.symbols = [self.market.symbol, *others]
        self.asked: list[datetime] = []
        self.crosses = False
        self.stopped = False
        self.failures: list[str] = []
        self.state = "{}"
        self.published: list[dict[str, str]] = []
        self.bars: list[Bar] = []
        self.strategy = self._make()

    def buys_now(self, minutes: Sequence[Bar]) -> bool:
        self.asked.append(minutes[-1].timestamp)
        return self.crosses

    def _make(self) -> ScalpStrategy:
        made = ScalpStrategy(self.symbols, self.settings, self.algo or self._itself)
        made.state = json.loads(self.state)
        made.context = Context(
            self.market,
            self.market,
            logging.getLogger("tests.scalp"),
            self._stop,
            self.history,
            self.failures.append,
        )
        return made

    def _itself(self, *_: object) -> "World":
        return self

    def history(self, symbol: str, count: int, until: datetime) -> Sequence[Bar]:
        """What the host would find; nothing while the broker is silent."""
        self.market._ask()
        return [bar for bar in self.bars if bar.timestamp <= until and bar.symbol == symbol][
            -count:
        ]

    def _stop(self) -> None:
        self.stopped = True

    @property
    def machine(self) -> Any:
        return self.strategy._machines[self.market.symbol]

    def start(self) -> list[dict[str, str]]:
        """A new process, with the state that the last one kept."""
        self.strategy = self._make()
        self.stopped = False
        return self._do(self.strategy.on_start)

    def bar(self, close: float = 100.0, *, cross: bool = False) -> list[dict[str, str]]:
        """A minute passes."""
        start = self.market.at
        self.market.at += MINUTE
        self.crosses = cross
        made = Bar(self.market.symbol, start, close, close, close, close, 1000.0)
        self.bars.append(made)
        return self._do(lambda: self.strategy.on_bar(self.market.symbol, [made]))

    def bar_and_crash(self) -> None:
        """It wants to buy, and dies before that is written down."""
        self.crosses = True
        market = self.market
        made = Bar(market.symbol, market.at, 100.0, 100.0, 100.0, 100.0, 1.0)
        market.at += MINUTE
        self.strategy.on_bar(market.symbol, [made])
        self.start()

    def checkup(self) -> list[dict[str, str]]:
        return self._do(self.strategy.checkup)

    def deliver(self, count: int = 1_000) -> list[dict[str, str]]:
        """News reaches the scalper, and what that makes it publish reaches the service."""
        published = []
        while self.market.news and count:
            update = self.market.news.popleft()
            published += self._do(lambda update=update: self.strategy.on_execution(update))  # type: ignore[misc]
            count -= 1
        return published

    def _do(self, callback: Callable[[], Signal | list[Signal] | None]) -> list[dict[str, str]]:
        """A callback; state and signals are kept together, as the host does."""
        signals = callback()
        self.state = json.dumps(self.strategy.state)
        fields = [signal.fields() for signal in signals or ()]  # type: ignore[union-attr]
        self.published += fields
        self.market.inbox.extend(dict(one) for one in fields)
        return fields
