"""What the service is started with."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.connection import Connection
from signal_generator.launch.account import Account
from signal_generator.launch.options import StackOptions
from signal_generator.launch.service_settings import (
    Names,
    limits_line,
    names_for,
    names_for_simulator,
    rate_limits,
    service_environment,
)
from signal_generator.launch.surroundings import Surroundings
from solution.config import Settings, load_settings

PAPER = "https://paper-api.alpaca.markets"
ALPACA = Connection(key="PKTEST", secret="s3cret")
LOCAL = Connection(
    key="k",
    secret="s",
    trading_url="http://127.0.0.1:9",
    data_url="http://127.0.0.1:9",
    data_stream_url="ws://127.0.0.1:9/v2/iex",
)
NAMES = Names("blocks-1", "blocks-1", "blocks-1-executions")
ACCOUNT = Account("id-1", "PA1")


def options(**changes: Any) -> StackOptions:
    values: dict[str, Any] = {
        "api_key": "PKTEST",
        "secret_key": "s3cret",
        "tickers": ("NVDA", "BTC/USD"),
        "environ": {},
    }
    return StackOptions(**values | changes)


def environment(
    environ: dict[str, str] | None = None,
    dotenv: dict[str, str] | None = None,
    connection: Connection = ALPACA,
    **changes: Any,
) -> dict[str, str]:
    return service_environment(
        options(**changes),
        Surroundings(environ or {}, dotenv or {}),
        connection=connection,
        redis_url="redis://127.0.0.1:1/0",
        names=NAMES,
        folder=Path("/somewhere"),
        since_ms=1_795_203_598_442,
    )


def read(env: dict[str, str]) -> Settings:
    """As the service reads it; it must take every value."""
    return load_settings({}, env, env_file=None)


def test_the_service_takes_all_of_it() -> None:
    """And means what `run_trading` promises."""
    settings = read(environment(session_seconds=7200.4))
    assert settings.redis.streams == ("blocks-1",)
    assert settings.redis.executions_stream == "blocks-1-executions"
    assert settings.orders.time_in_force == "day"
    assert settings.orders.ordering == "asset"
    assert settings.sizing.symbols == ("NVDA", "BTC/USD")
    assert settings.ages.max_queue_wait >= 7200.4
    assert settings.ages.max_signal_age == 60
    assert settings.ages.not_before_ms == 1_795_203_598_442
    assert settings.ledger.path == Path("/somewhere/ledger.db")
    assert not [w for w in settings.warnings if "look like" not in w]  # keys of a test


def test_sizes_are_the_strategys_and_the_account_stays_protected() -> None:
    """No cap on an order or a position; on the account's exposure and its daily loss."""
    settings = read(environment())
    assert settings.sizing.max_position_pct is None
    assert settings.sizing.max_order_notional_pct is None
    assert settings.limits.max_trades_per_day == 0
    assert settings.limits.max_orders_per_minute_per_ticker == 0
    assert settings.limits.max_flips == 0
    assert settings.limits.gross_exposure.fraction == 1
    assert str(settings.limits.max_daily_loss_pct) == "0.05"
    assert settings.gates.allow_short is True


@pytest.mark.parametrize("layer", ["environ", "dotenv"])
def test_what_the_user_sets_stays(layer: str) -> None:
    """In either place; what `.env` says the service reads there by itself."""
    found = environment(**{layer: {"MAX_POSITION_PCT": "0.2", "ORDERING": "none"}})
    assert found.get("MAX_POSITION_PCT", "left to .env") != "0"
    assert found.get("ORDERING", "left to .env") != "asset"
    assert found["MAX_FLIPS"] == "0"


def test_other_names_of_what_is_set_do_not_contradict_it() -> None:
    """The service would refuse two that differ."""
    names = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ALPACA_SECRET_KEY_FILE", "REDIS_URL_FILE")
    settings = read(environment({**dict.fromkeys(names, "/other"), "APCA_API_BASE_URL": PAPER}))
    assert settings.broker.secret.reveal() == "s3cret"


