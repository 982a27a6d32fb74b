"""What the old Python SDK does with an exchange; prints what became of each scenario as JSON.

Run by ``tests/contract/test_old_sdks.py`` in a process of its own, with the SDK first on
``PYTHONPATH`` and the exchange's address in the SDK's own variables.
"""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from queue import Empty, Queue
from uuid import uuid4

from alpaca_trade_api import REST, Stream, TimeFrame
from alpaca_trade_api.rest import APIError

SCENARIOS: dict[str, Callable[[REST], None]] = {}


def scenario(function: Callable[[REST], None]) -> Callable[[REST], None]:
    """A function that is given a client on an account of its own."""
    SCENARIOS[function.__name__] = function
    return function


def resting(api: REST, **more: object):  # noqa: ANN201  -- the SDK's entities are untyped
    """A purchase far below the market."""
    order = {"qty": 2, "side": "buy", "type": "limit", "limit_price": "1.50"} | more
    return api.submit_order("AAPL", time_in_force="gtc", **order)


def refused(call: Callable[[], object]) -> APIError:
    """The SDK's error that a call ends in."""
    try:
        call()
    except APIError as error:
        return error
    raise AssertionError("was not refused")


@scenario
def account(api: REST) -> None:
    """Its figures, and its configurations written and read back."""
    found = api.get_account()
    assert (found.status, found.cash, found.multiplier) == ("ACTIVE", "100000", "4")
    assert api.update_account_configurations(no_shorting=True).no_shorting is True
    assert api.get_account_configurations().no_shorting is True


@scenario
def assets(api: REST) -> None:
    """All of a class, one, and one that does not exist."""
    found = api.list_assets(status="active", asset_class="us_equity")
    assert "AAPL" in {asset.symbol for asset in found}
    assert api.get_asset("AAPL").tradable
    assert refused(lambda: api.get_asset("NOPE")).code == 40410000


@scenario
def clock_and_calendar(api: REST) -> None:
    """The SDK turns both into pandas timestamps."""
    clock = api.get_clock()
    assert clock.is_open is True
    assert clock.next_close > clock.timestamp
    days = api.get_calendar("2026-11-20", "2026-11-21")
    assert [day.date.day for day in days] == [20, 21]
    assert days[0].open < days[0].close


@scenario
def order_life(api: REST) -> None:
    """Placed, found in three ways, replaced, canceled."""
    mine = f"old-{uuid4()}"
    order = resting(api, client_order_id=mine)
    assert order.status == "pending_new"
    assert api.get_order(order.id, nested=True).status == "new"
    assert api.get_order_by_client_order_id(mine).id == order.id
    newer = api.replace_order(order.id, qty="3", limit_price="1.60")
    assert (newer.replaces, newer.qty, newer.limit_price) == (order.id, "3", "1.6")
    assert [one.id for one in api.list_orders(nested=True, symbols=["AAPL"])] == [newer.id]
    assert api.cancel_order(newer.id) is None
    closed = api.list_orders(status="closed", direction="asc")
    assert [one.status for one in closed] == ["replaced", "canceled"]
    assert closed[0].replaced_by == newer.id


@scenario
def refusals(api: REST) -> None:
    """An id taken, a quantity not held, an order that is gone."""
    mine = f"old-{uuid4()}"
    order = resting(api, client_order_id=mine)
    taken = refused(lambda: resting(api, client_order_id=mine))
    assert (taken.status_code, taken.code) == (422, 40010001)
    dear = refused(lambda: api.submit_order("SPY", qty=1_000_000))
    assert (dear.status_code, dear.code) == (403, 40310000)
    api.cancel_all_orders()
    assert api.list_orders() == []
    assert refused(lambda: api.replace_order(order.id, qty="5")).code == 42210000


@scenario
def positions(api: REST) -> None:
    """A long and a short, closed in part, alone, and all together."""
    api.submit_order("NVDA", qty=4)
    api.submit_order("F", qty=3, side="sell")
    assert {one.symbol: one.qty for one in api.list_positions()} == {"NVDA": "4", "F": "-3"}
    api.close_position("NVDA", qty=1)
    assert api.get_position("NVDA").qty == "3"
    api.close_position("NVDA")
    rows = api.close_all_positions()
    assert [(row.symbol, row.status) for row in rows] == [("F", 200)]
    assert api.list_positions() == []
    assert refused(lambda: api.get_position("F")).code == 40410000


