"""Who may be decided now."""

from solution.trading.turnstile import Turnstile


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
    assert not turnstile.enter("a")
    turnstile.leave("suspect")
    assert turnstile.enter("a")


def test_a_suspect_waits_for_those_inside_and_keeps_newcomers_out() -> None:
    """Else it would never have its turn under load."""
    turnstile = Turnstile()
    assert turnstile.enter("a")
    assert not turnstile.enter("suspect", alone=True)
    assert not turnstile.enter("b")
    turnstile.leave("a")
    assert not turnstile.enter("b")
    assert turnstile.enter("suspect", alone=True)
    turnstile.leave("suspect")
    assert turnstile.enter("b")


def test_two_suspects_take_turns() -> None:
    """The second neither enters beside the first nor keeps it out."""
    turnstile = Turnstile()
    assert turnstile.enter("one", alone=True)
    assert not turnstile.enter("two", alone=True)
    turnstile.leave("one")
    assert turnstile.enter("two", alone=True)
