"""What the picture says of the account that answers."""

from decimal import Decimal

import pytest

from solution.book.positions import Account
from solution.trading.looker import another_account

ONE = Decimal(1)


@pytest.mark.parametrize(
    ("started_on", "answers", "refused"),
    [("a", "a", False), ("a", "b", True), ("", "b", False), ("a", None, False)],
)
def test_only_the_account_of_the_start_trades(
    started_on: str, answers: str | None, refused: bool
) -> None:
    """Before the first answer other gates refuse; without a start there is nothing to compare."""
    account = None if answers is None else Account(answers, ONE, ONE, ONE)
    said = another_account(started_on, account)
    assert (said is not None) is refused


def test_both_accounts_are_named() -> None:
    """For whoever has to find out which keys these are."""
    said = another_account("a", Account("b", ONE, ONE, ONE))
    assert said == "the keys open account b now, this service was started on a"