@scenario
def activities(api: REST) -> None:
    """Executions, by type and page by page."""
    for _ in range(3):
        api.submit_order("NVDA", qty=1)
    first = api.get_activities("FILL", page_size=2)
    rest = api.get_activities(["FILL"], page_token=first[-1].id)
    assert len({one.id for one in first + rest}) == 3
    assert {one.type for one in first} == {"fill"}


@scenario
def latest_data(api: REST) -> None:
    """Latest trades, quotes, bars and snapshots, of one and of several."""
    quote = api.get_latest_quote("NVDA")
    assert quote.bp < quote.ap
    assert api.get_latest_trade("NVDA").p > 0
    bar = api.get_latest_bar("NVDA")
    assert bar.l <= bar.c <= bar.h
    assert set(api.get_latest_trades(["NVDA", "F"])) == {"NVDA", "F"}
    assert set(api.get_latest_quotes(["NVDA", "F"])) == {"NVDA", "F"}
    assert set(api.get_latest_bars(["NVDA", "F"])) == {"NVDA", "F"}
    assert api.get_snapshot("NVDA").daily_bar.v > 0
    assert set(api.get_snapshots(["NVDA", "F"])) == {"NVDA", "F"}


@scenario
def history(api: REST) -> None:
    """Bars, trades and quotes of a day in the past agree with each other, over several pages."""
    day = ("2024-03-04", "2024-03-04")
    minutes = api.get_bars("AAPL", TimeFrame.Minute, *day).df
    # Without a limit the SDK follows the pages, which have 1,000 rows.
    assert len(minutes) == 1440
    assert minutes.index.is_monotonic_increasing
    assert minutes.index.is_unique
    [whole] = api.get_bars("AAPL", TimeFrame.Day, *day)
    assert (whole.o, whole.c) == (minutes["open"].iloc[0], minutes["close"].iloc[-1])
    assert (whole.h, whole.l) == (minutes["high"].max(), minutes["low"].min())
    assert whole.v == minutes["volume"].sum()
    both = api.get_bars(["AAPL", "F"], TimeFrame.Minute, *day).df
    assert both["symbol"].value_counts().to_dict() == {"AAPL": 1440, "F": 1440}
    assert both[both["symbol"] == "AAPL"].drop(columns="symbol").equals(minutes)
    assert len(api.get_bars("AAPL", TimeFrame.Minute, *day, limit=1200)) == 1200

    hour = ("2024-03-04T15:00:00Z", "2024-03-04T15:59:59.999Z")
    trades = api.get_trades("AAPL", *hour).df
    wanted = minutes.loc["2024-03-04 15:00":"2024-03-04 15:59"]
    assert len(trades) == wanted["trade_count"].sum() > 1000
    assert trades["size"].sum() == wanted["volume"].sum()
    assert trades["price"].max() == wanted["high"].max()
    quotes = api.get_quotes("AAPL", hour[0], "2024-03-04T15:04:59.999Z").df
    assert len(quotes) == 5 * 60 * 4
    assert (quotes["bid_price"] < quotes["ask_price"]).all()

    coins = api.get_crypto_bars("BTC/USD", TimeFrame.Minute, *day).df
    assert (len(coins), str(coins.index[0])) == (1440, "2024-03-04 00:00:00+00:00")
    days = api.get_crypto_bars(["BTC/USD", "ETH/USD"], TimeFrame.Day, day[0], "2024-03-08")
    assert [bar.S for bar in days] == ["BTC/USD"] * 5 + ["ETH/USD"] * 5
    assert api.get_crypto_trades("BTC/USD", *hour).df["size"].min() > 0
    assert len(api.get_crypto_quotes("BTC/USD", hour[0], "2024-03-04T15:00:59.999Z")) == 240

    shots = api.get_snapshots(["AAPL", "F"])
    assert shots["F"].prev_daily_bar.t < shots["F"].daily_bar.t < shots["F"].latest_trade.t
    coin = api.get_crypto_snapshots(["BTC/USD"])["BTC/USD"]
    # The SDK tells times in New York's; days of crypto begin at midnight UTC.
    days_begin = [bar.t.tz_convert("UTC").hour for bar in (coin.daily_bar, coin.prev_daily_bar)]
    assert days_begin == [0, 0]
    assert coin.latest_quote.bp < coin.latest_quote.ap


