"""How many rounds a run has."""

from collections import Counter
from pathlib import Path

import pytest

from torture.__main__ import main
from torture.plan import PLAIN
from torture.runner import Orders, Torture
from torture.violation import Violation
from torture.world import Result


class Pretended(Torture):
    """A round's last life is not killed, unless it is its only one; ``wrong`` fails."""

    def __init__(self, orders: Orders, wrong: int = 0) -> None:
        super().__init__(orders, lambda _: None)
        self.rounds: list[tuple[int, int]] = []
        self._wrong = wrong

    def _round(self, number: int, many: int, directory: Path) -> Result:
        self.rounds.append((number, many))
        result = Result(
            self._orders.round_seed(number), kills=Counter({"anywhere": max(many - 1, 1)})
        )
        if number == self._wrong:
            result.violations.append(Violation("lost", "1-0"))
        return result


def _orders(kills: int, *, full: bool = True, seconds: float = 60.0) -> Orders:
    return Orders(
        seed="1",
        kills=kills,
        full=full,
        seconds=seconds,
        per_round=10,
        side_by_side=1,
        terms=[PLAIN],
    )


def test_rounds_are_added_until_there_were_so_many_kills() -> None:
    """Lives that end in another way do not count; the numbers go on, so a replay finds each."""
    torture = Pretended(_orders(25))
    assert torture.run()
    assert torture.rounds == [(1, 10), (2, 10), (3, 5), (4, 3), (5, 1)]
    assert torture.kills == 25


def test_without_full_the_planned_lives_are_all() -> None:
    torture = Pretended(_orders(25, full=False))
    assert torture.run()
    assert torture.rounds == [(1, 10), (2, 10), (3, 5)]


def test_nothing_is_added_after_a_violation() -> None:
    torture = Pretended(_orders(25), wrong=2)
    assert not torture.run()
    assert [number for number, _ in torture.rounds] == [1, 2]


def test_nothing_begins_after_its_time() -> None:
    torture = Pretended(_orders(25, seconds=-1.0))
    assert torture.run()
    assert torture.rounds == []


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["--kills", "40", "--per-round", "20"], 25), (["--minutes", "1", "--per-round", "20"], 99)],
)
def test_a_plan_can_be_printed(
    arguments: list[str], shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a life, and nothing runs."""
    assert main(["--seed", "5", "--plan", *arguments]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("seed 5\n")
    assert printed.count(" life ") >= shown
