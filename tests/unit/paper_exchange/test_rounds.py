"""A task in the background: its pauses, its waking, its failures, its end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from paper_exchange import rounds
from paper_exchange.clock import SECOND, Clock, ManualClock, SystemClock
from paper_exchange.rounds import Rounds


class Steps:
    """Counts, and does what is told for each number in turn; then waits for ever."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self._answers = list(answers)
        self.taken = 0
        self.changed = asyncio.Event()

    async def __call__(self) -> int | None:
        self.taken += 1
        self.changed.set()
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def reach(self, number: int) -> None:
        """Wait until so many steps have been taken."""
        while self.taken < number:
            self.changed.clear()
            await self.changed.wait()


Scene = Callable[[Rounds, Steps], Awaitable[None]]


def play(
    scene: Scene, *answers: int | Exception | None, clock: Clock | None = None, shortest: float = 0
) -> None:
    """A scene with rounds that have begun; they end with it."""

    async def run() -> None:
        steps = Steps(*answers)
        made = Rounds(steps, clock or SystemClock(), failure="step_failed", shortest_s=shortest)
        made.start()
        await asyncio.wait_for(scene(made, steps), 5)
        await made.stop()
        before = steps.taken
        made.wake()
        await asyncio.sleep(0)
        assert steps.taken == before

    asyncio.run(run())


def test_pauses_are_of_the_clock() -> None:
    """An hour of a fast clock is over soon."""

    async def scene(_: Rounds, steps: Steps) -> None:
        await steps.reach(3)

    play(scene, 3600 * SECOND, 3600 * SECOND, clock=SystemClock(1e6))


@pytest.mark.parametrize(
    ("answer", "clock"), [(3600 * SECOND, SystemClock()), (None, None), (1, ManualClock(0))]
)
def test_waking_ends_a_pause(answer: int | None, clock: Clock | None) -> None:
    """However long it is, or if there was to be no next step at all."""

    async def scene(made: Rounds, steps: Steps) -> None:
        await steps.reach(1)
        await asyncio.sleep(0.01)
        assert steps.taken == 1
        made.wake()
        await steps.reach(2)

    play(scene, answer, clock=clock)


def test_steps_keep_their_distance() -> None:
    """A pause of nothing is still one."""

    async def scene(_: Rounds, steps: Steps) -> None:
        await steps.reach(1)
        await asyncio.sleep(0.01)
        assert steps.taken == 1

    play(scene, 0, shortest=60)


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock(0)])
def test_a_failure_is_not_the_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the step is tried again, also on a clock that stands still."""
    monkeypatch.setattr(rounds, "_AFTER_A_FAILURE_S", 0.001)

    async def scene(_: Rounds, steps: Steps) -> None:
        await steps.reach(3)

    play(scene, ValueError("bad"), ValueError("again"), clock=clock)
    assert [record.message for record in caplog.records] == ["step_failed"] * 2


def test_stop_without_start() -> None:
    """Nothing to end."""
    asyncio.run(Rounds(Steps(), SystemClock(), failure="").stop())
