"""One POST per row, and what each kind of answer means.

The row is durable before the POST; an answer that says nothing certain is looked up, never
guessed; an answer that says "nothing happened" lets the same body go out again. Nothing in this
module builds a second body for a row.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from solution import failpoints
from solution.clock import Clock
from solution.domain.ports import Ledger
from solution.domain.reasons import Reason
from solution.domain.records import Intent
from solution.domain.stages import shown
from solution.errors import (
    BrokerError,
    DuplicateOrder,
    LeaseLost,
    LedgerError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.rate_limiter import Slot
from solution.trading.blame import counts
from solution.trading.breaker import Failures, NoBreaker
from solution.trading.gates.view import Denial
from solution.trading.tracker import OrderTracker
from solution.trading.work import Lane, Work

log = logging.getLogger(__name__)

CHECKS_WITHIN = 0.25
"""Seconds that the last checks before a POST may take together: what the first one saw is old by
then, and so is what the gates saw."""


class _SwitchedOff(NotSent):
    """We did not send it; the broker has nothing to do with that."""


class Sent(Protocol):
    """A POST on its way; see :class:`solution.alpaca_api_wrapper.SentOrder`."""

    @property
    def answering(self) -> bool:
        """Whether its answer is there and was not taken in."""
        ...

    @property
    def failed(self) -> bool:
        """Whether the answer was taken in and is no success."""
        ...

    def fileno(self) -> int:
        """Of the socket that becomes readable with the answer; -1: there is none."""
        ...

    def receive(self) -> None:
        """Take in the answer, whatever it is; waits for it until the deadline."""
        ...

    def order(self) -> Mapping[str, Any]:
        """The broker's order; raises BrokerError."""
        ...


class PostDesk(Protocol):
    """The part of the wrapper that sends orders."""

    def send(self, slot: Slot, body: bytes, before_send: Callable[[], None]) -> Sent:
        """POST once; the slot counts as spent whatever the answer.

        Args:
            before_send: called once a connection stands; if it raises, nothing was sent.
        """
        ...


