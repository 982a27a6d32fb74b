"""Tests of signal_generator.blocks.run: the parts together, with a real Redis and no service."""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis

from signal_generator.bars import Quote
from signal_generator.blocks import ending, housekeeping
from signal_generator.blocks.options import read_options
from signal_generator.blocks.run import Run, Surroundings, utc_now
from signal_generator.hosting import BrokerUnavailable, Position
from tests.helpers.redis_server import RedisServer
from tests.helpers.run_trading_call import GIVEN

ORDER = {"ticker": "AAPL", "quantity": 1, "side": "buy", "order_type": "market"}


class Feed:
    """One quote at once, and whether it was stopped."""

    def __init__(self) -> None:
        self.running = False

    def start(self, symbols: Sequence[str], put: Callable[[Quote], None]) -> None:
        self.running = True
        for symbol in symbols:
            put(Quote(symbol, utc_now(), 10.0, 11.0))

    def stop(self) -> None:
        self.running = False


class Desk:
    """A run and what it was given."""

    def __init__(self, url: str, directory: Path, **options: Any) -> None:
        self.shown: list[str] = []
        self.stop = threading.Event()
        self.feed = Feed()
        self.held = [Position("AAPL", Decimal(2), Decimal(10))]
        self.path = directory / "mine.csv"
        self.trouble = ""
        given = {**GIVEN, "trade_log_path": directory, "warm_up_period": 0, "frequency": 0.01}
        given |= {"run_seconds": 0.05, "eos_behavior": "hold"}
        around = Surroundings(
            redis_url=url,
            stream="blocks",
            executions_stream="executions",
            group="blocks",
            feed=self.feed,
            positions=self.positions,
            show=self.shown.append,
            stop=self.stop,
            trouble=lambda: self.trouble,
        )
        self.run = Run(read_options({**given, **options}, utc_now), around)

    def positions(self) -> Sequence[Position]:
        """The broker's."""
        if not self.held:
            raise BrokerUnavailable("no answer")
        return self.held


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody executes anything here."""
    monkeypatch.setattr(ending, "WAIT_S", 0.05)
    monkeypatch.setattr(ending, "SENT_S", 0.01)


@contextmanager
def service(url: str) -> Iterator[redis.Redis]:
    """A client of a test's own."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


def threads() -> set[str]:
    """Names of ours that run."""
    ours = {"executions", "outbox", "housekeeping"}
    return {thread.name for thread in threading.enumerate()} & ours


