"""Tests of signal_generator.scalping.strategy; any sequence at all is in tests/model."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from signal_generator.bars import Bar
from signal_generator.hosting import BrokerUnavailable, Position, Session
from signal_generator.scalper import ScalpAlgo
from signal_generator.scalping.machine import State
from tests.helpers.scalp_world import BY_HAND, CLOSES, MINUTE, OPENS, ZERO, Market, World

TEN = Decimal(10)


@pytest.fixture
def world() -> World:
    made = World()
    made.start()
    return made


def _holding(market: Market | None = None) -> World:
    """Ten shares, bought at 100, and news of it delivered."""
    world = World(market)
    world.start()
    world.bar(cross=True)
    world.market.submit()
    world.market.fill(next(iter(world.market.orders)))
    return world


def test_a_buy_is_a_day_limit_of_the_lot_that_the_service_cancels(world: World) -> None:
    """Whole shares at the last trade, under an id that follows from day and number."""
    world.market.price = Decimal("99.999")
    assert world.bar(cross=True) == [
        {
            "ticker": "TSLA",
            "direction": "b",
            "action": "buy_long",
            "order_type": "limit",
            "time_in_force": "day",
            "signal_id": "scalp:TSLA:2026-03-06:1",
            "qty": "10",
            "limit_price": "99.99",
            "cancel_after": "120",
        }
    ]
    assert world.machine.state is State.BUY_SUBMITTED
    assert world.bar(cross=True) == []


def test_a_fill_is_offered_at_once_a_cent_above_its_cost() -> None:
    """Or at the last trade, where that is more."""
    world, dearer = _holding(), _holding()
    dearer.market.price = Decimal("101.001")
    (sale,) = world.deliver()
    assert sale["limit_price"] == "100.01"
    assert (sale["action"], sale["qty"], sale["time_in_force"]) == ("sell_long", "10", "day")
    assert sale["signal_id"] == "scalp:TSLA:2026-03-06:2"
    assert "cancel_after" not in sale
    assert dearer.deliver()[0]["limit_price"] == "101.01"
    assert world.machine.state is State.SELL_SUBMITTED


def test_a_fill_is_offered_at_its_target_while_there_is_no_price() -> None:
    """The broker's data may be away; the shares are held all the same."""
    world = _holding()
    world.market.silent = True
    assert world.deliver()[0]["limit_price"] == "100.01"


def test_a_lot_that_buys_no_share_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """No signal of nothing, and the state stays."""
    world.market.price = Decimal(1001)
    assert world.bar(cross=True) == []
    assert "a lot of 1000 buys no share at 1001" in caplog.text
    assert world.machine.state is State.TO_BUY


