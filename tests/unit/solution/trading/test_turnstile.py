"""Who may be decided now."""

import threading

from solution.trading.turnstile import Turnstile
from tests.helpers.clocks import PATIENCE, eventually


def test_one_worker_per_identity() -> None:
    """The second one comes again when the first is done."""
    turnstile = Turnstile()
    assert turnstile.enter("a")
    assert not turnstile.enter("a")
    assert turnstile.enter("b")
    turnstile.leave("a")
    assert turnstile.enter("a")


def test_a_suspect_runs_alone() -> None:
    """Nobody enters while it is inside."""
    turnstile = Turnstile()
    assert turnstile.enter("suspect", alone=True)
    assert not turnstile.enter("a", patience=0)
    turnstile.leave("suspect")
    assert turnstile.enter("a")


def test_a_suspect_waits_for_those_inside_and_newcomers_wait_for_it() -> None:
    """Each in its worker: the suspect is next, whatever lanes rank before its own."""
    turnstile = Turnstile()
    entered: list[str] = []

    def worker(name: str, *, alone: bool = False) -> threading.Thread:
        def run() -> None:
            if turnstile.enter(name, alone=alone, patience=PATIENCE):
                entered.append(name)
                turnstile.leave(name)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    assert turnstile.enter("inside")
    threads = [worker("suspect", alone=True)]
    assert eventually(lambda: turnstile._alone == "suspect")
    threads += [worker("newcomer"), worker("another")]
    assert entered == []
    turnstile.leave("inside")
    for thread in threads:
        thread.join(PATIENCE)
    assert entered[0] == "suspect"
    assert set(entered) == {"suspect", "newcomer", "another"}


def test_a_suspect_that_waits_in_vain_keeps_nobody_out() -> None:
    """Somebody inside hangs: the suspect comes again later, the others go on."""
    turnstile = Turnstile()
    assert turnstile.enter("hangs")
    assert not turnstile.enter("suspect", alone=True, patience=0)
    assert turnstile.enter("other", patience=0)


def test_two_suspects_take_turns() -> None:
    """The second neither enters beside the first nor keeps it out."""
    turnstile = Turnstile()
    assert turnstile.enter("one", alone=True)
    assert not turnstile.enter("two", alone=True, patience=0)
    turnstile.leave("one")
    assert turnstile.enter("two", alone=True)
