"""Closes positions on request, from the first cancel to the last share; survives a crash anywhere.

    restrict → cancel what rests → await the ends → read positions → close → follow → … until flat

A thread of its own. An errand of the account keeper would wait behind its polls and hold them up in
turn, a worker would take a signal's place, and a signal of our own would have to pass gates that
must not judge it. What is due is decided anew in each round (:mod:`solution.trading.flatten_round`)
from what the request's row, the tracker, the broker's list and the positions say, so that a start
after a crash is one more round.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from solution import failpoints
from solution.clock import Clock
from solution.domain.flattening import PREFIX, Flattening, Left, flattening_of, words_of
from solution.errors import BrokerError, LedgerError
from solution.runtime.service import Fatal, Service
from solution.trading.flatten_round import Run

log = logging.getLogger(__name__)

PACE = 0.1
IDLE = 0.5
KEPT_MS = 7 * 86_400_000
"""How long a request that is done stays in the ledger."""


class RequestLedger(Protocol):
    """Where the requests are."""

    def states(self, prefix: str) -> dict[str, str]: ...
    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...
    def delete_state(self, key: str, *, sync: bool = True) -> None: ...


class Rounds(Protocol):
    """One round of one request: :class:`solution.trading.flatten_round.FlattenRound`."""

    def work(
        self, request: Flattening, run: Run, keep: Callable[[Flattening], None]
    ) -> bool | None: ...


class Resends(Protocol):
    """The part of :class:`solution.trading.closing.Closer` that no single request asks for."""

    def adopt(self) -> None: ...
    def send_again(self) -> None: ...


class Flattener(Service):
    """Carries out every request that stands in the ledger, oldest first.

    Args:
        restrict: keeps signals from opening what is being closed; durable on return.
        prompt: run before each look at the requests: what may make one by itself.
        dry_run: nothing is sent and nothing cancelled.
    """

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        rounds: Rounds,
        resends: Resends,
        restrict: Callable[[Flattening], None],
        prompt: Callable[[], None],
        clock: Clock,
        dry_run: bool = False,
    ) -> None:
        super().__init__("flatten", clock=clock)
        self._ledger = ledger
        self._rounds = rounds
        self._resends = resends
        self._restrict = restrict
        self._prompt = prompt
        self._dry_run = dry_run
        self._runs: dict[str, Run] = {}
        self._unreadable: set[str] = set()
        self._under_way: Mapping[str, str] = {}

    def on_start(self) -> None:
        self._resends.adopt()

    def step(self) -> float:
        try:
            self._prompt()
            self._resends.send_again()
            requests = self._requests()
            for request in requests:
                self._advance(request)
        except LedgerError as e:
            # As for a worker: nothing can be made durable, so nothing may be sent.
            raise Fatal(str(e)) from e
        self._under_way = {r.id: "; ".join(words_of(r.left)) for r in requests if not r.done_ms}
        return PACE if self._under_way else IDLE

    def under_way(self) -> Mapping[str, str]:
        """By the id of a request that is not done: what is left of it, and why."""
        return self._under_way

    def _requests(self) -> Sequence[Flattening]:
        """Those that are not done; what was done long ago is forgotten."""
        found = []
        for key, text in self._ledger.states(PREFIX).items():
            try:
                request = flattening_of(key.removeprefix(PREFIX), text)
            except ValueError as e:
                self._tell_unreadable(key, str(e))
                continue
            if not request.done_ms:
                found.append(request)
            elif self._clock.epoch_ms() - request.done_ms > KEPT_MS:
                self._ledger.delete_state(key, sync=False)
        return sorted(found, key=lambda r: (r.at_ms, r.id))

    def _tell_unreadable(self, key: str, detail: str) -> None:
        if key not in self._unreadable:
            self._unreadable.add(key)
            log.error("flatten_unreadable", extra={"detail": detail})

    def _advance(self, request: Flattening) -> None:
        """One round of one request."""
        before = request.to_json()
        run = self._runs.get(request.id)
        if run is None:
            run = self._runs[request.id] = Run(self._clock.monotonic())
            log.warning("flatten_begins", extra={"flatten": request.id, "detail": request.why})
        if self._dry_run:
            request.left = {"every position": Left("stands", "a dry run sends nothing")}
            self._end(request, run, flat=False)
        else:
            self._work(request, run)
        if request.to_json() != before:
            self._keep(request)
            if request.left and not request.done_ms:
                words = "; ".join(words_of(request.left))
                log.info("flatten_goes_on", extra={"flatten": request.id, "detail": words})

    def _work(self, request: Flattening, run: Run) -> None:
        if not request.restricted:
            self._restrict(request)
            request.restricted = True
            self._keep(request)
            failpoints.hit("flatten.restricted")
        try:
            flat = self._rounds.work(request, run, self._keep)
        except BrokerError as e:
            log.warning("flatten_waits", extra={"flatten": request.id, "detail": str(e)})
            return
        if flat is not None:
            failpoints.hit("flatten.before_done")
            self._end(request, run, flat=flat)

    def _keep(self, request: Flattening) -> None:
        """Durable on return, and with it the rows that were committed before."""
        if self._ledger.get_state(request.key) is None:
            return  # withdrawn meanwhile: this round is its last
        self._ledger.set_state(request.key, request.to_json())

    def _end(self, request: Flattening, run: Run, *, flat: bool) -> None:
        request.flat, request.done_ms = flat, self._clock.epoch_ms()
        self._runs.pop(request.id, None)
        took = self._clock.monotonic() - run.began
        words = "; ".join(words_of(request.left)) or "nothing is left"
        extra = {"flatten": request.id, "flat": flat, "detail": f"{words}, after {took:.1f} s"}
        log.log(logging.INFO if flat else logging.ERROR, "flatten_ended", extra=extra)
