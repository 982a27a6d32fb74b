"""The run of failures, against a list that keeps everything."""

from hypothesis import given
from hypothesis import strategies as st

from solution.trading.verdict_run import VerdictRun

KINDS = st.sampled_from(["failed", "rejected", "succeeded"])
EVENTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), KINDS), max_size=60)


class Model:
    """Every order by its last verdict, in the order in which it fell."""

    def __init__(self) -> None:
        self.verdicts: dict[str, bool] = {}
        self.final: set[str] = set()

    def tell(self, order: str, kind: str) -> None:
        failed = kind != "succeeded"
        if order not in self.final and not (failed and self.verdicts.get(order)):
            self.verdicts = {o: v for o, v in self.verdicts.items() if o != order}
            self.verdicts[order] = failed
        self.final |= {order} if kind == "rejected" else set()

    @property
    def run(self) -> int:
        newest_first = list(self.verdicts.values())[::-1]
        return newest_first.index(False) if False in newest_first else len(newest_first)


@given(EVENTS)
def test_the_length_is_the_run_at_the_end(events: list[tuple[str, str]]) -> None:
    """After each verdict, in whatever order they come and however often."""
    run, model = VerdictRun(), Model()
    for order, kind in events:
        getattr(run, kind)(order)
        model.tell(order, kind)
        assert run.length == model.run


@given(EVENTS, st.integers(0, 5))
def test_what_was_before_the_start_counts_until_an_order_is_accepted(
    events: list[tuple[str, str]], before: int
) -> None:
    """A restart does not begin anew."""
    run, model = VerdictRun(before), Model()
    for order, kind in events:
        getattr(run, kind)(order)
        model.tell(order, kind)
    seamless = before if all(model.verdicts.values()) else 0
    assert run.length == model.run + seamless


def test_a_broker_that_takes_every_order_and_rejects_each_later() -> None:
    """Each acceptance that does not last is as if it had never been."""
    run = VerdictRun()
    for order in "abcde":
        run.succeeded(order)
        assert run.length == 0
        assert run.failed(order)
    assert run.length == 5


def test_one_order_counts_once() -> None:
    """Its retries are no news."""
    run = VerdictRun()
    assert run.failed("a")
    assert not run.failed("a")
    assert run.length == 1


@given(st.integers(1, 40), st.integers(1, 8))
def test_memory_is_bounded_and_forgets_no_failure_of_the_run(orders: int, kept: int) -> None:
    """Orders that are too old to be told apart still count."""
    run = VerdictRun(kept=kept)
    for number in range(orders):
        run.failed(str(number))
    assert run.length == orders
    run.succeeded("x")
    run.failed("x")
    assert run.length == orders + 1


def test_a_forgotten_acceptance_ends_the_run_all_the_same() -> None:
    """Failures from before it never come back."""
    run = VerdictRun(kept=2)
    run.failed("a")
    run.succeeded("b")
    for order in "cde":
        run.failed(order)
    run.succeeded("f")
    run.failed("f")
    assert run.length == 4


def test_a_rejection_that_overtakes_the_acceptance() -> None:
    """The order stream was faster than the answer to the POST."""
    run = VerdictRun()
    assert run.rejected("a")
    assert not run.succeeded("a")
    assert run.length == 1
