"""The one place where a probe's orders are made, and where every one of them ends.

Two rules keep a probe cheap whatever the broker does. An order is for one share at half of the
lowest price known, so it rests or ends and does not trade. And there is never a second one before
the first is known to have ended with nothing bought, so that even a broker that fills it anyway
sells one share in all.
"""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import orjson

from solution.alpaca_api_client import AlpacaAPIClient
from solution.clock import Clock, Deadline
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX
from solution.errors import BrokerError, NotFound, NotSent, RateLimited, Rejected

PREFIX = f"{CLIENT_ORDER_ID_PREFIX}-probe-"
"""Of every order of a probe. No deployment's orders begin so: theirs go on with eight hex digits,
so no service takes one of these for its own."""
OVER = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Statuses after which an order does nothing more."""
LOOK_EVERY = 0.1
RATE_WINDOW = 70.0
"""Seconds after which a rate limit has given back what was used up."""
LIMITED_PAUSE = 1.0
PATIENCE = 3
"""How much longer than for anything else the broker is waited for when all is to end."""
HALF = Decimal("0.5")

Json = Mapping[str, Any]


class MustStop(Exception):
    """Another order could cost more than one share: no further one is sent."""


@dataclass
class Placed:
    """One order that was sent.

    Args:
        sent_at, answered_at: monotonic seconds around its POST.
        order: as the broker last told it.
    """

    client_order_id: str
    body: bytes
    sent_at: float
    answered_at: float = 0.0
    order: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.order.get("id") or "")

    @property
    def status(self) -> str:
        return str(self.order.get("status") or "")


class Bench:
    """Sends a probe's orders, waits for their ends, and cleans up.

    Args:
        client: at a paper account.
        clock: for times and deadlines.
        symbol: what is bought if a broker fills what it should not.
        price: the most that may be paid for it.
        market_at: the broker's time, aware; ``is_open`` the same moment's.
        within: seconds that a broker may take for what it has promised.
    """

    def __init__(
        self,
        client: AlpacaAPIClient,
        clock: Clock,
        *,
        symbol: str,
        price: Decimal,
        market_at: datetime,
        is_open: bool,
        within: float,
    ) -> None:
        self.client = client
        self.clock = clock
        self.symbol = symbol
        self.price = price
        self.market_at = market_at
        self.is_open = is_open
        self.within = within
        self._run = uuid.uuid4().hex
        self._count = 0
        self._sent: list[Placed] = []
        self._tick = threading.Event()

    # --- sending ------------------------------------------------------------------------------

    def place(self, time_in_force: str, **changes: object) -> Placed:
        """Buy one share at the probe's price; ``changes`` are fields of the request.

        Raises:
            MustStop: an order before this one may still be alive, or has bought something.
            BrokerError: refused, or who knows; it is looked for when all ends.
        """
        self._require_calm()
        self._count += 1
        # As long as a service's ids, which are 44 characters.
        coid = f"{PREFIX}{self._run}-{self._count:02d}"
        body = {
            "symbol": self.symbol,
            "side": "buy",
            "type": "limit",
            "qty": "1",
            "limit_price": format(self.price, "f"),
            "time_in_force": time_in_force,
            "client_order_id": coid,
            **changes,
        }
        placed = Placed(coid, orjson.dumps(body), self.clock.monotonic())
        self._sent.append(placed)
        try:
            placed.order = self.client.submit_order(placed.body)
        except (Rejected, RateLimited, NotSent):
            self._sent.remove(placed)  # a definite no: there is no order
            raise
        placed.answered_at = self.clock.monotonic()
        return placed

    def again(self, placed: Placed) -> Placed:
        """The very same request once more.

        Raises:
            BrokerError: DuplicateOrder, if ids are unique. If it is accepted it is an order of
                its own, which is known by its prefix when all ends.
        """
        second = Placed(placed.client_order_id, placed.body, self.clock.monotonic())
        second.order = self.client.submit_order(placed.body)
        if second.id != placed.id:
            self._sent.append(second)
        return second

    def adopt(self, order: Json) -> Placed:
        """An order that the broker made of one of ours, such as a bracket's leg."""
        leg = Placed(str(order.get("client_order_id")), b"", self.clock.monotonic(), order=order)
        self._sent.append(leg)
        return leg

    def priced(self, factor: Decimal) -> Decimal:
        """A price at this multiple of the probe's, in steps that every exchange takes."""
        return _stepped(self.price * factor)

    def _require_calm(self) -> None:
        for placed in self._sent:
            if placed.status not in OVER:
                raise MustStop(
                    f"order {placed.client_order_id} may still be alive ({placed.status or '?'})"
                )
            if filled := _filled(placed.order):
                raise MustStop(
                    f"order {placed.client_order_id} bought {filled} {self.symbol} at no more "
                    f"than {self.price:f}"
                )

    # --- ends ---------------------------------------------------------------------------------

    def look(self, placed: Placed) -> str:
        """Ask for the order; its status."""
        placed.order = self.client.get_order(placed.id)
        return placed.status

    def ended(self, placed: Placed) -> float | None:
        """Wait for its end; the seconds since it was sent, None if it does not end in time."""
        return self.until(lambda: self.look(placed) in OVER, placed.sent_at)

    def cancelled(self, placed: Placed) -> float | None:
        """Cancel it and wait for its end; the seconds since the request."""
        asked_at = self.clock.monotonic()
        self._cancel(placed.id)
        return self.until(lambda: self.look(placed) in OVER, asked_at)

    def until(
        self, condition: Callable[[], bool], since: float, *, within: float | None = None
    ) -> float | None:
        """Wait until it holds; the seconds since then, None if it does not in time."""
        deadline = Deadline(self.within if within is None else within, self.clock)
        while not condition():
            if deadline.passed():
                return None
            self._tick.wait(LOOK_EVERY)
        return self.clock.monotonic() - since

    # --- the end of all -----------------------------------------------------------------------

    def clean_up(self) -> list[str]:
        """Cancel every order of a probe that is open, of an earlier one, too.

        Asked twice: by the list of open orders, since an order whose answer was lost is found
        there, and one by one, since nobody has verified what that list holds.

        Returns:
            what is left, one line each; empty when nothing is.
        """
        deadline = Deadline(PATIENCE * self.within, self.clock)
        window = Deadline(RATE_WINDOW, self.clock)
        while True:
            pause = LOOK_EVERY
            try:
                left = self._cancel_all()
            except BrokerError as e:
                left = [f"the broker does not tell which orders are open: {e}"]
                if isinstance(e, RateLimited):
                    # Its window ends, and what is open by then would stay so.
                    deadline, pause = window, LIMITED_PAUSE
            left += [
                f"{placed.client_order_id} was sent, no answer came, and the broker does not know "
                "it yet"
                for placed in self._sent
                if not placed.id
            ]
            if not left or deadline.passed():
                return left
            self._tick.wait(pause)

    def _cancel_all(self) -> list[str]:
        alive: dict[str, Json] = {
            str(order.get("id")): order
            for order in self.client.list_orders(status="open", nested=False)
            if str(order.get("client_order_id") or "").startswith(PREFIX)
        }
        for placed in self._sent:
            found = self._found(placed)
            if found is not None and found.get("status") not in OVER:
                alive[str(found.get("id"))] = found
        for order_id, order in alive.items():
            if order.get("status") not in {"pending_cancel", *OVER}:
                self._cancel(order_id)
        return [
            f"{order.get('client_order_id')} is {order.get('status')}, id {order_id}"
            for order_id, order in alive.items()
        ]

    def _found(self, placed: Placed) -> Json | None:
        if placed.status in OVER:
            return placed.order
        try:
            if placed.id:
                placed.order = self.client.get_order(placed.id)
            else:
                placed.order = self.client.get_order_by_client_id(placed.client_order_id)
        except NotFound:
            return None
        return placed.order

    def _cancel(self, order_id: str) -> None:
        try:
            self.client.cancel_order(order_id)
        except Rejected:
            return  # it has ended since; the next look tells


def _filled(order: Json) -> Decimal:
    return Decimal(str(order.get("filled_qty") or 0))


def half_of(*prices: Decimal | None) -> Decimal | None:
    """Half of the lowest price, in steps that every exchange takes; None without a price."""
    known = [price for price in prices if price is not None and price > 0]
    if not known:
        return None
    return _stepped(min(known) * HALF) or None


def _stepped(price: Decimal) -> Decimal:
    return price.quantize(Decimal("0.01") if price >= 1 else Decimal("0.0001"), ROUND_DOWN)