@scenario
def data_stream(api: REST) -> None:
    """Trades, quotes and bars of a stock and of a coin; later those of one more symbol."""
    told: Queue = Queue()
    stream = Stream(api._key_id, api._secret_key)

    def hear(kind: str) -> Callable[[object], object]:
        async def put(one: object) -> None:
            told.put((kind, one))

        return put

    stream.subscribe_trades(hear("trade"), "AAPL")
    stream.subscribe_quotes(hear("quote"), "AAPL")
    stream.subscribe_bars(hear("bar"), "AAPL")
    stream.subscribe_daily_bars(hear("day"), "AAPL")
    stream.subscribe_crypto_trades(hear("coin trade"), "BTC/USD")
    stream.subscribe_crypto_quotes(hear("coin quote"), "BTC/USD")
    stream.subscribe_crypto_bars(hear("coin bar"), "BTC/USD")
    stream.subscribe_crypto_orderbooks(hear("book"), "BTC/USD")
    threading.Thread(target=stream.run, daemon=True).start()
    stocks = {"trade", "quote", "bar", "day"}
    coins = {"coin trade", "coin quote", "coin bar", "book"}
    found = _first_of_each(told, stocks | coins)
    assert {found[kind].symbol for kind in stocks} == {"AAPL"}
    assert {found[kind].symbol for kind in coins} == {"BTC/USD"}
    assert found["trade"].price > 0
    assert found["quote"].bid_price < found["quote"].ask_price
    assert found["book"].bids[0].p < found["book"].asks[0].p
    for kind in ("bar", "coin bar"):
        bar = found[kind]
        assert bar.low <= bar.close <= bar.high
        assert bar.trade_count > 0
        assert bar.timestamp % 60_000_000_000 == 0
    assert found["day"].volume > found["bar"].volume
    stream.subscribe_quotes(hear("another"), "F")
    assert _first_of_each(told, {"another"})["another"].symbol == "F"


def _first_of_each(told: Queue, kinds: set[str], within: float = 5) -> dict[str, object]:
    """What is told first of each kind."""
    found: dict[str, object] = {}
    deadline = time.monotonic() + within
    while kinds - found.keys():
        try:
            kind, one = told.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise AssertionError(f"only {sorted(found)} came") from None
        found.setdefault(kind, one)
    return found


@scenario
def trade_updates(api: REST) -> None:
    """The stream tells of an order that is filled, and only of this account's."""
    told: Queue = Queue()
    stream = Stream(api._key_id, api._secret_key, base_url=os.environ["APCA_API_BASE_URL"])

    async def hear(update: object) -> None:
        told.put(update)

    stream.subscribe_trade_updates(hear)
    # A daemon: the SDK needs up to five seconds to stop, the process ends at once.
    threading.Thread(target=stream.run, daemon=True).start()
    first = _first_heard(api, told)
    assert first.event == "new"
    fill = told.get(timeout=2)
    assert (fill.event, fill.order["id"]) == ("fill", first.order["id"])
    assert fill.price == fill.order["filled_avg_price"]


def _first_heard(api: REST, told: Queue) -> object:
    """Orders until the stream, which says nothing when it begins to listen, tells of one."""
    for _ in range(40):
        api.submit_order("NVDA", qty=1)
        try:
            return told.get(timeout=0.25)
        except Empty:
            continue
    raise AssertionError("the stream told nothing")


def main() -> None:
    """Run all, each on a fresh account."""
    outcome = {}
    for name, run in SCENARIOS.items():
        try:
            run(REST(f"OLD{uuid4().hex}", "secret"))
            outcome[name] = "passed"
        except Exception:  # noqa: BLE001  -- whatever it is belongs in the report
            outcome[name] = traceback.format_exc()
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()
    # The stream's thread is still running.
    os._exit(0)


if __name__ == "__main__":
    main()