def test_a_simulated_run_reaches_nothing_else() -> None:
    """Whatever is set for Alpaca: address of the events, live flags."""
    live = {
        "ALPACA_STREAM_URL": "wss://api.alpaca.markets/stream",
        "ALPACA_DATA_STREAM_URL": "wss://stream.data.alpaca.markets/v2/sip",
        "ALPACA_PAPER": "false",
        "ALLOW_LIVE_TRADING": "true",
    }
    settings = read(environment(live, connection=LOCAL, use_alpaca=False))
    assert settings.broker.paper
    assert settings.broker.stream_url == "ws://127.0.0.1:9/stream"
    assert settings.broker.data_stream_url == "ws://127.0.0.1:9/v2/iex"


@given(
    per_minute=st.integers(1, 10_000_000),
    window=st.floats(0.1, 3_600),
    url=st.sampled_from([PAPER, "http://127.0.0.1:9"]),
)
def test_the_limit_is_never_above_what_was_asked(per_minute: int, window: float, url: str) -> None:
    """Whatever the broker's headers allow; unlimited only on this machine."""
    found = rate_limits(options(per_minute=per_minute, window_s=window), url)
    begin, ceiling = (int(found[n]) for n in ("RATE_LIMIT_PER_MINUTE", "RATE_LIMIT_CEILING"))
    wanted = max(1.0, per_minute * 60 / window)
    assert ceiling <= wanted
    assert begin <= (ceiling or wanted)
    assert begin > 0 or url != PAPER
    assert ceiling > 0 or wanted > 100_000


@pytest.mark.parametrize(
    ("per_minute", "window", "expected"), [(190, 60, "190"), (40, 10, "240"), (10, 120, "5")]
)
def test_requests_per_interval_become_requests_per_minute(
    per_minute: int, window: float, expected: str
) -> None:
    """`total_allowed_per_min` in each `refill_interval_sec`."""
    found = rate_limits(options(per_minute=per_minute, window_s=window), PAPER)
    assert found["RATE_LIMIT_CEILING"] == expected
    assert found["RATE_LIMIT_PER_MINUTE"] == str(min(200, int(expected)))


def test_each_account_has_names_of_its_own() -> None:
    """The same in every run; what waits for one can never trade on another."""
    nothing = Surroundings({})
    first = names_for(nothing, PAPER, ACCOUNT)
    assert first == names_for(nothing, PAPER, ACCOUNT)
    assert first.stream.startswith("blocks-")
    others = [
        names_for(nothing, "https://api.alpaca.markets", ACCOUNT),
        names_for(nothing, PAPER, Account("id-2", "PA2")),
        names_for_simulator(nothing),
        names_for_simulator(nothing),
    ]
    assert len({name.stream for name in (first, *others)}) == 5
    assert len({name.executions for name in (first, *others)}) == 5


def test_a_group_that_is_set_is_the_users_service() -> None:
    """A dry run has names with a suffix, which the service adds."""
    said = Surroundings({"CONSUMER_GROUP": "mine", "DRY_RUN": "true"})
    names = names_for(said, PAPER, ACCOUNT)
    assert (names.group, names.stream) == ("mine", "blocks")
    assert (names.live_group, names.live_executions) == ("mine-dry-run", "executions-dry-run")


def test_one_line_says_which_limits_count() -> None:
    """With the names to set them by."""
    line = limits_line(Surroundings({"MAX_FLIPS": "9"}, {"MAX_DAILY_LOSS_PCT": "0"}))
    on, off, _ = line.split("; ")
    assert on == "limits: MAX_FLIPS=9, MAX_GROSS_EXPOSURE_PCT=1, ALLOW_SHORT=explicit"
    assert "MAX_DAILY_LOSS_PCT" in off
    assert "MAX_POSITION_PCT" in off