def test_no_price_no_purchase(world: World) -> None:
    """A price is never guessed for a buy."""
    world.market.silent = True
    assert world.bar(cross=True) == []
    world.market.silent = False
    assert len(world.bar(cross=True)) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_a_user_signal_that_raises_stops_no_sale(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """It is told with symbol and bar."""

    def raises(*_: object) -> bool:
        raise error

    def broken(*_: object) -> Any:
        return type("Algo", (), {"buys_now": raises})()

    world = World(algo=broken)
    world.start()
    assert world.bar() == []
    assert "the buy signal failed on the bar of 2026-03-06 14:30:00" in caplog.text
    assert error.__name__ in caplog.text
    assert any(record.name == "tests.scalp.TSLA" for record in caplog.records)


def test_the_algorithm_sees_the_session_from_its_open(world: World) -> None:
    """Also in a process that started in the middle of it; nothing of before the open."""
    seen: list[Sequence[Bar]] = []

    class Algo(ScalpAlgo):
        def buys_now(self, minutes: Sequence[Bar]) -> bool:
            seen.append(minutes)
            return False

    late = World(Market(at=OPENS + 30 * MINUTE), algo=Algo)
    late.bars = [
        Bar("TSLA", OPENS + n * MINUTE, 1.0, 1.0, 1.0, float(n), 1.0)
        for n in range(-5, 30)
        if n != 7  # a minute without a trade has no bar
    ]
    late.start()
    late.market.silent = True
    late.bar()
    assert not seen  # earlier bars are not to be had yet
    late.market.silent = False
    late.bar()
    late.bar()
    assert [len(minutes) for minutes in seen] == [31, 32]
    assert seen[0][0].timestamp == OPENS


def test_a_bar_of_an_outage_buys_nothing(world: World) -> None:
    """The price has moved on, and the service would refuse a signal of that age."""
    late = Bar("TSLA", OPENS, 1.0, 1.0, 1.0, 1.0, 1.0)
    world.market.at = OPENS + 3 * MINUTE
    world.crosses = True
    assert world._do(lambda: world.strategy.on_bar("TSLA", [late])) == []
    assert len(world._do(lambda: world.strategy.on_bar("TSLA", [_at(OPENS + 2 * MINUTE)]))) == 1


def _at(start: datetime) -> Bar:
    return Bar("TSLA", start, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_bars_outside_the_session_are_nothing_to_it(world: World) -> None:
    """Alpaca's minute bars begin before the open."""
    world.crosses = True
    for start in (OPENS - MINUTE, CLOSES):
        world.market.at = start
        assert world._do(lambda start=start: world.strategy.on_bar("TSLA", [_at(start)])) == []  # type: ignore[misc]
    world.market.at = OPENS - 10 * MINUTE
    assert world.checkup() == []
    assert not world.stopped


@pytest.mark.parametrize("closes", [CLOSES, OPENS + timedelta(hours=3, minutes=30)])
def test_it_is_out_five_minutes_before_the_real_close(closes: datetime) -> None:
    """Of a half day too; the resting sale is the service's to cancel; then the process ends."""
    market = Market(session_today=Session(OPENS, closes))
    world = _holding(market)
    world.deliver()
    market.submit()
    market.at = closes - 6 * MINUTE - timedelta(seconds=1)
    assert world.checkup() == []
    assert world.bar(cross=True) == []  # ends at five minutes and one second before
    market.at = closes - 5 * MINUTE
    (out,) = world.checkup()
    assert out == {
        "ticker": "TSLA",
        "direction": "s",
        "action": "liquidate",
        "order_type": "market",
        "time_in_force": "day",
        "signal_id": "scalp:TSLA:2026-03-06:3",
    }
    market.submit()
    world.deliver()
    assert (world.machine.state, market.held, market.orders) == (State.DONE, ZERO, {})
    assert world.bar(cross=True) == []
    market.at = closes
    assert not world.stopped
    world.checkup()
    assert world.stopped


def test_what_is_left_at_the_close_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The service was away: nobody sold. It is told once, and the exit code tells it too."""
    world = _holding()
    world.deliver()
    world.market.at = CLOSES
    world.checkup()
    world.checkup()
    assert world.stopped
    assert caplog.text.count("the session is over") == 1
    assert "the session is over and 10 are held, orders without an end: scalp:" in caplog.text
    (failure,) = world.failures
    assert "not all is sold: TSLA: 10 are held, orders without an end: scalp:" in failure


def _by_hand(side: str) -> Market:
    """Five minutes before the close, beside an order that nobody here may cancel."""
    market = Market(at=CLOSES - 6 * MINUTE, held=TEN if side == "s" else ZERO)
    market.place({"signal_id": BY_HAND, "direction": side, "qty": "10", "limit_price": "120"})
    return market


def _until_the_close(world: World) -> list[dict[str, str]]:
    """What is published on the way, the service and its news being quick."""
    published = []
    while world.market.at < CLOSES:
        for step in (world.bar, world.checkup):
            published += step()
            world.market.submit()
            published += world.deliver()
    return published


def test_shares_that_anothers_order_holds_are_a_failure() -> None:
    """They are tried to sell until the close, for the order may go."""
    world = World(_by_hand("s"))
    world.start()
    published = _until_the_close(world)
    assert [one["action"] for one in published] == ["liquidate"] * len(published)
    assert len(published) > 1
    assert world.stopped
    assert "TSLA: 10 are held, orders without an end: o-1" in world.failures[0]


def test_anothers_resting_buy_is_let_be(caplog: pytest.LogCaptureFixture) -> None:
    """One try, in case it is the service's to cancel; then it is nobody's business here."""
    world = World(_by_hand("b"))
    world.start()
    assert [one["action"] for one in _until_the_close(world)] == ["liquidate"]
    assert (world.stopped, world.failures) == (True, [])
    assert "the session is over; orders of others rest: o-1" in caplog.text


def test_what_anothers_buy_has_bought_is_sold_all_the_same() -> None:
    """It was let be while it brought nothing."""
    world = World(_by_hand("b"))
    world.start()
    for _ in range(2):
        world.bar()
        world.market.submit()
        world.deliver()
    world.market.fill(BY_HAND, Decimal("0.5"))
    world.checkup()
    assert [one["action"] for one in world.checkup() + world.bar()] == ["liquidate"]
    world.market.submit()
    assert world.market.held == 0


def test_all_symbols_are_out_when_one_of_them_notices() -> None:
    """By its news, or by its bar; the others' own may come half a minute later."""
    market = Market(other_positions=[Position("AAPL", Decimal(5), Decimal(200))])
    world = World(market, others=["AAPL"])
    (sale,) = world.start()
    assert (sale["ticker"], sale["qty"], sale["limit_price"]) == ("AAPL", "5", "200.01")
    market.inbox.clear()
    world.bar(cross=True)
    market.submit()
    market.fill(next(iter(market.orders)))
    market.at = CLOSES - 5 * MINUTE
    out = world.deliver()
    assert [(one["ticker"], one["action"]) for one in out] == [
        ("TSLA", "liquidate"),
        ("AAPL", "liquidate"),
    ]


def test_a_sale_that_somebody_cancelled_is_offered_again_with_the_next_bar() -> None:
    """After a look at the account, as a limit."""
    world = _holding()
    world.deliver()
    world.market.submit()
    world.market.end("scalp:TSLA:2026-03-06:2", "canceled")
    assert world.deliver() == []
    (sale,) = world.bar()
    assert (sale["order_type"], sale["qty"]) == ("limit", "10")


def test_an_order_that_rests_at_the_start_is_waited_for() -> None:
    """No second purchase beside it, whoever made it."""
    market = Market()
    market.place({"signal_id": "by-hand", "direction": "b", "qty": "2", "limit_price": "1"})
    world = World(market)
    world.start()
    assert world.machine.state is State.BUY_SUBMITTED
    assert world.bar(cross=True) == []


@pytest.mark.parametrize("session", [None, Session(OPENS - 9 * MINUTE, OPENS)])
def test_without_a_session_it_ends(session: Session | None, caplog: Any) -> None:
    """On a holiday, and after the close."""
    caplog.set_level(logging.INFO)
    world = World(Market(session_today=session))
    world.start()
    assert world.stopped
    assert world.checkup() == []
    assert "the market has no session any more today" in caplog.text


def test_a_new_process_goes_on_where_the_last_one_was() -> None:
    """A buy that went out just before the end is waited for: no second one beside it."""
    world = World()
    world.start()
    world.bar(cross=True)
    world.start()
    assert world.bar(cross=True) == []
    world.market.submit()
    world.market.fill("scalp:TSLA:2026-03-06:1")
    (sale,) = world.deliver()
    assert sale["signal_id"] == "scalp:TSLA:2026-03-06:2"


def test_what_was_sold_while_it_was_away_is_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    """The broker's word counts, and a line says so."""
    world = World(Market(held=TEN))
    assert [one["qty"] for one in world.start()] == ["10"]
    world.market.inbox.clear()
    world.market.held = ZERO
    world.market.say("scalp:TSLA:2026-03-06:1", "refused", final=True)
    world.deliver()
    world.start()
    assert world.machine.state is State.TO_BUY
    assert "the broker holds 0, not 10; the broker's word counts" in caplog.text


def test_the_day_before_is_forgotten() -> None:
    """Its orders were for that day; the account is asked anew, and ids carry the date."""
    world = _holding()
    world.deliver()
    world.market.news.clear()
    world.market.inbox.clear()
    day = timedelta(days=3)
    world.market.session_today = Session(OPENS + day, CLOSES + day)
    world.market.at = OPENS + day
    (sale,) = world.start()
    assert sale["signal_id"] == "scalp:TSLA:2026-03-09:1"


@pytest.mark.parametrize("kept", ['{"held": "x"}', '{"held": []}', "7"])
def test_a_state_that_is_none_is_told_and_the_broker_asked(
    kept: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Numbers go on, so that no id is given twice."""
    world = World(Market(held=TEN))
    world.state = f'{{"session": "2026-03-06", "n": {{"TSLA": 4}}, "symbols": {{"TSLA": {kept}}}}}'
    (sale,) = world.start()
    assert sale["signal_id"] == "scalp:TSLA:2026-03-06:5"
    assert "the kept state is not one" in caplog.text


def test_nothing_is_done_before_the_account_was_read() -> None:
    """The broker is away at the start: neither buys nor sells until it is back."""
    world = World(Market(held=TEN, silent=True))
    assert world.start() == []
    assert world.bar(cross=True) == []
    world.market.silent = False
    (sale,) = world.checkup()
    assert (sale["direction"], sale["qty"]) == ("s", "10")


def test_one_look_that_contradicts_is_not_believed_two_are(world: World) -> None:
    """Positions and news travel separately."""
    world.market.held = Decimal(3)
    assert world.checkup() == []
    world.market.held = ZERO
    assert world.checkup() == []
    world.market.held = Decimal(3)
    assert world.checkup() == []
    assert len(world.checkup()) == 1


def test_a_callback_that_fails_is_undone_with_its_state(world: World) -> None:
    """The host puts the state back as it was; the machines follow it."""
    before = world.state
    world.bar(cross=True)
    world.published.clear()
    world.strategy.state = json.loads(before)
    (again,) = world.bar(cross=True)
    assert again["signal_id"] == "scalp:TSLA:2026-03-06:1"


def test_a_clock_that_does_not_answer_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar that has ended says how late it is at least."""

    def away(_: Market) -> datetime:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(Market, "now", away)
    world.market.at = CLOSES - 7 * MINUTE
    assert len(world.bar(cross=True)) == 1
    world.market.at = CLOSES - 6 * MINUTE
    assert [one["action"] for one in world.bar()] == ["liquidate"]


def test_news_of_another_symbol_is_nobodys(world: World) -> None:
    """Nor does it stop anything."""
    world.market.say("another's", "fill", filled_qty=TEN, final=True)
    update = world.market.news.popleft()
    assert world.strategy.on_execution(replace(update, ticker="AAPL")) == []
    assert world.machine.flat


def test_a_memory_that_was_lost_gives_no_id_twice() -> None:
    """A start in the middle of the day begins beyond what the day can have used."""
    world = World(Market(at=OPENS + 90 * MINUTE, held=TEN))
    (sale,) = world.start()
    assert sale["signal_id"] == "scalp:TSLA:2026-03-06:5401"


@pytest.mark.parametrize("bar_first", [True, False])
@pytest.mark.parametrize("seconds", [0, 10])
def test_a_sale_and_a_bar_of_one_moment_may_come_in_either_order(
    bar_first: bool, seconds: int
) -> None:
    """The bar says buy: it is bought either way, and asked for once."""
    world = _offered()
    world.crosses = True
    world.market.at += timedelta(seconds=seconds)
    steps = [lambda: _bar_of_the_last_minute(world), world.deliver]
    published = [one for step in (steps if bar_first else steps[::-1]) for one in step()]
    assert [(one["direction"], one["signal_id"]) for one in published] == [
        ("b", "scalp:TSLA:2026-03-06:3")
    ]
    assert world.asked[1:] == [OPENS + MINUTE]
    world.market.turn_down()
    assert world.deliver() == []  # it was asked already


def _offered() -> World:
    """The sale is filled, and not told yet, when the next bar ends."""
    world = _holding()
    world.deliver()
    world.market.submit()
    world.deliver()
    world.market.fill("scalp:TSLA:2026-03-06:2")
    world.market.at += MINUTE
    return world


def _bar_of_the_last_minute(world: World) -> list[dict[str, str]]:
    bar = _at(world.market.at.replace(second=0) - MINUTE)
    world.bars.append(bar)
    return world._do(lambda: world.strategy.on_bar("TSLA", [bar]))


def test_a_sale_that_ends_later_leaves_the_bar_alone() -> None:
    """The next bar decides."""
    world = _offered()
    world.crosses = True
    _bar_of_the_last_minute(world)
    world.market.at += timedelta(seconds=11)
    assert world.deliver() == []


@pytest.mark.parametrize("news_first", [True, False])
def test_the_closing_begins_at_its_moment_whoever_notices(news_first: bool) -> None:
    """A purchase that fills in the last minute before is liquidated, and not offered first."""
    world = _holding(Market(at=CLOSES - 7 * MINUTE))
    world.market.at = CLOSES - 5 * MINUTE
    steps = [world.deliver, lambda: _bar_of_the_last_minute(world)]
    published = [one for step in (steps if news_first else steps[::-1]) for one in step()]
    assert [one["action"] for one in published] == ["liquidate"]


def test_a_refused_liquidation_is_repeated_at_a_bars_pace() -> None:
    """Not at the network's."""
    world = _holding()
    world.deliver()
    world.market.submit()
    world.market.at = CLOSES - 5 * MINUTE
    world.checkup()
    world.market.turn_down()
    assert world.deliver() == []
    assert [one["action"] for one in world.bar()] == ["liquidate"]
