"""The correct program under seeded schedules, and every planted mistake under the same ones."""

import os

import pytest

from torture.planted import PLANTED, planted
from torture.simulation import points
from torture.simulation.schedules import Outcome, Schedule

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "150"))
FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
WITHIN = 400
"""Schedules within which a planted mistake must show."""
FOCUS = {
    "random_client_order_id": "power",
    "resized_repost": "broker",
    "timeout_is_reject": "broker",
    "duplicate_is_reject": "broker",
    "not_found_is_rejected": "broker",
    "repost_after_one_404": "broker",
    "repost_without_gates": "broker",
    "buy_after_its_sell": "redis",
    "forgets_what_was_sent": "redis",
    "released_on_ack": "calm",
    "unknown_holds_nothing": "",
    "terminal_not_absorbing": "calm",
    "dollar_for_a_lost_group": "redis",
    "poison_by_delivery_counter": "crash",
    "recovery_skips_unknown": "crash",
    "lease_without_epoch_check": "crash",
}
"""The kind of trouble in which a mistake shows soonest; the others show in any."""

REMEMBERED = [
    (2910, "crash"),
    (3506, ""),
    (3555, ""),
    (1143, "redis"),
    (2012, "redis"),
    (11800, "redis"),
]


def _shown(outcome: Outcome) -> str:
    return f"seed {outcome.seed}:\n{outcome.violation}\n" + "\n".join(outcome.trace)


def test_no_schedule_breaks_an_invariant() -> None:
    """I1 to I7 hold under random crashes, broker, Redis and stream faults; seeds are printed."""
    names, posts, filled, crashes = points.names(), 0, 0, 0
    for seed in range(FIRST, FIRST + SCHEDULES):
        outcome = Schedule(seed, names).run()
        assert not outcome.violation, _shown(outcome)
        posts, filled = posts + outcome.posts, filled + outcome.filled
        crashes += outcome.crashes
    # A simulation in which nothing happens proves nothing.
    assert posts > 2 * SCHEDULES
    assert filled > SCHEDULES
    assert crashes > SCHEDULES


@pytest.mark.parametrize(("seed", "focus"), REMEMBERED)
def test_what_went_wrong_once_stays_right(seed: int, focus: str) -> None:
    """Schedules that showed a mistake, in the product or in the simulation."""
    outcome = Schedule(seed, points.names(), focus=focus).run()
    assert not outcome.violation, _shown(outcome)


def test_a_seed_replays_its_schedule() -> None:
    """The same seed gives the same life, to the millisecond."""
    assert Schedule(11).run() == Schedule(11).run()


def test_at_least_twenty_mistakes_are_planted() -> None:
    """Each under its own name, with a sentence that says what is wrong."""
    assert len(PLANTED) >= 20
    assert all(plant.name == name and plant.why for name, plant in PLANTED.items())


@pytest.mark.parametrize("name", [n for n, plant in PLANTED.items() if not plant.needs])
def test_a_planted_mistake_is_caught(name: str) -> None:
    """Some schedule breaks an invariant with the mistake, and the same one none without it."""
    focus = FOCUS.get(name, "")
    for seed in range(WITHIN):
        with planted(name):
            caught = Schedule(seed, focus=focus).run()
        if caught.violation:
            honest = Schedule(seed, focus=focus).run()
            assert not honest.violation, _shown(honest)
            return
    pytest.fail(f"{name} was not caught within {WITHIN} schedules")
