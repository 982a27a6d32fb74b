"""The demo from start to verdict.

Signals: what the generator draws, and two of our own: one published twice under one signal_id
(one order must result) and one with a typo (a dead letter must result).
"""

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click
import redis

from solution.clock import Deadline
from solution.demo import audit, report
from solution.demo.evidence import Witness
from solution.demo.processes import DemoError
from solution.demo.redis_server import choose
from solution.demo.show import Draw, display, say
from solution.demo.stack import (
    GROUP,
    KEYS,
    READY_WITHIN,
    SERVICE_STOPS_WITHIN,
    SHARES,
    STREAM,
    Plan,
    Stack,
)
from solution.ui.snapshot import read_all

TICK = 0.25
SETTLE_WITHIN = 15.0
"""Seconds without any signal ending after which the rest counts as lost."""
HURRY_SETTLE, HURRY_STOP = 1.0, 2.0
"""The same, and the time the service gets to stop, once Ctrl-C was pressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for."""

    plan: Plan
    redis_kind: str = "auto"
    keep: Path | None = None
    plain: bool = False


def run_demo(options: Options) -> int:
    """Run it; the exit code: 0 only if every signal ended exactly once.

    Raises:
        DemoError: it could not be run to its end.
    """
    folder = _folder(options.keep)
    kept = options.keep is not None
    try:
        code = _Demo(options, folder).run()
        kept = kept or code != 0
        return code
    except BaseException:
        kept = True
        raise
    finally:
        if kept:
            click.echo(f"ledger and logs: {folder}", err=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="signalpaca-demo-"))
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise DemoError(f"{keep} is not empty")
    except OSError as e:
        raise DemoError(f"{keep}: {e.strerror}") from None
    return keep.resolve()


