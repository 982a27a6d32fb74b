"""Closed orders on disk are found like those in memory: every list, lookup and page."""

import sqlite3
from collections.abc import Iterator
from itertools import product
from random import Random
from typing import Any

import pytest

from tests.unit.paper_exchange.asking import Asked
from tests.unit.paper_exchange.test_store import act

Pair = tuple[Asked, Asked]


@pytest.fixture(scope="module", params=["temporary", "state"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Two exchanges with one past: one has all of it in memory, the other next to nothing.

    No test changes them: what is sent to both is refused by both.
    """
    folder = tmp_path_factory.mktemp("archive")
    settings = {"state": folder / "state.db"} if request.param == "state" else {}
    whole = Asked(keep_closed=10_000, partial_fill_rate=0.3)
    small = Asked(keep_closed=3, partial_fill_rate=0.3, **settings)
    for asked in (whole, small):
        asked.hold(KO=100, NVDA=100, **{"BTC/USD": 100})
        draw = Random(3)
        for _ in range(220):
            act(asked, draw)
    for account in small.app.exchange.accounts:
        assert len(account.orders._kept) - len(account.open_orders) <= 4
        assert len(account.fills._recent) <= 4 < len(account.fills)
    yield whole, small
    whole.close()
    small.close()


def same(pair: Pair, target: str, key: str = "k") -> Any:
    """The answer, which both must give."""
    whole, small = (asked("GET", target, key=key) for asked in pair)
    assert small == whole, target
    return whole[1]


def test_lists(pair: Pair) -> None:
    """All combinations of status, direction and filters, in both accounts."""
    filters = [
        "",
        "&symbols=NVDA",
        "&symbols=KO,BTCUSD&side=sell",
        "&asset_class=crypto",
        "&side=buy",
    ]
    counts = []
    for key, status, direction, limit, more in product(
        "kl", ["open", "closed", "all"], ["asc", "desc"], [1, 7, 500], filters
    ):
        target = f"/v2/orders?status={status}&direction={direction}&limit={limit}{more}"
        counts.append(len(same(pair, target, key)))
    assert max(counts) > 50


def test_bounds_and_cuts(pair: Pair) -> None:
    """By submission time and by order, in both directions, wherever the order itself is."""
    every = same(pair, "/v2/orders?status=all&limit=500")
    draw = Random(1)
    for _ in range(40):
        one, other = draw.sample(every, 2)
        status = f"/v2/orders?status={draw.choice(['all', 'closed', 'open'])}&limit=5"
        status += f"&direction={draw.choice(['asc', 'desc'])}"
        same(pair, f"{status}&after={one['submitted_at']}")
        same(pair, f"{status}&until={one['submitted_at']}&after={other['submitted_at']}")
        same(pair, f"{status}&before_order_id={one['id']}")
        same(pair, f"{status}&after_order_id={one['id']}")


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_paging_by_order(pair: Pair, direction: str) -> None:
    """Pages of seven, each beginning behind the last one, are the whole list."""
    listing = f"/v2/orders?status=all&direction={direction}"
    every = [row["id"] for row in same(pair, f"{listing}&limit=500")]
    cut = "after_order_id" if direction == "asc" else "before_order_id"
    paged: list[str] = []
    page = same(pair, f"{listing}&limit=7")
    while page:
        paged += [row["id"] for row in page]
        page = same(pair, f"{listing}&limit=7&{cut}={paged[-1]}")
    assert paged == every


def test_lookups(pair: Pair) -> None:
    """By id and by the client's id; each account sees its own; ids stay taken."""
    for order in same(pair, "/v2/orders?status=all&limit=500"):
        assert same(pair, f"/v2/orders/{order['id']}") == order
        by_client = f"/v2/orders:by_client_order_id?client_order_id={order['client_order_id']}"
        assert same(pair, by_client) == order
        assert same(pair, f"/v2/orders/{order['id']}", "l")["code"] == 40410000
        for asked in pair:
            answer = asked.order(client_order_id=order["client_order_id"])
            assert answer[1]["message"] == "client_order_id must be unique"


def test_old_orders_can_neither_be_canceled_nor_replaced(pair: Pair) -> None:
    """They answer as those in memory do."""
    for order in same(pair, "/v2/orders?status=closed&direction=asc&limit=20"):
        for method, body in (("DELETE", None), ("PATCH", {"qty": "3"})):
            whole, small = (asked(method, f"/v2/orders/{order['id']}", body) for asked in pair)
            assert whole == small
            assert whole[0] == 422 or (method, order["status"]) == ("DELETE", "canceled")


def test_activities(pair: Pair) -> None:
    """By time, day and order, and page by page until the end, in both directions."""
    path = "/v2/account/activities"
    for direction, size in product(["asc", "desc"], [1, 7, 100]):
        listing = f"{path}?direction={direction}&page_size={size}"
        rows: list[dict[str, Any]] = []
        page = same(pair, listing)
        while page:
            rows += page
            page = same(pair, f"{listing}&page_token={rows[-1]['id']}")
        assert len(rows) == len({row["id"] for row in rows}) > 14
    for row in rows[::5]:
        at = row["transaction_time"]
        assert row not in same(pair, f"{path}?after={at}")
        assert row not in same(pair, f"{path}?until={at}&direction=asc")
        mine = same(pair, f"{path}/FILL?order_id={row['order_id']}")
        assert row in mine
        assert {one["order_id"] for one in mine} == {row["order_id"]}
        same(pair, f"{path}?order_id={row['order_id']}&page_token={row['id']}&date={at[:10]}")
        assert same(pair, f"{path}?page_token={row['id']}", "l")["code"] == 40010001


def test_admin_and_portfolio(pair: Pair) -> None:
    """All orders of all accounts, and a history made of all executions."""
    same(pair, "/admin/orders")
    same(pair, "/v2/account/portfolio/history?timeframe=1H&intraday_reporting=continuous")
    whole, small = ([*asked.app.exchange.accounts] for asked in pair)
    for mine, theirs in zip(whole, small, strict=True):
        assert list(mine.fills) == list(theirs.fills)
        assert len(mine.fills) == len(theirs.fills)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("before_order_id=1", "invalid before_order_id"),
        ("before_order_id={id}&after_order_id={id}",
         "only one of before_order_id and after_order_id is accepted"),
        ("after_order_id={id}&after=2026-11-20",
         "after cannot be combined with before_order_id or after_order_id"),
        ("before_order_id={id}&until=2026-11-20",
         "until cannot be combined with before_order_id or after_order_id"),
        ("asset_class=crypto,bonds", "invalid asset_class"),
    ],
)  # fmt: skip
def test_refused_lists(query: str, message: str) -> None:
    """What excludes each other, and what cannot be read, is 422."""
    asked = Asked()
    order = asked.order()[1]
    status, body = asked("GET", f"/v2/orders?{query.format(id=order['id'])}")
    assert (status, body) == (422, {"code": 40010001, "message": message})
    unknown = "6d9bd67a-4f09-4c8e-8c8c-0ad2c1a2c1de"
    assert asked("GET", f"/v2/orders?after_order_id={unknown}") == (
        404,
        {"code": 40410000, "message": f"order not found for {unknown}"},
    )


