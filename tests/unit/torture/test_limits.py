"""What may not be asked of the broker is seen, and what may is not."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from torture.book import Book, Lookup, Post
from torture.budget import Budget
from torture.limits import budget_kept, covered, looked_up_before_sent_again

LATER: list[Callable[[], None]] = []


def order(coid: str, side: str, qty: int, **about: Any) -> dict[str, Any]:
    """A resting order for QQ, as it is POSTed."""
    return {
        "symbol": "QQ",
        "side": side,
        "type": "limit",
        "time_in_force": "day",
        "limit_price": "100",
        "qty": str(qty),
        "client_order_id": coid,
        **about,
    }


@pytest.fixture
def book() -> Book:
    """With 1000 shares of QQ, whose limits never fill."""
    LATER.clear()
    held = {"QQ": Decimal(1000)}
    return Book("1", held, lambda _, run: LATER.append(run), lambda *_: None, {"QQ"})


def found(book: Book, forgotten: frozenset[str] = frozenset()) -> list[str]:
    """Names of the checks of cash and shares that fail."""
    return [violation.check for violation in covered(book, forgotten)]


def test_shares_that_an_open_sale_holds_are_not_sold_again(book: Book) -> None:
    """The broker refuses; where a row was lost with the power, nobody could know."""
    assert book.accept(order("sp-1", "sell", 600))[0] == 200
    assert book.available("QQ") == 400
    assert found(book) == []
    assert book.accept(order("sp-2", "sell", 600))[0] == 403
    assert found(book) == ["beyond what is left"]
    assert found(book, frozenset({"sp-1"})) == []


def test_a_cancelled_sale_gives_its_shares_back(book: Book) -> None:
    """From the moment at which it has ended, not from the cancel."""
    book.accept(order("sp-1", "sell", 600))
    book.cancel(book.orders["sp-1"].id)
    assert book.available("QQ") == 400
    LATER.pop()()
    assert book.accept(order("sp-2", "sell", 600))[0] == 200
    assert found(book) == []


def test_cash_that_open_buys_may_need_is_not_spent_again(book: Book) -> None:
    """Two fifths, twice; the third is too much."""
    for number in (1, 2):
        assert book.accept(order(f"sp-{number}", "buy", 4_000_000_000))[0] == 200
    assert book.buying_power() == Decimal(200_000_000_000)
    assert book.accept(order("sp-3", "buy", 4_000_000_000))[0] == 403
    assert found(book) == ["beyond what is left"]


def test_what_was_bought_is_paid(book: Book) -> None:
    """A fill takes the cash, and gives the shares."""
    cash = book.cash
    book.accept(order("sp-1", "buy", 10, type="market", limit_price=None))
    for run in LATER:
        run()
    assert book.cash == cash - 1000
    assert book.held["QQ"] == 1010


def posts(*, fault: str, after: float, lookups: list[Lookup]) -> list[str]:
    """Two POSTs of one order, the second by a life that began at 10; names of what is wrong."""
    book = Book("1", {}, lambda *_: None, lambda *_: None)
    book.posts = [
        Post(9.0, "sp-1", "QQ buy 1", b"{}", fault, 1),
        Post(after, "sp-1", "QQ buy 1", b"{}", "good", 2),
    ]
    book.lookups = lookups
    began = [0.0, 10.0]
    return [v.check for v in looked_up_before_sent_again(book, began, frozenset())]


def lookups(count: int, *, by: int = 2, answered: bool = True) -> list[Lookup]:
    """One every second from 10 on: the first in a list, the others by id."""
    return [Lookup(10.0 + n, "sp-1" if n else "", by, answered) for n in range(count)]


def test_a_second_post_after_enough_lookups() -> None:
    """Three, over two seconds."""
    assert posts(fault="500, accepted", after=12.1, lookups=lookups(3)) == []


@pytest.mark.parametrize(
    ("after", "asked"),
    [
        (13.0, lookups(2)),
        (11.9, [Lookup(11.0, "sp-1", 2, answered=True)] * 3),
        (13.0, lookups(3, by=1)),
        (13.0, lookups(3, answered=False)),
        (13.0, [Lookup(11.0, "sp-2", 2, answered=True)] * 3),
        (13.0, [Lookup(9.5, "sp-1", 2, answered=True)] * 3),
    ],
    ids=["too few", "too soon", "another's", "unanswered", "of another", "too early"],
)
def test_a_second_post_too_soon(after: float, asked: list[Lookup]) -> None:
    """Whoever did not ask, or not often or long enough, must not send again."""
    wrong = posts(fault="accepted, then lost", after=after, lookups=asked)
    assert wrong == ["sent again too soon"]


def test_what_was_refused_without_effect_is_sent_again_at_once() -> None:
    """A 429 says that nothing happened."""
    assert posts(fault="429", after=9.1, lookups=[]) == []


def test_the_brokers_limit_holds_in_every_window() -> None:
    """A refused request does not count, and is told when the next one will not be refused."""
    budget = Budget(2, 4.0)
    assert [budget.take(at, 1) for at in (0.0, 1.0, 2.5, 4.0, 4.5)] == [0, 0, 2, 0, 1]
    assert "X-RateLimit-Remaining: 0" in budget.headers(4.5, 1)
    assert "Retry-After: 1" in budget.headers(4.5, 1)


def checked(limit: int, *requests: tuple[float, int]) -> set[str]:
    """Names of what is wrong with requests of these times and lives."""
    budget = Budget(limit, 4.0)
    for at, by in requests:
        budget.take(at, by)
    return {violation.check for violation in budget_kept(budget)}


def test_a_life_that_asks_more_than_the_limit() -> None:
    """Alone it must not; what the dead one before asked it cannot know."""
    assert checked(2, (0.0, 1), (1.0, 1), (2.0, 2)) == set()
    assert checked(2, (0.0, 1), (1.0, 1), (3.9, 1)) == {"beyond the limit"}
    assert checked(2, (0.0, 1), (1.0, 1), (4.1, 1)) == set()


def test_a_life_that_does_not_wait_when_told_to() -> None:
    """What was on its way then is excused, and so is another life."""
    taken = [(0.0, 1), (1.0, 1), (1.1, 2)]
    assert checked(2, *taken, (1.5, 2)) == set()
    assert checked(2, *taken, (2.0, 2)) == {"does not wait"}
    assert checked(2, *taken, (2.0, 3)) == set()
    assert checked(2, *taken, (4.1, 2)) == set()
