"""Kill as a barrier: what was on its way is answered, what rests is cancelled, and both is seen.

The trading state is HALTED and durable before a kill has a row. From there this thread goes, and a
crash anywhere makes the next start begin again with the row as it stands: nothing that is done here
does harm when it is done twice. POSTs that had passed their last check are awaited until they are
answered or UNKNOWN; then open orders are cancelled, as many at once as the rate budget has slots;
then they are listed until there was none, twice, with no order unclear before and after each list
and the legs of every bracket known; then, where positions are to be closed, the request for that is
written. A resume ends it at once.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from solution import failpoints
from solution.clock import Clock
from solution.domain.kills import FLATTEN, KILL, Kill, Stage
from solution.domain.order_state import STATE_OF_STATUS
from solution.domain.records import TERMINAL, State
from solution.errors import BrokerError, LedgerError, NoBudget, NotFound, Rejected
from solution.rate_limiter import Priority
from solution.runtime.service import Service

log = logging.getLogger(__name__)

LOOK_EVERY = 0.2
"""Seconds between two looks for a kill, when nobody wakes this thread."""
DRAIN_EVERY = 0.01
LIST_EVERY = 0.5
AFTER_TROUBLE = 1.0
AT_ONCE = 8
"""Cancels under way at one time: one after the other, 200 of them would take 20 s at Alpaca."""
CHUNK = 32
"""Cancels between two records of how far it is."""
AGAIN_AFTER = 5.0
"""Seconds after which a cancel that did not take effect is asked for again."""
EMPTY_LISTS = 2


class KillDesk(Protocol):
    """The part of the wrapper that this module needs; every call spends a rate slot."""

    def cancel(self, order_id: str) -> None: ...
    def cancel_all(self) -> object: ...
    def open_orders(
        self, priority: Priority, *, nested: bool = False
    ) -> Sequence[Mapping[str, Any]]: ...


class KillLedger(Protocol):
    """Where kills, and requests to flatten, have their rows."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...
    def delete_state(self, key: str) -> None: ...
    def states(self, prefix: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KillPorts:
    """What a barrier asks of its surroundings.

    Args:
        in_flight: orders whose POST is under way.
        unclear: how many orders may be at the broker without our knowing, and of how many brackets
            the legs are not known.
        is_ours: whether an open order is to be cancelled.
        sent_ms: when an order was sent, by its client_order_id; 0 where that is not known.
        stands: whether trading is halted still.
        settle: asks the broker for such legs; may raise BrokerError. A filled entry order is no
            open order any more, and its legs stand in a list under ids that say nothing.
        late: orders that were given up without an answer, in words; they may still arrive.
        note: told the client_order_id of each order whose cancel was asked for, and the kill's id.
        exclusive: nobody else trades on the account.
    """

    in_flight: Callable[[], Collection[str]]
    unclear: Callable[[], int]
    is_ours: Callable[[Mapping[str, Any]], bool]
    sent_ms: Callable[[str], int]
    stands: Callable[[], bool]
    settle: Callable[[], None] = lambda: None
    late: Callable[[], Sequence[str]] = tuple
    note: Callable[[str, str], None] = lambda _coid, _id: None
    exclusive: bool = False


class Barrier:
    """One kill on its way. For one thread.

    Args:
        save: keeps the kill's row.
        flatten: writes the request to close positions, once.
        stop: ends waiting; the kill goes on at the next start.
    """

    def __init__(
        self,
        kill: Kill,
        desk: KillDesk,
        ports: KillPorts,
        clock: Clock,
        *,
        save: Callable[[Kill], None],
        flatten: Callable[[Kill], None],
        stop: Callable[[], bool],
    ) -> None:
        self.kill = kill
        self._desk = desk
        self._ports = ports
        self._clock = clock
        self._save = save
        self._flatten = flatten
        self._stop = stop
        self._asked_at: dict[str, float] = {}
        self._counting = threading.Lock()
        self._empty = 0
        if not kill.ended:
            kill.stage = Stage.NEW  # of an earlier life: from the beginning, with its counts

    def step(self) -> float:
        """Go on; returns seconds until there is more to do."""
        kill = self.kill
        if kill.ended:
            return LOOK_EVERY
        try:
            return self._go_on()
        except NoBudget:
            kill.waits, kill.trouble = True, ""
        except (BrokerError, LedgerError) as error:
            if kill.trouble != str(error):
                log.warning("kill_hindered", extra={"kill": kill.id, "detail": str(error)})
            kill.trouble = str(error)
            return AFTER_TROUBLE
        return LIST_EVERY

    def _go_on(self) -> float:
        if not self._ports.stands():
            return self._end(Stage.ABANDONED)
        match self.kill.stage:
            case Stage.NEW | Stage.DRAINING:
                return self._drain()
            case Stage.CANCELLING:
                return self._cancel()
            case _:
                self._flatten(self.kill)
                return self._end(Stage.DONE)

    def _drain(self) -> float:
        kill = self.kill
        kill.in_flight = len(self._ports.in_flight())
        kill.unclear = self._ports.unclear()
        if kill.in_flight:
            self._move(Stage.DRAINING)
            return DRAIN_EVERY
        failpoints.hit("kill.drained")
        kill.drained_ms = kill.drained_ms or self._clock.epoch_ms()
        if not kill.cancels:
            return self._end(Stage.DONE)
        self._move(Stage.CANCELLING)
        return 0.0

    def _cancel(self) -> float:
        """One list of what is open, and a cancel for each that had none."""
        kill = self.kill
        self._ports.settle()
        unclear = self._ports.unclear()
        listed = [
            one
            for order in self._desk.open_orders(Priority.CANCEL, nested=True)
            for one in self._targets(order)
        ]
        kill.waits, kill.trouble = False, ""
        kill.open, kill.unclear = len(listed), self._ports.unclear()
        if not listed:
            # What was cleared up while the list was on its way may be missing in it.
            self._empty = 0 if unclear or kill.unclear else self._empty + 1
            if self._empty < EMPTY_LISTS:
                self._save(kill)
                return LIST_EVERY
            kill.late = list(self._ports.late())
            if kill.close_positions:
                self._move(Stage.FLATTENING)
                return 0.0
            return self._end(Stage.DONE)
        self._empty = 0
        self._ask(listed)
        self._save(kill)
        return LIST_EVERY

    def _targets(self, order: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """What of a listed order is to be cancelled: itself, or else those of its legs that work.

        A leg goes with its entry order while that is open. What was sent after everything on its
        way had been answered is an operator's flatten.
        """
        if self._sent_since(order) or not self._ports.is_ours(order):
            return ()
        if _is_open(order):
            return (order,)
        return [leg for leg in order.get("legs") or () if _is_open(leg)]

    def _sent_since(self, order: Mapping[str, Any]) -> bool:
        return self._ports.sent_ms(str(order.get("client_order_id"))) > self.kill.drained_ms

    def _ask(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Cancels for all that have none; those that found no slot come up with the next list."""
        kill, now = self.kill, self._clock.monotonic()
        if self._ports.exclusive and not kill.one_request:
            failpoints.hit("kill.before_all")
            self._desk.cancel_all()
            kill.one_request = True
            self._asked_at = {str(order.get("id")): now for order in listed}
            return
        due = [o for o in listed if now - self._asked_at.get(_id(o), -AGAIN_AFTER) >= AGAIN_AFTER]
        kill.left = len(due)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="kill-cancel") as pool:
            for first in range(0, len(due), CHUNK):
                for error in pool.map(self._ask_one, due[first : first + CHUNK]):
                    if error is not None:
                        raise error
                self._save(kill)
        kill.waits = False

    def _ask_one(self, order: Mapping[str, Any]) -> BrokerError | LedgerError | None:
        """One cancel; returns what makes the rest wait."""
        kill = self.kill
        while True:
            if self._stop() or not self._ports.stands():
                return NoBudget("interrupted")
            failpoints.hit("kill.before_cancel")
            refused = 0
            try:
                self._desk.cancel(_id(order))
            except (Rejected, NotFound):
                refused = 1  # it has ended, or is about to
            except NoBudget:
                told, kill.waits = kill.waits, True
                if not told:
                    self._save(kill)
                continue
            except (BrokerError, LedgerError) as error:
                return error
            failpoints.hit("kill.cancelled")
            with self._counting:
                self._asked_at[_id(order)] = self._clock.monotonic()
                kill.asked += 1
                kill.refused += refused
                kill.left -= 1
            self._ports.note(str(order.get("client_order_id")), kill.id)
            return None

    def _move(self, stage: Stage) -> None:
        if self.kill.stage is not stage:
            self.kill.stage = stage
            log.warning("kill", extra={"kill": self.kill.id, "detail": str(stage)})
            self._save(self.kill)

    def _end(self, stage: Stage) -> float:
        self.kill.ended_ms, self.kill.left = self._clock.epoch_ms(), 0
        self._move(stage)
        failpoints.hit("kill.ended")
        return 0.0


class KillKeeper(Service):
    """Finds the kills that have a row and carries them out, in a thread of its own.

    Args:
        desk, ports, clock: see :class:`Barrier`.

    Attributes:
        on_change: called when a kill has got further; must return at once.
    """

    def __init__(
        self,
        desk: KillDesk,
        ledger: KillLedger,
        ports: KillPorts,
        clock: Clock,
    ) -> None:
        super().__init__("kill-barrier", error_pause=LOOK_EVERY, clock=clock)
        self._desk = desk
        self._ledger = ledger
        self._ports = ports
        self.on_change: Callable[[], None] = lambda: None
        self._barriers: dict[str, Barrier] = {}

    def shown(self) -> dict[str, dict[str, Any]]:
        """Every kill by its id, for the status snapshot."""
        return {name: one.kill.shown() for name, one in list(self._barriers.items())}

    def step(self) -> float:
        self._find()
        pauses = [one.step() for one in list(self._barriers.values())]
        return min([LOOK_EVERY, *pauses])

    def _find(self) -> None:
        """New rows; a row that is gone was ended by a resume."""
        try:
            found = self._ledger.states(KILL)
        except LedgerError as error:
            log.debug("kills_not_read", extra={"detail": str(error)})
            return  # those in hand go on
        ids = {key.removeprefix(KILL): value for key, value in found.items()}
        kept = {name: one for name, one in self._barriers.items() if name in ids}
        for name, value in ids.items():
            if name not in kept:
                kept[name] = self._barrier(Kill.read(name, value))
        self._barriers = kept

    def _barrier(self, kill: Kill) -> Barrier:
        return Barrier(
            kill,
            self._desk,
            replace(self._ports, stands=lambda: self._ports.stands() and self._has_row(kill)),
            self._clock,
            save=self._save,
            flatten=self._flatten,
            stop=lambda: self.alive and self.stopping,
        )

    def _has_row(self, kill: Kill) -> bool:
        """A resume deletes it, even if another kill followed at once."""
        try:
            return self._ledger.get_state(KILL + kill.id) is not None
        except LedgerError:
            return True

    def _save(self, kill: Kill) -> None:
        """The row is a record: what it cannot keep must not stop the cancels."""
        self.on_change()
        try:
            if self._ledger.get_state(KILL + kill.id) is not None:
                self._ledger.set_state(KILL + kill.id, kill.written())
        except LedgerError as error:
            log.warning("kill_not_recorded", extra={"kill": kill.id, "detail": str(error)})

    def _flatten(self, kill: Kill) -> None:
        """Asked for once: a second time would take back how far it has come."""
        key = FLATTEN + kill.id
        if self._ledger.get_state(key) is None:
            self._ledger.set_state(key, flatten_row(f"kill by {kill.by}", self._clock.epoch_ms()))
            if not self._has_row(kill):
                # A resume came in between, and takes back what it finds: that was not there yet.
                self._ledger.delete_state(key)
        failpoints.hit("kill.flatten_asked")


def flatten_row(why: str, at_ms: int, symbols: Sequence[str] = ()) -> str:
    """A request to close positions, all of them by default, as its row."""
    return orjson.dumps({"symbols": list(symbols), "why": why, "at_ms": at_ms}).decode()


def _id(order: Mapping[str, Any]) -> str:
    return str(order.get("id"))


def _is_open(order: Mapping[str, Any]) -> bool:
    return STATE_OF_STATUS.get(str(order.get("status")), State.OPEN) not in TERMINAL
