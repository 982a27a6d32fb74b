"""One signal from its lane to its POST, start to end, in one worker thread.

    known already? → gates → size → gates → reserve → row SUBMITTING → POST → tracker

Whatever happens, the lane is let go exactly once: here when the signal ends unsent, by the tracker
when its order does.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from solution import failpoints
from solution.book.positions import Portfolio
from solution.clock import Clock
from solution.domain.ports import Ledger, Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import POISON_STARTS, EntryRef, Intent, entry_key
from solution.domain.stages import Stages
from solution.errors import IdentityExists, LedgerError, Refused, SignalError
from solution.rate_limiter import Slot
from solution.trading.clearing import Clearing
from solution.trading.compose import Composer, PipelineRules
from solution.trading.course import Course, Departure
from solution.trading.duplicates import Duplicates
from solution.trading.endings import Endings
from solution.trading.exit_saga import ExitSaga
from solution.trading.gates.view import Denial, View
from solution.trading.kill_switch import KillSwitch
from solution.trading.known import KnownSignals
from solution.trading.looker import Looker, Tripping
from solution.trading.permission import Permission
from solution.trading.reserving import Desk, Reserving
from solution.trading.states import TradingStates
from solution.trading.submit import Submitter
from solution.trading.tracker import OrderTracker
from solution.trading.turnstile import PATIENCE, Turnstile
from solution.trading.work import Lane, Work, ends_at_once

log = logging.getLogger(__name__)

TURN_PAUSE = 0.02
"""Seconds before a signal looks again whether it may be decided now."""
BUDGET_PAUSE = 0.1
"""Seconds before a signal that lacks rate budget looks again: an exit may need its worker."""


class Pipeline:
    """Decides and sends. Stateless between signals but for the newest entry submitted per asset.

    Args:
        redis_ms: Redis time, so that ages compare two readings of one clock.
        saga: cancels resting orders in an exit's way; None leaves them (EXIT_CANCELS_RESTING).
        turnstile: where signals take turns.
        starved: seconds of waiting for the rate budget so far; see :meth:`Lanes.starved`.
        duplicates: which content was published a moment ago.
        tripping: the limits that trip, and the day's figures.
    """

    def __init__(  # noqa: PLR0913 - the collaborators of the order path, each used here
        self,
        *,
        rules: PipelineRules,
        desk: Desk,
        ledger: Ledger,
        outcomes: Outcomes,
        portfolio: Portfolio,
        tracker: OrderTracker,
        submitter: Submitter,
        kill: KillSwitch,
        clock: Clock,
        stop: threading.Event,
        redis_ms: Callable[[], int],
        states: TradingStates,
        saga: ExitSaga | None,
        turnstile: Turnstile,
        starved: Callable[[], float],
        duplicates: Duplicates,
        tripping: Tripping | None = None,
    ) -> None:
        self._rules = rules
        self._composer = Composer(rules)
        self._desk = desk
        self._ledger = ledger
        self._portfolio = portfolio
        self._tracker = tracker
        self._submitter = submitter
        self._permission = Permission(kill, states)
        self._clock = clock
        self._stop = stop
        self._looker = Looker(
            rules=rules,
            composer=self._composer,
            desk=desk,
            portfolio=portfolio,
            tracker=tracker,
            kill=kill,
            states=states,
            clock=clock,
            redis_ms=redis_ms,
            starved=starved,
            duplicates=duplicates,
            tripping=tripping,
        )
        clearing = None
        if saga is not None and not rules.dry_run:
            clearing = Clearing(saga, self._composer, portfolio, ledger)
        self._reserving = Reserving(
            desk=desk,
            looker=self._looker,
            composer=self._composer,
            portfolio=portfolio,
            clearing=clearing,
            clock=clock,
            stop=stop,
        )
        self._endings = Endings(
            composer=self._composer,
            ledger=ledger,
            sink=outcomes,
            portfolio=portfolio,
            tracker=tracker,
            clock=clock,
        )
        self._known = KnownSignals(
            composer=self._composer,
            ledger=ledger,
            sink=outcomes,
            tracker=tracker,
            clock=clock,
            just_ended=self._endings.just_ended,
        )
        self._newest: dict[tuple[str, str], tuple[int, int]] = {}
        self._suspects: frozenset[EntryRef] = frozenset()
        self._turnstile = turnstile

    def run(self, work: Work, lane: Lane, slot: Slot) -> None:
        """Take one signal as far as this thread can."""
        self._enter(Course(work, lane), slot)

    def start(self, work: Work, lane: Lane, slot: Slot, *, unburdened: bool = True) -> Course:
        """Take one signal to its POST, and do not wait for the answer.

        Args:
            unburdened: whether this thread has nothing to :meth:`finish`. While it has, it waits
                for nothing here: not for an answer of the broker, nor for cancels, nor for the turn
                of a suspect, who may wait for what this thread has begun. The signal is sent back.

        Returns:
            How it went; :meth:`finish` must follow in the same thread for what has departed.
        """
        # What may have killed the process is on its own until the broker has answered.
        hurried = not (work.redelivered or work.resend)
        course = Course(work, lane, hurried, burdened=not unburdened)
        if hurried or unburdened:
            self._enter(course, slot)
        else:
            slot.cancel()
            self._send_back(course)
        return course

    def finish(self, departed: Departure) -> bool:
        """Wait for the answer to a POST and book it.

        Returns:
            False when nothing happened at the broker: :meth:`send_later` must follow.

        Raises:
            LedgerError: as :meth:`run`.
        """
        work = departed.work
        try:
            return departed.flight.land()
        except LedgerError:
            raise
        except Exception as e:  # noqa: BLE001 - as in _run
            self._endings.crashed(work, departed.lane, e)
            return True

    def send_later(self, sent: Sequence[Course | Departure]) -> None:
        """Nothing happened at the broker: the same bodies again, from the front of their lanes."""
        for one in sent:
            one.work.tries += 1
        tries = max(one.work.tries for one in sent)
        # Wakes at once on shutdown; the entry is still pending then and is decided at next start.
        self._stop.wait(min(1.0, 0.05 * 2.0 ** min(tries, 6)))
        for one in sent:
            one.lane.requeue(one.work)

    def _enter(self, course: Course, slot: Slot) -> None:
        work = course.work
        identity = work.signal.identity
        alone = work.ref in self._suspects
        patience = 0.0 if course.burdened else PATIENCE
        if not self._turnstile.enter(identity, alone=alone, patience=patience):
            slot.cancel()
            if not course.burdened:
                self._stop.wait(TURN_PAUSE)
            self._send_back(course)
            return
        try:
            waits = self._run(course, slot)
        finally:
            # Also when its answer is still to come: from its row on, the same signal once more is
            # settled by that, and need not wait here for a broker that may take its time.
            self._turnstile.leave(identity)
            if course.departed is None:
                slot.cancel()  # a no-op once the slot was spent on a POST
        if waits:
            work.waits_since = min(work.waits_since, self._clock.monotonic())
            self._stop.wait(BUDGET_PAUSE)
        if waits or course.sent_back:
            self._send_back(course)

    def _send_back(self, course: Course) -> None:
        course.sent_back = True
        course.lane.requeue(course.work)

    def _run(self, course: Course, slot: Slot) -> bool:
        """Whether it waits for rate budget: it keeps its place."""
        work, lane = course.work, course.lane
        started = waits = False
        try:
            if work.resend:
                self._resend(course, slot)
            elif not self._known.settle(work, lane):
                # Redelivered only: a fresh entry costs no write before its row.
                started = work.redelivered and self._start(work)
                waits = not self._decide(course, slot)
        except Refused as e:
            self._endings.refuse(work, lane, e.reason, e.message)
        except SignalError as e:
            self._endings.dead_letter(work, lane, e)
        except LedgerError:
            raise  # nothing is durable any more: the service ends, the entry stays pending
        except Exception as e:  # noqa: BLE001 - a bug must cost one signal, not lane and entry
            self._endings.crashed(work, lane, e)
        if started:
            # Not in a finally: what ends the process here is what the mark is for.
            self._ledger.clear_start(work.ref)
        return waits

    def _start(self, work: Work) -> bool:
        """Count in the ledger that a redelivered entry without a row is being decided.

        Only such an entry may be what killed the process: one with a row is looked up at the
        broker, and Redis's own count of deliveries grows when nothing was wrong with it.

        Raises:
            SignalError: too many of its starts ended in a crash.
        """
        failpoints.hit("pipeline.started", work.ref.entry_id)
        starts = self._ledger.mark_start(work.ref)
        failpoints.hit("pipeline.start_counted", work.ref.entry_id)
        if starts >= POISON_STARTS:
            raise SignalError(
                Reason.POISON,
                f"the service died {starts} times while it decided this entry",
            )
        kind, what = "redelivered", "it was read before and had no row"
        if starts > 1:
            kind, what = "suspect", "the service died while it decided this entry: decided alone"
        self._tracker.remark(self._composer.client_order_id(work.signal), kind, what)
        return True

    def recovered(
        self,
        newest: Mapping[tuple[str, str], tuple[int, int]],
        suspects: Iterable[EntryRef] = (),
    ) -> None:
        """What start-up found, before anything is read.

        Args:
            newest: (stream, asset id) → the newest entry sent; an older one must not follow it.
            suspects: entries that were being decided when the process died; they run alone.
        """
        self._newest.update(newest)
        self._suspects = frozenset(suspects)

    # --- new decisions -----------------------------------------------------------------------

    def _decide(self, course: Course, slot: Slot) -> bool:
        """Whether it is decided or sent back; False when it waits for rate budget."""
        work, lane = course.work, course.lane
        now = self._clock.monotonic()
        stages = work.stages = Stages(work.received_at, now, self._looker.starved_for(work, now))
        try:
            self._check_order(work)
            if not course.burdened:  # else one was found ready before this signal was taken
                self._desk.connect()
            found = self._reserving.reserve(course)
            if found is None:
                return course.sent_back
            failpoints.hit("pipeline.decided")
            stages.ends("gates", self._clock.monotonic())
            self._carry_out(course, slot, *found)
        except (IdentityExists, Refused):
            # Another entry with this signal_id came through another lane at the same moment; or the
            # entry only looks new, and its order was sent and perhaps found before the entry was.
            if not self._known.settle(work, lane, look=True):
                raise
        return True

    def _carry_out(self, course: Course, slot: Slot, intent: Intent, view: View) -> None:
        """Row and POST; what is reserved is released again where none of it came about."""
        work, lane = course.work, course.lane
        sent = False
        try:
            if self._rules.dry_run:
                self._endings.dry(work, lane, intent)
                return
            self._last_look(work, intent)
            sent = True
            self._send(course, slot, intent, view)
        except BaseException as e:
            if not sent or isinstance(e, IdentityExists):
                self._portfolio.released(intent.client_order_id, sent=False)
            raise

    def _check_order(self, work: Work) -> None:
        """A lost buy must not follow its sell: older than the newest one sent ends here."""
        newest = self._newest.get((work.signal.stream, work.asset.id))
        if self._rules.ordered and newest is not None and entry_key(work.signal.entry_id) < newest:
            raise Refused(
                Reason.SUPERSEDED,
                f"entry {newest[0]}-{newest[1]} of the same asset was sent before it was read",
            )

    def _last_look(self, work: Work, intent: Intent) -> None:
        """Kill switch and trading state once more: they may have changed since the gates looked."""
        failpoints.hit("pipeline.last_look")
        denial = self._permission.denial(intent, work)
        if denial is not None:
            raise Refused(denial.reason, denial.message)

    def _send(self, course: Course, slot: Slot, intent: Intent, view: View) -> None:
        work, lane = course.work, course.lane
        now = self._clock.epoch_ms()
        intent.submitted_ms = intent.created_ms = intent.updated_ms = now
        key = (work.signal.stream, work.asset.id)
        entry = entry_key(work.signal.entry_id)
        self._newest[key] = max(entry, self._newest.get(key, entry))
        # A market order for the day ends at once as well, while the market is open; should it rest
        # all the same (a halt), the first poll that finds it open lets go of the lane.
        # So does crypto's, whose market never closes.
        at_market, is_day = intent.order_type == "market", intent.time_in_force == "day"
        trades = work.asset.is_crypto or (is_day and view.market.is_open is True)
        keeps = ends_at_once(intent) or (at_market and trades)
        self._submitter.begin(intent, work, lane, keeps_lane=keeps)
        self._post_seen(course, slot, intent, view)

    def _post_seen(self, course: Course, slot: Slot, intent: Intent, view: View) -> None:
        """POST the body of a row that has just been written, on what the gates saw before."""
        # The row may have taken its time (a slow disk, a distant database): nothing checked waits.
        if self._reserving.is_recent(view) or self._allowed_again(course.work, intent) is not None:
            self._post(course, slot, intent)

    def _post(self, course: Course, slot: Slot, intent: Intent) -> None:
        flight = self._submitter.depart(intent, course.work, slot, hurried=course.hurried)
        if not flight.in_the_air:
            slot.cancel()  # a no-op where it was spent
        if course.hurried:
            course.departed = Departure(course.work, course.lane, flight)
        elif not flight.land():
            self.send_later([course])

    # --- the same body once more ---------------------------------------------------------------

    def _resend(self, course: Course, slot: Slot) -> None:
        """POST the stored body of a row that provably has no order, if every gate still agrees."""
        work, lane = course.work, course.lane
        intent = self._tracker.retake(work.resend, lane, work)
        if intent is None:
            return  # news settled it, and the tracker has the lane
        self._desk.connect()
        view = self._allowed_again(work, intent)
        if view is not None and self._submitter.begin_again(intent):
            self._post_seen(course, slot, intent, view)

    def _allowed_again(self, work: Work, intent: Intent) -> View | None:
        """What the gates saw when all of them agreed (again); None when one did not: it has ended.

        What was sent of the order before is not thereby undone.
        """
        coid = intent.client_order_id
        found = self._still_allowed(work, intent)
        failpoints.hit("pipeline.resend")
        if isinstance(found, View):
            return found
        tracked = self._tracker.get(coid)
        if tracked is not None and tracked.may_exist:
            passes = not self._tracker.is_unconfirmed(intent.symbol, beside=coid)
            if found.reason == Reason.EXPOSURE_UNCONFIRMED and passes:
                # No other order is in doubt, the position is, for a moment. Giving up would close
                # the asset for the day: looked up again, and sent then if its signal is young.
                self._tracker.unknown(coid, found.message)
            else:
                self._tracker.expire_unconfirmed(coid, found.message)
        elif work.tries and found.reason == Reason.STALE_SIGNAL:
            self._tracker.unsent(coid, f"the broker could not be reached; {found.message}")
        else:
            self._tracker.stopped_before_resend(coid, found.reason, found.message)
        return None

    def _still_allowed(self, work: Work, intent: Intent) -> View | Denial:
        """Every gate once more over the order as it stands in its row."""
        symbol, coid = work.asset.symbol, intent.client_order_id
        # As urgent as an exit: it is rare, and its row waits for the answer.
        self._desk.refresh_if_uncertain(symbol, urgent=True)
        if not self._portfolio.covers(coid):
            why = f"what is held of {symbol} no longer covers the order decided before"
            return Denial(Reason.NOTHING_TO_SELL, why)
        view = self._looker.look(work, beside=coid)
        held = self._portfolio.view_beside(symbol, coid)
        return self._composer.judge(intent, view, held) or view