class _Demo:
    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._plan = options.plan
        self._folder = folder
        self._interrupted = False
        self._tick = threading.Event()
        self._notes: list[str] = []
        self._snapshot: Mapping[str, Any] = {}

    def run(self) -> int:
        choice = choose(self._options.redis_kind)
        with (
            self._signals(),
            Stack(choice, self._plan, self._folder) as stack,
            closing(self._witness(stack)) as witness,
        ):
            try:
                with display(plain=self._options.plain) as draw:
                    self._notes = self._introduction(stack)
                    self._await_service(stack, witness)
                    self._trade(stack, witness, draw)
                    lost = self._settle(stack, witness, draw)
                code = stack.stop_service(HURRY_STOP if self._interrupted else SERVICE_STOPS_WITHIN)
                return self._conclude(stack, witness, code, lost)
            except (redis.RedisError, OSError) as e:
                raise DemoError(f"the demo lost a program: {type(e).__name__}: {e}") from e

    def _witness(self, stack: Stack) -> Witness:
        return Witness(
            redis_url=stack.redis.url,
            exchange_url=stack.exchange_url,
            keys=KEYS,
            stream=STREAM,
            group=GROUP,
        )

    def _introduction(self, stack: Stack) -> list[str]:
        plan = self._plan
        as_alpaca = ", as Alpaca's" if plan.limit == 200 else f" for {plan.rate:.0f} signals/s"
        exchange = (
            f"paper_exchange, {stack.exchange_url}, {plan.limit} requests a minute{as_alpaca}"
        )
        generator = (
            f"{plan.signals} random signals, about {plan.rate:.1f} a second; seed {plan.seed}"
        )
        return [
            f"redis      {stack.redis.shown}, {stack.redis.url}",
            f"exchange   {exchange}",
            f"generator  {generator}",
            f"service    {plan.workers} workers, {SHARES} shares a buy, at most 10 % in one symbol",
        ]

    # --- phases ---------------------------------------------------------------------------------

    def _await_service(self, stack: Stack, witness: Witness) -> None:
        deadline = Deadline(READY_WITHIN)
        while not stack.is_ready(witness.client):
            if deadline.passed():
                raise DemoError(stack.service.complaint("is not ready"))
            if self._interrupted:
                raise DemoError("interrupted before the service was ready")
            self._tick.wait(0.02)

    def _trade(self, stack: Stack, witness: Witness, draw: Draw) -> None:
        """Until the generator has published everything, time is up, or somebody interrupts."""
        stack.start_generator()
        deadline, extras = Deadline(self._plan.seconds * 2 + 10), _Extras(witness.client)
        while not self._interrupted and stack.generator.code is None and not deadline.passed():
            published = self._draw(stack, witness, draw)
            if published >= self._plan.signals // 3:
                extras.twice(self._plan.seed)
            if published >= self._plan.signals * 2 // 3:
                extras.typo()
            self._tick.wait(TICK)
        if not self._interrupted:
            extras.twice(self._plan.seed)
            extras.typo()
        stack.generator.end(Deadline(1.0))
        if not self._interrupted and stack.generator.code != 0:
            raise DemoError(stack.generator.complaint("failed"))

    def _settle(self, stack: Stack, witness: Witness, draw: Draw) -> int:
        """Wait until every signal has its end; how many still have none."""
        best = -1
        while True:
            published, ended = witness.published(), witness.ended()
            if ended > best:
                best, deadline = ended, Deadline(SETTLE_WITHIN)
            if self._interrupted and deadline.left() > HURRY_SETTLE:
                deadline = Deadline(HURRY_SETTLE)
            if ended >= published or deadline.passed():
                break
            self._draw(stack, witness, draw)
            self._tick.wait(0.05)
        self._await_picture(stack, witness, draw)
        return published - ended

    def _await_picture(self, stack: Stack, witness: Witness, draw: Draw) -> None:
        """The service paints each second; wait for a picture of the end, for the eye only."""
        deadline = Deadline(0.0 if self._interrupted else 1.5)
        before = self._snapshot.get("at")
        while True:
            self._draw(stack, witness, draw)
            if deadline.passed() or self._snapshot.get("at") != before:
                return
            self._tick.wait(0.1)

    def _conclude(self, stack: Stack, witness: Witness, code: int | None, lost: int) -> int:
        evidence = witness.collect()
        problems = audit.problems(evidence)
        if code != 0:
            how = "did not stop in time" if code is None else f"ended with exit code {code}"
            problems.append(f"the service {how}")
        head = {"run": "interrupted; counted is what was published"} if self._interrupted else {}
        if lost:
            problems.append(f"{lost} signals had not ended when the demo stopped waiting")
        head |= {"redis": stack.redis.shown}
        for line in ("", *report.lines(evidence, problems, head)):
            say(line)
        return 1 if problems else 0

    # --- the picture ------------------------------------------------------------------------------

    def _draw(self, stack: Stack, witness: Witness, draw: Draw) -> int:
        stack.check_alive()
        found = read_all(witness.client, GROUP)
        self._snapshot = next(iter(found.values()), self._snapshot)
        published, ended = witness.published(), witness.ended()
        progress = f"{published} of {self._plan.signals + 3} published, {ended} ended"
        draw([*self._notes, progress], self._snapshot)
        return published

    # --- signals ----------------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C (SIGTERM, SIGHUP) ends the demo in order, the second at once."""

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Extras:
    """The two signals that the generator cannot draw, each published once per demo."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._done: set[str] = set()

    def twice(self, seed: int) -> None:
        """A producer that lost the answer to its XADD and sends it again."""
        if self._first("twice"):
            for _ in range(2):
                self._client.xadd(
                    STREAM,
                    {"ticker": "SPY", "direction": "b", "qty": "1", "signal_id": f"demo-{seed}"},
                )

    def typo(self) -> None:
        """A producer that misspells a field."""
        if self._first("typo"):
            self._client.xadd(STREAM, {"tikcer": "NVDA", "direction": "b"})

    def _first(self, name: str) -> bool:
        if name in self._done:
            return False
        self._done.add(name)
        return True
