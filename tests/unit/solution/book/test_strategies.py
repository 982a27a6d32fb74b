"""What of each position belongs to which strategy."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from solution.book.strategies import StrategyBook


class Account:
    """One ticker's position at 100 a share, and who owns what of it."""

    def __init__(self, *watched: str, held: int = 0) -> None:
        self.book = StrategyBook(watched)
        self.held = Decimal(held)

    def fill(self, strategy: str, qty: int) -> None:
        """An execution of somebody's order."""
        self.book.filled(strategy, "NVDA", Decimal(qty), self.held)
        self.held += qty

    def shares(self, strategy: str) -> Decimal:
        """What is the strategy's."""
        return self.book.value(strategy, lambda _: (self.held, Decimal(100))) / 100


def test_fills_add_up() -> None:
    """Bought and sold again, and the same for a short."""
    account = Account("sma")
    account.fill("sma", 7)
    account.fill("sma", -3)
    assert account.shares("sma") == 4
    account.fill("sma", -9)  # through zero: five short
    assert (account.held, account.shares("sma")) == (-5, 5)


def test_a_reduction_takes_its_own_first_then_nobodys() -> None:
    """A strategy that sells what another one bought does not make room for itself."""
    account = Account("one", "two", held=10)
    account.fill("one", 5)
    account.fill("two", 5)
    account.fill("one", -12)
    assert (account.shares("one"), account.shares("two")) == (0, 5)
    account.fill("", -5)
    assert (account.held, account.shares("two")) == (3, 3)


def test_what_another_buys_is_not_its() -> None:
    """Nor does it come back with the position."""
    account = Account("one", "two")
    account.fill("one", 5)
    account.fill("", -5)
    account.fill("two", 5)
    assert (account.shares("one"), account.shares("two")) == (0, 5)


def test_no_more_than_the_account_holds() -> None:
    """A sale by hand is told by no order of ours."""
    account = Account("sma")
    account.fill("sma", 5)
    account.held = Decimal(2)
    assert account.shares("sma") == 2


def test_a_strategy_without_a_limit_is_not_kept() -> None:
    """Labels are the producer's own, and may be as many as signals."""
    account = Account("sma")
    account.fill("other", 5)
    assert account.shares("other") == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", ""]), st.integers(-9, 9).filter(bool)),
        max_size=20,
    )
)
def test_the_parts_are_never_more_than_the_whole(fills: list[tuple[str, int]]) -> None:
    """Whoever trades whatever: watched strategies own no more than is held."""
    account = Account("a", "b")
    for strategy, qty in fills:
        before = account.shares("a"), account.shares("b")
        account.fill(strategy, qty)
        after = account.shares("a"), account.shares("b")
        assert sum(after) <= abs(account.held)
        assert strategy == "a" or account.held * qty <= 0 or after[0] <= before[0]
