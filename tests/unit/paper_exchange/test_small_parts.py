"""Numbers, times, ids, the limiter and the router."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from paper_exchange import decimals, ids
from paper_exchange.api.call import Reply, Router
from paper_exchange.clock import (
    SECOND,
    ManualClock,
    SystemClock,
    new_york_midnight,
    stamp,
    to_ns,
)
from paper_exchange.errors import ApiError
from paper_exchange.instants import parse_time
from paper_exchange.rate_limit import RateLimiter, Standing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.50", "1.5"), ("100", "100"), ("0.000", "0"), ("1E+3", "1000"), ("-2.0", "-2")],
)
def test_decimal_text(value: str, text: str) -> None:
    """Plain notation without trailing zeros."""
    assert decimals.text(Decimal(value)) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "NaN",
        "inf",
        "1e40",
        True,
        None,
        [],
        {},
        "٣",
        "1_000",
        "1e-999999999",
        "1e999999999",
        "9" * 5000,
        1e300,
        5e-324,
        "1e12",
        "1e-16",
    ],
)
def test_what_is_no_number(value: object) -> None:
    """Everything but finite numbers of sane size is refused."""
    with pytest.raises(ValueError, match=r"not a number|out of range"):
        decimals.parse(value)


@pytest.mark.parametrize("value", ["0", 0, 0.0, "-0", "0e-999999999", "0e999999999"])
def test_zero(value: object) -> None:
    """However it is written."""
    assert decimals.text(decimals.parse(value)) == "0"


def test_floats_keep_their_shortest_text() -> None:
    """290.1 stays 290.1."""
    assert decimals.parse(290.1) == Decimal("290.1")


def test_stamp_and_back() -> None:
    """Nine digits out; any RFC 3339 or bare date in, an unescaped plus included."""
    assert stamp(to_ns(NOON) + 5) == "2026-11-20T12:00:00.000000005Z"
    for text in ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00 00:00", "2026-11-20T07:00:00-05:00"):
        assert parse_time(text) == to_ns(NOON)
    # To the nanosecond: a bound that a client has out of an answer excludes just that one.
    assert parse_time(stamp(to_ns(NOON) + 123_456_789)) == to_ns(NOON) + 123_456_789
    assert parse_time("2026-11-20") == to_ns(NOON) - 12 * 3600 * SECOND
    assert new_york_midnight(NOON.date()) == to_ns(NOON) - 7 * 3600 * SECOND


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "2026-11-20T12:00:00.Z", "1.5"])
def test_what_is_no_time(text: str) -> None:
    """Nothing is made up for it."""
    with pytest.raises(ValueError):
        parse_time(text)


def test_clocks() -> None:
    """The system's does not run backwards; the manual one moves when told."""
    system = SystemClock()
    assert system.now_ns() <= system.now_ns()
    manual = ManualClock(NOON)
    manual.advance(1.5)
    assert manual.now_ns() == to_ns(NOON) + 1_500_000_000
    for clock in (system, manual):
        later = clock.now_ns() + SECOND
        clock.not_before(later)
        clock.not_before(0)
        assert later <= clock.now_ns() < later + SECOND


def test_ids() -> None:
    """All are UUIDv4 in form; seeded and stable ones repeat, random ones do not."""
    made = [ids.random_id(), ids.seeded_ids(1)(), ids.stable_id("a", "b")]
    assert all(ids.is_uuid(one) and one[14] == "4" and one[19] in "89ab" for one in made)
    assert ids.random_id() != ids.random_id()
    assert ids.stable_id("a", "b") == made[2] != ids.stable_id("ab")
    assert not ids.is_uuid("x")


def test_ulids_sort_as_things_happened() -> None:
    """By time, then by sequence, 26 characters each."""
    made = [ids.ulid(ns, n) for ns, n in ((5 * 10**6, 9), (5 * 10**6, 10), (6 * 10**6, 1))]
    assert made == sorted(made)
    assert {len(one) for one in made} == {26}


def test_rate_limit_is_a_sliding_window() -> None:
    """A slot frees exactly a window after it was taken; refused requests do not count."""
    clock = ManualClock(NOON)
    limiter = RateLimiter(2, clock=clock)
    start = clock.now_ns()

    def take(at_ns: int, key: str = "k") -> Standing:
        clock.ns = at_ns
        return limiter.take(key)

    assert take(start).remaining == 1
    second = take(start + 30 * SECOND)
    assert (second.allowed, second.remaining, second.reset) == (True, 0, start // SECOND + 60)
    assert not take(start + 60 * SECOND - 1).allowed
    assert take(start, "other").allowed
    assert take(start + 60 * SECOND).allowed
    assert not take(start + 61 * SECOND).allowed


def test_rate_limit_with_another_window() -> None:
    """The window is a setting, and tells the moment at which a slot frees."""
    clock = ManualClock(NOON)
    limiter = RateLimiter(1, window_ns=SECOND // 2, clock=clock)
    assert limiter.take("k").allowed
    refused = limiter.take("k")
    assert (refused.allowed, refused.reset) == (False, clock.ns // SECOND + 1)
    clock.advance(0.5)
    assert limiter.take("k").allowed


def test_no_limit() -> None:
    """Zero never refuses and says a large limit, for clients that adapt to the header."""
    standings = [RateLimiter(0).take("k") for _ in range(3)]
    assert all(one.allowed and one.limit == one.remaining == 1_000_000 for one in standings)


def test_router() -> None:
    """Fixed paths first, longer prefixes before shorter, placeholders may hold slashes."""
    router = Router()
    for path in ("/a", "/a/{id}", "/a/b/{id}", "/a/{id}/end"):
        router.add("GET", path, lambda _, path=path: Reply(path))  # type: ignore[misc]  # default binds now

    def found(path: str) -> tuple[object, dict[str, str]]:
        handler, params = router.find("GET", path)
        return handler(None).payload, params  # type: ignore[arg-type]  # these handlers ignore the call

    assert found("/a") == ("/a", {})
    assert found("/a/BTC/USD") == ("/a/{id}", {"id": "BTC/USD"})
    assert found("/a/b/1") == ("/a/b/{id}", {"id": "1"})
    assert found("/a/x/end") == ("/a/{id}/end", {"id": "x"})
    for method, path, status in (("GET", "/b", 404), ("GET", "/a/", 404), ("PUT", "/a", 405)):
        with pytest.raises(ApiError) as caught:
            router.find(method, path)
        assert caught.value.status == status