class Submitter:
    """Sends a decided order.

    Args:
        denied: why the order may not be sent now, or None; asked last before every POST.
        fence: raises LeaseLost where another instance trades by now; asked before every POST, and
            again right before its first byte leaves.
        clock: measures what a request takes.
        breaker: told how each POST went, and asked before one that opens a position.
    """

    def __init__(
        self,
        desk: PostDesk,
        ledger: Ledger,
        tracker: OrderTracker,
        denied: Callable[[Intent, Work], Denial | None],
        fence: Callable[[], None],
        clock: Clock,
        breaker: Failures | None = None,
    ) -> None:
        self._clock = clock
        self._breaker: Failures = breaker or NoBreaker()
        self._denied = denied
        self._fence = fence
        self._desk = desk
        self._ledger = ledger
        self._tracker = tracker
        self._flying: set[str] = set()
        self.leaving: Callable[[], None] = lambda: None
        """Called right before a request's first byte leaves; returns at once."""

    def in_flight(self) -> frozenset[str]:
        """Orders whose POST has passed its last checks, perhaps, and is not answered or UNKNOWN.

        Whoever forbids more and then waits until none of these is left knows that nothing follows.
        """
        return frozenset(tuple(self._flying))

    def begin(self, intent: Intent, work: Work, lane: Lane, *, keeps_lane: bool) -> None:
        """Make the row durable; :meth:`post` must follow.

        Raises:
            IdentityExists: the signal has a row already.
            LedgerError: nothing is durable.
        """
        # The order of these two: a row without a tracker entry is recovered at the next start; an
        # event for an order that the tracker does not know yet would be lost.
        self._tracker.expect(intent, lane, work, keeps_lane=keeps_lane)
        failpoints.hit("submit.before_row")
        try:
            self._ledger.begin(intent)
        except BaseException:
            self._tracker.withdraw(intent.client_order_id)
            raise
        work.stages.ends("row", self._clock.monotonic())
        failpoints.hit("submit.row_durable")

    def begin_again(self, intent: Intent) -> bool:
        """Make it durable that a row's body is sent once more; :meth:`post` must follow.

        The ledger compares the epoch in that write, as it did when the row was inserted.

        Returns:
            False when news settled the order meanwhile; the tracker then has the lane.

        Raises:
            LeaseLost: another instance trades, and has found the row.
            LedgerError: it is not durable, or the row is gone.
        """
        coid = intent.client_order_id
        written = self._ledger.begin_again(coid)
        failpoints.hit("submit.row_again")
        if not self._tracker.sent_again(coid):
            return False
        if not written:
            # What settles a row is known in memory first.
            raise LedgerError(f"the ledger has no unresolved row of {coid}")
        return True

    def post(self, intent: Intent, work: Work, slot: Slot) -> bool:
        """:meth:`depart` and, when the answer has come, :meth:`Flight.land`."""
        return self.depart(intent, work, slot).land()

    def depart(self, intent: Intent, work: Work, slot: Slot, *, hurried: bool = False) -> "Flight":
        """POST the stored body of a durable row; :meth:`Flight.land` must follow.

        Args:
            hurried: this thread sends another one before it waits for the answer.

        Raises:
            LeaseLost: the process slept through a takeover. Nothing was sent; the other instance
                has found the row.
            LedgerError: nobody knows whether it did; nothing was sent.
        """
        self._fence()
        coid = intent.client_order_id
        flight = Flight(self, intent, work)
        # Before the question: a state that is set after it must find the order here.
        self._flying.add(coid)
        try:
            if not self._stopped(intent, work):
                self._send(flight, slot, hurried=hurried)
        except BaseException:
            self._flying.discard(coid)
            raise
        return flight

    def _send(self, flight: "Flight", slot: Slot, *, hurried: bool) -> None:
        """The one request; what the broker's side says to it waits in the flight."""
        intent, work = flight.intent, flight.work
        began = self._clock.monotonic()
        if work.resend:
            what = "the stored request once more"
            self._tracker.repeated(work.resend, "posted", what, time=work.tries + 1)
        else:
            work.stages.ends("send", began)
        work.posting, work.posted_at = True, began
        try:
            check = functools.partial(self._before_send, intent, work, hurried=hurried)
            flight.sent = self._desk.send(slot, intent.body, check)
        except BrokerError as e:
            flight.error = e
        except LeaseLost:
            raise  # the breaker's row is another instance's by now
        except LedgerError:
            # The last check failed: nothing was sent.
            self._breaker.unjudged(intent.client_order_id)
            raise
        finally:
            if flight.sent is None:
                work.posting = False
                self._answered(work)

    def _answered(self, work: Work) -> None:
        work.post_took = self._clock.monotonic() - work.posted_at

    def _land(self, flight: "Flight") -> bool:
        """What each kind of answer means."""
        intent, work = flight.intent, flight.work
        coid = intent.client_order_id
        try:
            order = self._order(flight)
        except DuplicateOrder:
            # An earlier try got through: a success path. The lookup fetches, compares, adopts.
            self._breaker.succeeded(coid)
            self._tracker.unknown(coid, "the client_order_id exists at the broker")
        except Unauthorized as e:
            self._tracker.refused(coid, Reason.UNAUTHORIZED, e.message)
        except Rejected as e:
            self._tracker.refused(coid, Reason.REFUSED_BY_BROKER, str(e))
        except (RateLimited, NotSent) as e:
            self._not_taken(coid, work, e)
            # Waiting for budget keeps a signal's place; waiting for a lost broker ages it.
            work.fresh = work.fresh and isinstance(e, RateLimited)
            return False
        except OutcomeUnknown as e:
            log.warning("order_unclear", extra={"client_order_id": coid, "detail": str(e)})
            self._tracker.unknown(coid, str(e))
        else:
            failpoints.hit("submit.answered")
            if order.get("id") and order.get("client_order_id") == coid:
                how = ("answered", f"HTTP 200 in {shown(work.post_took * 1e6)}")
                self._breaker.succeeded(coid)
                self._tracker.answered(coid, order, how=how)
            else:
                # HTTP 200 with some other object: nothing is certain, so it is looked up.
                self._breaker.failed(coid, "HTTP 200 with another answer than the order")
                self._tracker.unknown(coid, "the answer names no order of ours")
        return True

    def _order(self, flight: "Flight") -> Mapping[str, Any]:
        """The broker's order; the breaker hears of it where there is none."""
        coid = flight.intent.client_order_id
        try:
            flight.receive()
            flight.work.posting = False
            if flight.error is not None:
                raise flight.error
            assert flight.sent is not None  # noqa: S101  # one of the two is there
            return flight.sent.order()
        except DuplicateOrder:
            raise  # a success
        except BrokerError as e:
            if counts(e) and not isinstance(e, _SwitchedOff):
                self._breaker.failed(coid, str(e))
            else:
                self._breaker.unjudged(coid)
            raise

    def _before_send(self, intent: Intent, work: Work, *, hurried: bool) -> None:
        """Connecting may have taken seconds, and the process may have slept in them.

        What is left between this and the kernel are microseconds. A process that is stopped just
        there, and longer than its lease, sends when it wakes: the other instance has its row and
        the broker takes an id once, so it is late and not a second order.

        Raises:
            NotSent: the order is not allowed any more; the gates say so at the next try.
            LeaseLost, LedgerError: as :meth:`post`.
        """
        began = self._clock.monotonic()
        failpoints.hit("submit.last_check")
        denial = self._denied(intent, work)
        if denial is not None:
            raise _SwitchedOff(f"POST /v2/orders: not sent: {denial.message}")
        # Last: the switch is a file, and looking at it lets other threads run.
        self._fence()
        took = self._clock.monotonic() - began
        if took > CHECKS_WITHIN:
            raise _SwitchedOff(f"POST /v2/orders: not sent: the last checks took {took:.1f} s")
        if not hurried:
            self.leaving()

    def _not_taken(self, client_order_id: str, work: Work, error: BrokerError) -> None:
        """Nothing happened at the broker: the same body is to go out again."""
        detail = str(error)
        log.warning("order_not_taken", extra={"client_order_id": client_order_id, "detail": detail})
        what = "HTTP 429" if isinstance(error, RateLimited) else "not sent"
        words = f"{what}, after {shown(work.post_took * 1e6)}: {detail}"
        self._tracker.repeated(client_order_id, "not_taken", words, time=work.tries + 1)
        work.resend = client_order_id

    def _stopped(self, intent: Intent, work: Work) -> bool:
        """The last look before anything leaves: it may be forbidden since the gates looked.

        Nothing more is sent of the row then. What was sent of it before is not thereby undone.
        """
        coid = intent.client_order_id
        denial = self._denied(intent, work) or self._unclaimed(intent)
        if denial is None:
            return False
        tracked = self._tracker.get(coid)
        if tracked is not None and tracked.may_exist:
            self._tracker.expire_unconfirmed(coid, denial.message)
        else:
            self._tracker.stopped_before_resend(coid, denial.reason, denial.message)
        return True

    def _unclaimed(self, intent: Intent) -> Denial | None:
        """What only reduces a position reserves no cash, and passes an open breaker."""
        why = self._breaker.claim(intent.client_order_id) if intent.reserved_cash > 0 else None
        return None if why is None else Denial(Reason.CIRCUIT_OPEN, why)