@pytest.mark.parametrize(
    ("target", "status", "count"),
    [
        ("?category=trade_activity", 200, 1),
        ("?category=non_trade_activity", 200, 0),
        ("?activity_types=fill", 200, 1),
        ("/DIV", 200, 0),
        ("?category=other", 422, None),
        ("?category=trade_activity&activity_types=FILL", 422, None),
        ("?activity_types=FILL,WISH", 422, None),
        ("/WISH", 422, None),
        ("?order_id=7", 422, None),
        ("?order_id=6d9bd67a-4f09-4c8e-8c8c-0ad2c1a2c1de", 200, 0),
        ("?date=2026-11-20&after=2026-11-20T17:30:00Z", 200, 0),
        ("?date=2026-11-20&after=2026-11-20T16:30:00Z", 200, 1),
        ("?page_size=0", 422, None),
    ],
)
def test_kinds_of_activities(target: str, status: int, count: int | None) -> None:
    """Only executions happen here; what is no kind of activity is refused."""
    asked = Asked()
    asked.order()
    answer = asked("GET", f"/v2/account/activities{target}")
    assert answer[0] == status
    assert count is None or len(answer[1]) == count


def test_timers_do_not_keep_ended_orders() -> None:
    """Ten thousand orders that rested and were canceled leave no ten thousand timers."""
    asked = Asked(keep_closed=10)
    engine = asked.app.exchange.engine
    resting = {"type": "limit", "limit_price": "1", "time_in_force": "gtc", "qty": "1"}
    asked.order(**resting, client_order_id="stays")
    for _ in range(1100):
        order = asked.order(**resting)[1]
        asked("DELETE", f"/v2/orders/{order['id']}")
    assert len(engine.floor.waiting._timers) <= 1001
    asked.later(90 * 86_400)
    found = asked("GET", "/v2/orders:by_client_order_id?client_order_id=stays")[1]
    assert found["status"] == "new"
    asked.later(5 * 3600)
    found = asked("GET", "/v2/orders:by_client_order_id?client_order_id=stays")[1]
    assert found["status"] == "canceled"
    asked.close()


def test_a_full_disk_keeps_the_oldest_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are answered all the same, and go to disk once there is room."""
    asked = Asked(keep_closed=4)
    store = asked.app.exchange.store
    orders = [asked.order(client_order_id=f"before-{n}")[1]["id"] for n in range(20)]
    assert len(store.journal.closed) <= 6

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_orders", full)
        for n in range(20):
            answer = asked.order(client_order_id=f"meanwhile-{n}")
            assert answer[0] == 200
            orders.append(answer[1]["id"])
        assert len(store.journal.closed) > 20
    orders += [asked.order(client_order_id=f"after-{n}")[1]["id"] for n in range(20)]
    assert len(store.journal.closed) <= 6
    listed = asked("GET", "/v2/orders?status=all&limit=500&direction=asc")[1]
    assert [order["id"] for order in listed] == orders
    asked.close()
