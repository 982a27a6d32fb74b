"""What the parts are built from: the settings, and what the broker says of them."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from paper_exchange.testing import Running, running
from solution import startup
from solution.assembly import Assembly
from solution.clock import SystemClock
from solution.config import load_settings
from solution.errors import LeaseLost, StartupError
from solution.ledger.sqlite import SqliteLedger

Build = Callable[..., Assembly]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """A real exchange, which lists BTC/USD and BRK.B."""
    with running() as started:
        yield started


@pytest.fixture
def build(exchange: Running) -> Iterator[Build]:
    """Builds the parts as a start does; nothing of them is started."""
    made: list[Assembly] = []

    def build(ledger_url: str = "sqlite://", **environ: str) -> Assembly:
        settings = load_settings(
            environ={
                "ALPACA_API_KEY": "key",
                "ALPACA_SECRET_KEY": "secret",
                "ALPACA_TRADING_URL": exchange.url,
                "ALPACA_DATA_URL": exchange.url,
                **environ,
            },
            env_file=None,
        )
        one = Assembly(
            settings,
            SqliteLedger(ledger_url),
            startup.sizing_rules(settings),
            consumer="test",
            stop=threading.Event(),
            on_fatal=lambda _service, _error: None,
            clock=SystemClock(),
        )
        made.append(one)
        return one

    yield build
    for one in made:
        one.broker.client.close()
        one.ground.ledger.close()


def test_gates_and_sizing_compare_with_the_brokers_spelling(build: Build) -> None:
    """A signal for BTCUSD is one for BTC/USD: so is a list's."""
    one = build(
        SYMBOLS="btcusd,BTC/USD,BRK.B",
        WEIGHTS="BTCUSD:0.2,brk.b:0.3",
        ALLOWED_SYMBOLS="NVDA,BTCUSD",
        DENIED_SYMBOLS="BTCUSD",
    )
    gates, sizing = one.rules.gates, one.rules.sizing
    assert gates.allowed_symbols == {"NVDA", "BTC/USD"}
    assert gates.denied_symbols == {"BTC/USD"}
    assert sizing.symbols == ("BTC/USD", "BRK.B")
    assert sizing.weights == {"BTC/USD": Decimal("0.2"), "BRK.B": Decimal("0.3")}


def test_a_paused_instance_that_wakes_cancels_nothing(build: Build) -> None:
    """Like a POST, a cancel waits until the ledger has confirmed the lease."""
    one = build()
    one.ground.ledger.acquire_lease("me", 3.0)
    one.ground.ledger._write(
        lambda executor: executor.execute("UPDATE lease SET epoch = epoch + 1")
    )
    with pytest.raises(LeaseLost):
        one.broker.wrapper.cancel("some-order")


@pytest.mark.parametrize(
    ("name", "text", "ticker"),
    [
        ("SYMBOLS", "NVDA,NVDDA", "NVDDA"),
        ("WEIGHTS", "NVDA:0.2,BRK/B:0.2", "BRK/B"),
        ("ALLOWED_SYMBOLS", "NVDA,BRK-B", "BRK-B"),
        ("DENIED_SYMBOLS", "BRK/B", "BRK/B"),
    ],
)
def test_a_ticker_that_the_broker_does_not_list_stops_the_start(
    build: Build, name: str, text: str, ticker: str
) -> None:
    """It would allow, deny or weigh nothing."""
    with pytest.raises(StartupError) as caught:
        build(**{name: text})
    assert str(caught.value) == f"{name} names {ticker}, which the broker does not list"


def test_an_asset_is_weighed_once(build: Build) -> None:
    """Which of two weights counts would be anybody's guess."""
    with pytest.raises(StartupError, match="WEIGHTS names BTC/USD in two spellings"):
        build(WEIGHTS="BTCUSD:0.2,BTC/USD:0.3")


def test_a_ledger_in_a_file_is_checked_beside_the_service(build: Build, tmp_path: Path) -> None:
    """One in memory, or on a server, has no file that somebody could overwrite."""
    in_file, in_memory = build(f"sqlite:///{tmp_path / 'ledger.db'}"), build()
    names = [{service.name for service in one.services()} for one in (in_file, in_memory)]
    assert names[0] - names[1] == {"ledger-check"}


def test_the_picture_is_taken_once_everything_runs(build: Build, tmp_path: Path) -> None:
    """The first is shown for a second: taken earlier, it would call what comes later dead."""
    for one in (build(f"sqlite:///{tmp_path / 'ledger.db'}"), build()):
        assert one.services()[-1].name == "status"


def test_the_listener_forgets_what_the_publisher_has_acknowledged(build: Build) -> None:
    """It would else hold every entry for ever, and read none again that Redis gives anew."""
    one = build()
    assert one.outcomes.publisher.on_released == one.listening.listener.released
