"""The verdict of the rate-limit benchmark, from made-up logs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks import rate_limit

START = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
LIMIT, WORKERS = 20, 4
TICKERS = ["AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH"]


class Run:
    """What an exchange logged of 40 signals: 19 at once, 19 a minute later, and the last two."""

    def __init__(self) -> None:
        self.published = [(f"{n}-0", TICKERS[n % len(TICKERS)]) for n in range(40)]
        self.log: list[dict[str, Any]] = []
        self.order = list(range(40))
        self.asked(0.0)

    def asked(self, seconds: float, times: int = 1) -> None:
        """Requests that are no orders."""
        self.log += [self.seen(seconds, method="GET", path="/v2/account")] * times

    def seen(self, seconds: float, **about: Any) -> dict[str, Any]:
        at = (START + timedelta(seconds=seconds)).isoformat()
        return {"arrived": seconds, "at": at, "status": 200, "client_order_id": None, **about}

    def sent(self) -> None:
        """One POST per signal, in ``order``."""
        for n, place in enumerate(self.order):
            about = {"method": "POST", "path": "/v2/orders", "client_order_id": f"c{place}"}
            self.log.append(self.seen(1.0 + 61.0 * (n // 19) + 0.01 * (n % 19), **about))

    def missed(self) -> list[str]:
        """The goals that this run does not meet."""
        finals = [
            {
                b"client_order_id": f"c{n}".encode(),
                b"entry_id": entry_id.encode(),
                b"event": b"fill",
            }
            for n, (entry_id, _) in enumerate(self.published)
        ]
        result = rate_limit.evaluate(self.log, finals, self.published, limit=LIMIT, workers=WORKERS)
        return [text for text, met in rate_limit.judged(result) if not met]


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_run_as_it_should_be(run: Run) -> None:
    """19 of 20 requests of a window carry orders, everything else is in time and order."""
    run.sent()
    assert run.missed() == []


def test_one_refusal_is_one_too_many(run: Run) -> None:
    """The exchange does not count what it refuses, so the window is not overdrawn by it."""
    run.sent()
    run.log.append(run.seen(1.5, method="GET", path="/v2/clock", status=429))
    assert run.missed() == ["no 429"]


def test_the_limit_is_the_one_asked_for(run: Run) -> None:
    """21 in less than 60 s, as the exchange counts: by its own clock, wherever a window begins."""
    run.sent()
    run.asked(60.9, 2)
    assert run.missed() == ["never more than 20 requests in 60 s"]


def test_a_window_has_room_again_after_sixty_seconds(run: Run) -> None:
    """A request exactly a window later counts no more."""
    run.sent()
    run.asked(61.0)
    assert run.missed() == []


def test_a_window_that_carries_too_few_orders(run: Run) -> None:
    """18 of 20 is 90 %."""
    run.sent()
    late = next(r for r in run.log if r["client_order_id"] == "c18")
    late |= run.seen(61.3, **{k: late[k] for k in ("method", "path", "client_order_id")})
    assert run.missed() == ["at least 93 % of a window carries orders"]


def test_too_many_requests_for_each_order(run: Run) -> None:
    """44 for 40 orders is the most; these are 45."""
    run.sent()
    run.asked(200.0, 3)
    assert run.missed() == []
    run.asked(200.0)
    assert run.missed() == ["at most 1.1 requests per order"]


def test_a_signal_that_traded_twice_or_not_at_all(run: Run) -> None:
    """Nor may there be an order that no signal explains."""
    run.order.remove(39)
    run.sent()
    assert run.missed() == ["every signal traded, once"]
    run.log.append(run.seen(200.0, method="POST", path="/v2/orders", client_order_id="other"))
    assert run.missed() == ["every signal traded, once"]


def test_one_ticker_is_strictly_in_order(run: Run) -> None:
    """Side by side in the stream, and yet of one ticker: however many workers, never."""
    run.published[4] = ("4-0", "DDD")
    run.order[3:5] = [4, 3]
    run.sent()
    assert run.missed() == ["each ticker strictly in stream order"]


def test_across_tickers_no_more_are_overtaken_than_workers_hold(run: Run) -> None:
    """Signal 0 to 3 are in hand while the others of a burst go out: in order. A fifth is not."""
    run.order[:7] = [4, 5, 6, 3, 2, 1, 0]
    run.sent()
    assert run.missed() == []
    run = Run()
    run.order[:7] = [5, 6, 4, 3, 2, 1, 0]
    run.sent()
    assert run.missed() == ["no order overtakes more signals than the 4 workers have in hand"]


@pytest.mark.parametrize(
    ("order", "most"),
    [([], 0), ([0, 1, 2], 0), ([2, 0, 1], 2), ([1, 2, 3, 4, 5, 0], 1), ([1, 1, 0, 2], 1)],
)
def test_how_many_are_overtaken(order: list[int], most: int) -> None:
    """One slow signal is overtaken once by each, which is one; a repeated POST changes nothing."""
    assert rate_limit.overtaken(order) == most
