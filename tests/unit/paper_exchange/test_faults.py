"""Which rule strikes what, how often, and the same way every time."""

from typing import Any

import pytest

from paper_exchange.clock import MILLISECOND
from paper_exchange.engine.conduct import GoodConduct
from paper_exchange.faults.orders import FaultyConduct
from paper_exchange.faults.rules import Facts, Faults, Rule, first
from paper_exchange.faults.spec import parse_text
from paper_exchange.witness import Witness
from tests.unit.paper_exchange.conftest import World

POST = Facts(method="POST", path="/v2/orders", key="k", client="APCA-PY/0.44.0")


class Time:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def rule(text: str, seed: int = 1, monotonic: Time | None = None) -> Rule:
    """One rule of a fresh book."""
    return Faults(seed, monotonic=monotonic or Time()).add(parse_text(text))


def hits(one: Rule, count: int) -> list[bool]:
    """What becomes of so many matches."""
    return [one.strikes() for _ in range(count)]


@pytest.mark.parametrize(
    ("target", "strikes"),
    [
        ("POST /v2/orders", True),
        ("post /v2/orders", True),
        ("/v2/orders", True),
        ("* /v2/*", True),
        ("*", True),
        ("POST *", True),
        ("GET /v2/orders", False),
        ("POST /v2/orders/*", False),
        ("POST /v2/order", False),
        ("POST /v2/order.", False),
    ],
)
def test_targets(target: str, strikes: bool) -> None:
    """Method and whole path, with stars for anything."""
    assert rule(f"{target}: cut").matches(POST) is strikes


@pytest.mark.parametrize(
    ("filters", "strikes"),
    [
        ("key=k client=APCA-PY", True),
        ("key=other", False),
        ("client=GO", False),
    ],
)
def test_filters(filters: str, strikes: bool) -> None:
    """All that is named must agree; of the User-Agent a part."""
    assert rule(f"*: cut {filters}").matches(POST) is strikes


def test_skip_and_next() -> None:
    """The first so many pass, the next so many do not."""
    one = rule("*: cut skip=2 next=3")
    assert hits(one, 7) == [False, False, True, True, True, False, False]
    assert (one.matched, one.hits) == (7, 3)


def test_probability_is_repeatable() -> None:
    """The same seed and the same text draw the same; another seed or a twin does not."""
    drawn = hits(rule("*: cut p=0.5"), 40)
    assert 10 < sum(drawn) < 30
    assert hits(rule("*: cut p=0.5"), 40) == drawn
    assert hits(rule("*: cut p=0.5", seed=2), 40) != drawn
    book = Faults(1)
    twins = [book.add(parse_text("*: cut p=0.5")) for _ in range(2)]
    assert hits(twins[0], 40) == drawn != hits(twins[1], 40)
    durations = [rule("*: latency ms=10-500").delay_s() for _ in range(2)]
    assert durations[0] == durations[1]
    assert 0.01 <= durations[0] <= 0.5


def test_storm_of_requests() -> None:
    """A storm is one hit towards ``next``, however many requests it takes."""
    one = rule("*: storm requests=3 skip=1 next=2")
    assert hits(one, 8) == [False, True, True, True, True, True, True, False]


def test_storm_of_time() -> None:
    """It lasts as long as it is said to."""
    time = Time()
    one = rule("*: storm ms=2000 next=1", monotonic=time)
    assert hits(one, 2) == [True, True]
    time.now += 1.5
    assert one.storm_left_s() == 0.5
    assert one.strikes()
    time.now += 0.5
    assert not one.strikes()


def test_the_first_that_strikes_counts() -> None:
    """Rules behind it are not asked, so that ``next`` makes a sequence."""
    book = Faults(1)
    for kind in ("cut", "reset_before"):
        book.add(parse_text(f"*: {kind} next=1"))
    kinds = frozenset({"cut", "reset_before"})
    struck = [first(book.requests, POST, kinds) for _ in range(3)]
    assert [one.spec.kind if one else None for one in struck] == ["cut", "reset_before", None]
    assert first(book.requests, POST, frozenset({"html"})) is None


def test_the_book() -> None:
    """Lists stay the same objects and are empty without rules; ids are not used again."""
    book = Faults(1, [parse_text("*: cut"), parse_text("stream: drop")])
    requests, streams = book.requests, book.places["stream"]
    assert [one.id for one in book] == ["1", "2"]
    assert book.remove("1")
    assert not book.remove("1")
    assert not requests
    dropped = streams[0]
    book.clear()
    assert dropped.removed
    assert not streams
    assert book.add(parse_text("data: drop")).id == "3"


def test_conduct(world: World) -> None:
    """Rules on orders are answers to the engine; without one the venue behaves as usual."""
    book = Faults(1)
    conduct = FaultyConduct(book, GoodConduct(5), world.exchange.accounts.key_id_of)
    order = world.rest(1)
    assert (conduct.rejects(order), conduct.cancel_delay_ns(order)) == (False, 5)
    book.add(parse_text("orders: slow_cancel ms=20 symbol=NVDA"))
    book.add(parse_text("orders: slow_cancel ms=30 key=other"))
    book.add(parse_text("orders: stuck_cancel key=key next=1"))
    book.add(parse_text("orders: slow_cancel ms=40"))
    assert conduct.cancel_delay_ns(order) is None
    assert conduct.cancel_delay_ns(order) == 40 * MILLISECOND
    assert not conduct.rejects(order)
    book.add(parse_text("orders: reject next=1"))
    assert conduct.rejects(order)
    assert not conduct.rejects(order)
    assert conduct.cancel_delay_ns(order) == 40 * MILLISECOND


def test_conduct_is_the_engines(world: World) -> None:
    """An exchange asks its own rules."""
    world.exchange.faults.add(parse_text("orders: reject next=1"))
    assert world.send(client_order_id="a").status == "rejected"
    assert world.send(client_order_id="b").status == "filled"
    world.exchange.faults.add(parse_text("orders: stuck_cancel"))
    order = world.rest(1)
    world.engine.cancel(world.account, order)
    assert order.status == "pending_cancel"
    assert world.engine.release_cancels([world.account]) == 1
    assert order.status == "canceled"


def test_witness_is_amended() -> None:
    """An entry is corrected wherever it lies: in memory or on disk."""
    witness = Witness()
    fields: dict[str, Any] = {"arrived": 1.0, "at_ns": 0, "key_id": "k", "method": "POST"}
    fields |= {"path": "/", "client_order_id": None}
    early = witness.note(**fields, status=504, outcome="late")
    for _ in range(300):
        witness.note(**fields, status=200)
    last = witness.note(**fields, status=504, outcome="late")
    for index in (early, last):
        witness.amend(index, taken=True, client_order_id="c")
        (entry,) = witness.since(index, 1)
        assert (entry.outcome, entry.status, entry.taken) == ("late", 504, True)
        assert entry.client_order_id == "c"
    witness.close()