class Flight:
    """One POST from its last check to the booking of its answer. For one thread.

    Where it was stopped or nothing left, it is on the ground, and landing tells what follows.
    """

    __slots__ = ("_submitter", "error", "intent", "received", "sent", "work")

    def __init__(self, submitter: Submitter, intent: Intent, work: Work) -> None:
        self._submitter = submitter
        self.intent = intent
        self.work = work
        self.sent: Sent | None = None
        self.received = False
        self.error: Exception | None = None

    @property
    def in_the_air(self) -> bool:
        """Whether an answer is awaited."""
        return self.sent is not None and not self.received

    @property
    def answering(self) -> bool:
        """Whether its answer is there and was not taken in."""
        return self.sent is not None and self.sent.answering

    @property
    def troubled(self) -> bool:
        """Whether it is known, before it is booked, that it was stopped or did not succeed."""
        return self.sent is None or self.error is not None or self.sent.failed

    def fileno(self) -> int:
        """Of the socket that becomes readable with the answer; -1: there is none."""
        return -1 if self.sent is None else self.sent.fileno()

    def receive(self) -> None:
        """Take in the answer, whatever it is; its connection is free then.

        What goes wrong is told by :meth:`land`, which must follow all the same.
        """
        if self.sent is not None and not self.received:
            self.received = True
            try:
                self.sent.receive()
            except Exception as e:  # noqa: BLE001 - a bug must not keep others from their answers
                self.error = e
            finally:
                self._submitter._answered(self.work)

    def land(self) -> bool:
        """Wait for the answer and book it.

        Returns:
            True when the order is on its way or at its end; False when the broker could not be
            reached or refused for the rate: the row stands, the lane is still the caller's, and
            ``work.resend`` names it.
        """
        submitter = self._submitter
        try:
            return (self.sent is None and self.error is None) or submitter._land(self)
        finally:
            submitter._flying.discard(self.intent.client_order_id)