def test_what_a_strategy_returns_is_in_the_stream(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """With the positions and quotes there from the first call; afterwards nothing runs on."""
    seen: list[Any] = []

    def strategy(context: dict[str, Any]) -> Any:
        seen.append(context["get_current_data"]())
        return [ORDER] if len(seen) == 1 else None

    desk = Desk(redis_server.url, tmp_path, strategy_callable=strategy)
    result = desk.run()
    with service(redis_server.url) as client:
        entries: Any = client.xrange("blocks")
        assert [fields["ticker"] for _, fields in entries] == ["AAPL"]
    quotes, positions = seen[0]
    assert quotes["AAPL"] == {"bid": 10.0, "ask": 11.0}
    assert [(row["ticker"], row["quantity"]) for row in positions] == [("AAPL", 2.0)]
    assert [order["status"] for order in result["orders"]()] == ["waiting"]
    assert result["positions"]() == positions
    assert (threads(), desk.feed.running) == (set(), False)
    assert "Realized P&L: 0.00" in desk.shown[-1]


def test_an_order_that_nobody_ended_has_its_row(
    redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is dropped silently, not even at the end."""
    desk = Desk(redis_server.url, tmp_path, strategy_callable=lambda _: ORDER, frequency=10)
    desk.run()
    rows = desk.path.read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["waiting"]
    assert "RUN_ENDED" in rows[0]
    assert "is left waiting" in caplog.text


def test_a_stop_during_warm_up_closes_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    """The strategy was never asked, so nothing is its."""
    calls: list[Any] = []
    desk = Desk(
        redis_server.url,
        tmp_path,
        strategy_callable=calls.append,
        warm_up_period=60,
        eos_behavior="liquidate",
    )
    desk.stop.set()
    desk.run()
    with service(redis_server.url) as client:
        assert not client.exists("blocks")
    assert calls == []


def test_what_is_held_already_is_told_of_before_it_is_closed(
    redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """liquidate closes the positions of the tickers, whoever opened them."""
    desk = Desk(
        redis_server.url, tmp_path, strategy_callable=lambda _: None, eos_behavior="liquidate"
    )
    desk.run()
    assert "held already, and closed with the rest at the end" in caplog.text
    with service(redis_server.url) as client:
        entries: Any = client.xrange("blocks")
        assert {(f["ticker"], f["action"], f["direction"]) for _, f in entries} == {
            ("AAPL", "liquidate", "s")
        }


def test_sys_exit_in_a_strategy_ends_the_session_in_order(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """And the program ends as it wanted."""

    def strategy(_: Any) -> Any:
        raise SystemExit(3)

    desk = Desk(redis_server.url, tmp_path, strategy_callable=strategy, eos_behavior="liquidate")
    with pytest.raises(SystemExit):
        desk.run()
    with service(redis_server.url) as client:
        assert client.xlen("blocks") > 0
    assert threads() == set()


def _leave() -> None:
    raise SystemExit(7)


def _fail() -> None:
    raise ValueError("in the fork")


@pytest.mark.parametrize(("leave", "code"), [(_leave, 7), (_fail, 1), (lambda: None, 1)])
def test_a_fork_of_the_strategys_is_no_run(
    leave: Callable[[], None], code: int, redis_server: RedisServer, tmp_path: Path
) -> None:
    """It leaves without closing the session, which goes on, and without a row or an order."""
    here, codes = os.getpid(), []

    def strategy(_: Any) -> Any:
        if not codes:
            if (child := os.fork()) == 0:
                return leave()
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            return ORDER
        return None

    desk = Desk(
        redis_server.url, tmp_path, strategy_callable=strategy, eos_behavior="custom",
        custom_shutdown_action=lambda _: {**ORDER, "ticker": "MSFT"},
    )  # fmt: skip
    try:
        desk.run()
    except BaseException as error:
        if os.getpid() == here:
            raise
        os._exit(error.code if isinstance(error, SystemExit) else 99)  # type: ignore[arg-type]  # a number
    finally:
        if os.getpid() != here:
            os._exit(98)
    assert codes == [code]
    with service(redis_server.url) as client:
        entries: Any = client.xrange("blocks")
        assert [fields["ticker"] for _, fields in entries] == ["AAPL", "MSFT"]
    rows = desk.path.read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["waiting", "waiting"]


def test_the_second_ctrl_c_closes_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    """At once; what was started is stopped all the same."""

    def strategy(_: Any) -> Any:
        raise KeyboardInterrupt

    desk = Desk(redis_server.url, tmp_path, strategy_callable=strategy, eos_behavior="liquidate")
    with pytest.raises(KeyboardInterrupt):
        desk.run()
    with service(redis_server.url) as client:
        assert not client.exists("blocks")
    assert (threads(), desk.feed.running) == (set(), False)


def test_without_positions_a_run_does_not_begin(redis_server: RedisServer, tmp_path: Path) -> None:
    """A strategy would take an account for empty that is not."""
    desk = Desk(redis_server.url, tmp_path)
    desk.held = []
    with pytest.raises(BrokerUnavailable):
        desk.run()
    assert threads() == set()
    assert desk.shown == []


def test_what_the_service_does_while_it_ends_has_its_row(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """It is ended before anybody stops to listen."""
    desk = Desk(redis_server.url, tmp_path, strategy_callable=lambda _: ORDER, frequency=10)

    def no_more() -> None:
        (order,) = desk.run.register.all()
        end = {"event_id": 1, "event": "fill", "status": "filled", "final": "1"}
        end |= {"signal_id": order.signal_id, "client_order_id": "sp-1"}
        with service(redis_server.url) as client:
            client.xadd("executions", end)

    desk.run._around = replace(desk.run._around, no_more=no_more)
    result = desk.run()
    assert [order["status"] for order in result["orders"]()] == ["filled"]
    assert "sp-1" in desk.path.read_text()


def test_fills_during_the_reading_make_it_read_again(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Whether the answer holds them nobody can tell."""
    desk = Desk(redis_server.url, tmp_path, strategy_callable=lambda _: None)
    answers: list[Any] = []
    real = desk.run.book.adopt

    def adopt(read: Any, version: int) -> bool:
        answers.append(real(read, version if answers else version + 1))
        return answers[-1]

    desk.run.book.adopt = adopt  # type: ignore[method-assign]
    desk.run()
    assert answers == [False, True]


def test_the_next_run_writes_what_was_told_in_between(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """An order that rested when the first ended; each event has one row, whoever writes it."""

    def tell(event_id: int, client: Any, strategy: str = "mine") -> None:
        fields = {"event_id": event_id, "event": "new", "strategy": strategy}
        client.xadd("executions", {**fields, "client_order_id": f"sp-{event_id}"})

    with service(redis_server.url) as client:
        Desk(redis_server.url, tmp_path, strategy_callable=lambda _: None).run()
        for event_id in (1, 2, 2, 3):
            tell(event_id, client)
        tell(4, client, "other")
        desk = Desk(redis_server.url, tmp_path, strategy_callable=lambda _: None)
        desk.run()
        Desk(redis_server.url, tmp_path, strategy_callable=lambda _: None).run()
    rows = desk.path.read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == ["sp-1", "sp-2", "sp-3"]


def test_a_dead_service_ends_the_run(
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Early, told, and without orders that nobody would execute."""
    monkeypatch.setattr(housekeeping, "EVERY", 0.001)

    def strategy(_context: Any) -> None:
        # Not before: a service that dies in the warm-up has nothing to close.
        desk.trouble = "the service has ended by itself"

    desk = Desk(
        redis_server.url,
        tmp_path,
        strategy_callable=strategy,
        run_seconds=60,
        eos_behavior="liquidate",
    )
    desk.run()
    assert desk.run.trouble == "the service has ended by itself"
    assert "nothing is closed, because nobody would execute it" in caplog.text
    with service(redis_server.url) as client:
        assert not client.exists("blocks")


def test_the_summary_is_printed_unless_there_is_a_display(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The display shows the same, on the same terminal."""
    monkeypatch.setattr(housekeeping, "EVERY", 0.005)
    shown = {}
    for live in (False, True):
        desk = Desk(redis_server.url, tmp_path, strategy_callable=lambda _: None, live_display=live)
        desk.run()
        shown[live] = [text for text in desk.shown if "Realized" in text]
    assert len(shown[False]) > 1
    assert len(shown[True]) == 1


def test_a_strategys_failures_are_counted_in_the_summary(
    redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And shown where they happen."""
    caplog.set_level(logging.ERROR)

    def strategy(_: Any) -> Any:
        raise ValueError("my mistake")

    desk = Desk(redis_server.url, tmp_path, strategy_callable=strategy, frequency=10)
    desk.run()
    assert "the strategy failed 1 times" in desk.shown[-1]
    assert "ValueError: my mistake" in caplog.text
