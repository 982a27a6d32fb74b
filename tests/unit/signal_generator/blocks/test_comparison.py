"""Tests of signal_generator.blocks.comparison."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import fakeredis
import pytest

from signal_generator.blocks.book import PositionBook
from signal_generator.blocks.comparison import Comparison
from signal_generator.executions import Execution
from signal_generator.hosting import BrokerUnavailable, Position

FIVE = Position("AAPL", Decimal(5), Decimal(10))
NINE = Position("AAPL", Decimal(9), Decimal(10))


class Desk:
    """A book of five shares beside a service and a broker that say what a test wants."""

    def __init__(self, client: fakeredis.FakeRedis) -> None:
        self.client = client
        self.book = PositionBook(["AAPL"], lambda: 0.0)
        self.book.adopt([FIVE], 0)
        self.broker: list[Position] | None = [FIVE]
        self.asked = 0
        self.comparison = Comparison(client, "solution", self.book, self.read)

    def read(self) -> list[Position]:
        """The broker's answer, None for none."""
        self.asked += 1
        if self.broker is None:
            raise BrokerUnavailable("no answer")
        return self.broker

    def picture(self, qty: str, *, unpublished: int = 0) -> None:
        """What the service shows of itself."""
        shown: dict[str, Any] = {
            "redis": {"unpublished": unpublished, "uncommitted": 0},
            "positions": [{"symbol": "AAPL", "qty": qty}],
        }
        self.client.set("signalpaca:solution:one", json.dumps(shown))

    @property
    def held(self) -> Decimal:
        """Shares in the book."""
        return self.book.holdings()["AAPL"].qty


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Closed in the end."""
    client = fakeredis.FakeRedis(decode_responses=True)
    yield Desk(client)
    client.close()


def test_agreement_asks_nobody(desk: Desk) -> None:
    """The usual case costs no request."""
    desk.picture("5")
    for _ in range(3):
        desk.comparison.step()
    assert desk.asked == 0


def test_a_lasting_difference_is_settled_by_the_broker(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen twice with no fill between, it is read anew, and told."""
    desk.picture("9")
    desk.broker = [NINE]
    desk.comparison.step()
    assert (desk.asked, desk.held) == (0, 5)
    desk.comparison.step()
    assert (desk.asked, desk.held) == (1, 9)
    assert "positions taken from the broker" in caplog.text


def test_a_fill_between_two_looks_begins_anew(desk: Desk) -> None:
    """The picture is a second old at most; a fill may be in one and not yet in the other."""
    desk.picture("9")
    desk.comparison.step()
    facts: dict[str, Any] = {"qty": Decimal(4), "price": Decimal(1), "filled_qty": Decimal(4)}
    desk.book.take(
        Execution(
            event_id=1,
            event="fill",
            side="buy",
            ticker="AAPL",
            client_order_id="o",
            own={},
            **facts,
        ),
        ours=True,
    )
    desk.comparison.step()
    assert (desk.asked, desk.held) == (0, 9)


def test_where_the_broker_agrees_with_the_book_it_is_asked_once(desk: Desk) -> None:
    """Then the service is wrong, and that is not this book's to say every five seconds."""
    desk.picture("9")
    for _ in range(6):
        desk.comparison.step()
    assert (desk.asked, desk.held) == (1, 5)


def test_a_picture_that_is_behind_says_nothing(desk: Desk) -> None:
    """Its own events are not all told yet."""
    desk.picture("9", unpublished=1)
    desk.comparison.step()
    desk.comparison.step()
    assert desk.asked == 0


@pytest.mark.parametrize("text", ["nonsense", "[]", "{}", '{"redis": 5}'])
def test_a_strange_picture_says_nothing(desk: Desk, text: str) -> None:
    """Somebody set a key by hand."""
    desk.client.set("signalpaca:solution:one", text)
    desk.comparison.step()
    desk.comparison.step()
    assert desk.asked == 0


def test_a_doubtful_book_asks_at_once(desk: Desk) -> None:
    """What the broker said of a position could not be followed."""
    facts: dict[str, Any] = {"qty": Decimal(1), "price": Decimal(1), "filled_qty": Decimal(1)}
    desk.book.take(
        Execution(
            event_id=1,
            event="fill",
            side="buy",
            ticker="AAPL",
            client_order_id="theirs",
            position_qty=Decimal(9),
            own={},
            **facts,
        ),
        ours=False,
    )
    desk.broker = [NINE]
    desk.comparison.step()
    assert desk.held == 9


def test_without_an_answer_the_book_stays(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Positions are never missing."""
    desk.picture("9")
    desk.broker = None
    desk.comparison.step()
    desk.comparison.step()
    assert desk.held == 5
    assert "could not be compared" in caplog.text


def test_without_redis_nothing_is_compared(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the listener that reports it."""

    def gone(**_: Any) -> Any:
        raise OSError("gone")

    monkeypatch.setattr(desk.client, "scan_iter", gone)
    desk.comparison.step()
    assert desk.asked == 0
