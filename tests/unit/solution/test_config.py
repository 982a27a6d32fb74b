"""Settings: read from the right place, refused with one clear line, handed out frozen."""

import dataclasses
import re
from decimal import Decimal
from operator import attrgetter
from pathlib import Path

import pytest

from solution.config import (
    OptionInfo,
    Ordering,
    Settings,
    SizingPolicy,
    describe,
    effective,
    load_settings,
)
from solution.config_urls import is_local, is_loopback
from solution.domain.orders import OrderType, TimeInForce
from solution.errors import ConfigError
from solution.security import MASK, Secret

KEYS = {
    "ALPACA_API_KEY": "PKCANARY123456789012",
    "ALPACA_SECRET_KEY": "CanarySecret0123456789012345678901234567",
}


def load(**environ: str) -> Settings:
    """Settings of exactly this environment."""
    return load_settings(environ=environ, env_file=None)


def refusal(**environ: str) -> str:
    """The message this environment is refused with."""
    with pytest.raises(ConfigError) as caught:
        load(**environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def source_of(settings: Settings, name: str) -> str:
    """Where `signalpaca config` says the value came from."""
    return next(row.source for row in effective(settings) if row.name == name)


def value_of(settings: Settings, name: str) -> str:
    """What `signalpaca config` shows."""
    return next(row.value for row in effective(settings) if row.name == name)


# --- defaults and groups -------------------------------------------------------------------------


def test_the_defaults_of_the_broker() -> None:
    """Paper, Alpaca's own hosts, and a stream derived from the trading URL."""
    broker = load().broker
    assert broker.paper
    assert broker.trading_url == "https://paper-api.alpaca.markets"
    assert broker.data_url == "https://data.alpaca.markets"
    assert broker.stream_url == "wss://paper-api.alpaca.markets/stream"
    assert broker.data_stream_url == "wss://stream.data.alpaca.markets/v2/iex"
    assert (broker.data_feed, broker.exclusive_account) == ("iex", False)


def test_the_defaults_of_intake() -> None:
    """Redis, streams and the ledger."""
    settings = load()
    redis = settings.redis
    assert (redis.url, redis.streams) == ("redis://localhost:6379/0", ("nvda",))
    assert (redis.group, redis.executions_stream) == ("solution", "executions")
    assert (redis.executions_maxlen, redis.retention_days) == (100_000, 7)
    assert settings.ledger.path == Path.cwd() / "data/signalpaca.db"
    assert settings.ledger.url == f"sqlite:///{settings.ledger.path}"
    assert not settings.ledger.fsync_before_post
    assert (settings.workers, settings.queue_size) == (4, 10_000)
    assert settings.rate_limit_per_minute == 200


def test_the_defaults_of_orders_and_sizing() -> None:
    """Market IOC, weights, 10 % caps."""
    settings = load()
    orders, sizing = settings.orders, settings.sizing
    assert (orders.order_type, orders.time_in_force) == (OrderType.MARKET, TimeInForce.IOC)
    assert (orders.limit_collar_bps, orders.ordering) == (Decimal(0), Ordering.ASSET)
    assert orders.exit_cancels_resting
    assert orders.resend_unknown
    assert (sizing.policy, sizing.symbols, sizing.weights) == (SizingPolicy.WEIGHT, ("NVDA",), ())
    assert (sizing.qty, sizing.lot, sizing.max_order_qty, sizing.function) == (None,) * 4
    assert (sizing.max_position_pct, sizing.max_order_notional_pct) == (Decimal("0.1"),) * 2
    assert sizing.max_order_notional is None


def test_the_defaults_of_ages_gates_and_logging() -> None:
    """As in the reference."""
    settings = load()
    ages, gates = settings.ages, settings.gates
    assert (ages.max_signal_age, ages.max_queue_wait) == (60.0, 600.0)
    assert (ages.price_poll_interval, ages.max_price_age, ages.max_quote_age) == (1.0, 5.0, 60.0)
    assert gates.allow_short
    assert not (gates.allow_extended_hours or gates.queue_when_closed or gates.kill_switch)
    assert not (gates.dry_run or gates.allowed_symbols or gates.denied_symbols)
    assert gates.kill_switch_file == Path.cwd() / ".kill_switch"
    assert (settings.logging.level, settings.logging.dir) == ("INFO", Path.cwd() / "logs")
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("environ", "paths", "expected"),
    [
        ({"WORKERS": "8"}, "workers", 8),
        ({"QUEUE_SIZE": " 5 "}, "queue_size", 5),
        ({"STREAMS": "a, b"}, "redis.streams", ("a", "b")),
        ({"SYMBOLS": "nvda,BRK.B,btc/usd,NVDA"}, "sizing.symbols", ("NVDA", "BRK.B", "BTC/USD")),
        (
            {"WEIGHTS": "nvda:0.3, BTC/USD:.7"},
            "sizing.weights",
            (("NVDA", Decimal("0.3")), ("BTC/USD", Decimal("0.7"))),
        ),
        ({"DENIED_SYMBOLS": "GME"}, "gates.denied_symbols", {"GME"}),
        ({"ALLOWED_SYMBOLS": "GME"}, "gates.allowed_symbols", {"GME"}),
        ({"SIZING": "fixed_qty", "QTY": "2.5"}, "sizing.qty", Decimal("2.5")),
        ({"SIZING": "fixed_notional", "LOT": "2000"}, "sizing.lot", Decimal(2000)),
        (
            {"SIZING": "my.sizes:size"},
            "sizing.policy sizing.function",
            (SizingPolicy.CUSTOM, "my.sizes:size"),
        ),
        ({"MAX_POSITION_PCT": "0"}, "sizing.max_position_pct", None),
        ({"MAX_ORDER_QTY": "100"}, "sizing.max_order_qty", Decimal(100)),
        ({"MAX_ORDER_QTY": "0"}, "sizing.max_order_qty", None),
        (
            {"MAX_ORDER_NOTIONAL": "5000"},
            "sizing.max_order_notional sizing.max_order_notional_pct",
            (Decimal(5000), None),
        ),
        (
            {"MAX_ORDER_NOTIONAL": "25 %"},
            "sizing.max_order_notional sizing.max_order_notional_pct",
            (None, Decimal("0.25")),
        ),
        (
            {"MAX_ORDER_NOTIONAL": "0"},
            "sizing.max_order_notional sizing.max_order_notional_pct",
            (None, None),
        ),
        ({"ALLOW_SHORT": "false"}, "gates.allow_short", False),
        ({"RESEND_UNKNOWN": "off"}, "orders.resend_unknown", False),
        ({"ORDERING": "None"}, "orders.ordering", Ordering.NONE),
        (
            {"ORDER_TYPE": "limit", "LIMIT_COLLAR_BPS": "7.5"},
            "orders.order_type orders.limit_collar_bps",
            (OrderType.LIMIT, Decimal("7.5")),
        ),
        ({"TIME_IN_FORCE": "DAY"}, "orders.time_in_force", TimeInForce.DAY),
        ({"MAX_QUOTE_AGE": "0"}, "ages.max_quote_age", 0.0),
        ({"MAX_SIGNAL_AGE": "1.5"}, "ages.max_signal_age", 1.5),
        ({"LOG_LEVEL": "debug"}, "logging.level", "DEBUG"),
        ({"LOG_DIR": ""}, "logging.dir", None),
        ({"LOG_DIR": "/var/log/../x"}, "logging.dir", Path("/var/x")),
        ({"NO_COLOR": "1"}, "logging.color", False),
        ({"TERM": "dumb"}, "logging.color", False),
        ({"INSTANCE_NAME": "one"}, "instance", "one"),
        ({"KILL_SWITCH_FILE": "~/stop"}, "gates.kill_switch_file", Path.home() / "stop"),
        ({"LEDGER_URL": "sqlite:////a/b.db"}, "ledger.path", Path("/a/b.db")),
        ({"REDIS_URL": "unix:///run/redis.sock?db=1"}, "redis.url", "unix:///run/redis.sock?db=1"),
        (
            {"REDIS_URL": "rediss://u:p@h/1?ssl_ca_certs=/ca"},
            "redis.shown_url",
            f"rediss://u:{MASK}@h/1?ssl_ca_certs=/ca",
        ),
        ({"DATA_FEED": "sip"}, "broker.data_stream_url", "wss://stream.data.alpaca.markets/v2/sip"),
    ],
)
def test_a_setting_reaches_its_group(environ: dict[str, str], paths: str, expected: object) -> None:
    """The text becomes a value of the right type, in the group of whoever needs it."""
    assert attrgetter(*paths.split())(load(**environ)) == expected


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "Yes", "on"])
def test_what_counts_as_true(text: str) -> None:
    """Four words, in any case."""
    assert load(DRY_RUN=text).gates.dry_run


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "OFF", ""])
def test_what_counts_as_false(text: str) -> None:
    """Four words, and the default for an empty value."""
    assert not load(DRY_RUN=text).gates.dry_run


def test_settings_cannot_be_changed() -> None:
    """Neither the whole nor a group."""
    settings = load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.workers = 5  # type: ignore[misc]  # that is the point
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.broker.paper = False  # type: ignore[misc]  # likewise


def test_a_local_exchange_derives_every_address_from_two() -> None:
    """The dashboard's /v2 and a trailing slash are taken off."""
    broker = load(
        ALPACA_TRADING_URL="http://127.0.0.1:8081/v2/", ALPACA_DATA_URL="http://[::1]:1/"
    ).broker
    assert broker.trading_url == "http://127.0.0.1:8081"
    assert broker.stream_url == "ws://127.0.0.1:8081/stream"
    assert broker.data_url == "http://[::1]:1"
    assert broker.data_stream_url == "ws://[::1]:1/v2/iex"


def test_websocket_addresses_may_be_given() -> None:
    """Whole, not as a base."""
    broker = load(
        ALPACA_TRADING_URL="http://h:3",
        ALPACA_STREAM_URL="ws://h:1/s",
        ALPACA_DATA_STREAM_URL="ws://h:2/v2",
    ).broker
    assert (broker.stream_url, broker.data_stream_url) == ("ws://h:1/s", "ws://h:2/v2")


def test_a_dry_run_has_a_group_and_a_ledger_of_its_own() -> None:
    """Its rows and acknowledgements must not tell the real service that a signal is done."""
    settings = load(DRY_RUN="true")
    assert settings.redis.group == "solution-dry-run"
    assert settings.ledger.path.name == "signalpaca-dry-run.db"
    assert value_of(settings, "CONSUMER_GROUP") == "solution-dry-run"


def test_the_instance_is_named_after_its_host() -> None:
    """In characters that fit a Redis key."""
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,48}", load().instance)


# --- where values come from ----------------------------------------------------------------------


def test_options_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    """And `signalpaca config` says which it was."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("WORKERS=2\nQUEUE_SIZE=2\nSTREAMS=two\n")
    environ = {"WORKERS": "3", "QUEUE_SIZE": "3"}
    settings = load_settings({"WORKERS": "4"}, environ, str(dotenv))
    assert (settings.workers, settings.queue_size, settings.redis.streams) == (4, 3, ("two",))
    names = ("WORKERS", "QUEUE_SIZE", "STREAMS", "DRY_RUN")
    assert [source_of(settings, name) for name in names] == ["option", "env", ".env", "default"]


def test_the_process_environment_and_working_directory_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments, as the service does it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKERS", "7")
    Path(".env").write_text("QUEUE_SIZE=9\n")
    settings = load_settings()
    assert (settings.workers, settings.queue_size) == (7, 9)


def test_a_missing_dotenv_is_fine(tmp_path: Path) -> None:
    """Most containers have none."""
    assert load_settings(environ={}, env_file=str(tmp_path / "none")).workers == 4


def test_dotenv_values_are_literal(tmp_path: Path) -> None:
    """Quotes and export are understood, `${…}` is not: a password may hold a dollar."""
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "\ufeff# note\nexport STREAMS='a,b'\nREDIS_URL=\"redis://:${HOME}@h/0\"\nNAME\n"
    )
    settings = load_settings(environ={}, env_file=str(dotenv))
    assert settings.redis.streams == ("a", "b")
    assert settings.redis.url == "redis://:${HOME}@h/0"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"A='open\n", "line 1: not NAME=value"), (b"\xff", "not UTF-8 text")],
)
def test_a_broken_dotenv_stops_the_start(tmp_path: Path, content: bytes, words: str) -> None:
    """A line that is skipped in silence is a setting that is not in force."""
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_settings(environ={}, env_file=str(dotenv))


def test_a_dotenv_that_is_a_directory_stops_the_start(tmp_path: Path) -> None:
    """Docker makes one where a file to be mounted is missing."""
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load_settings(environ={}, env_file=str(tmp_path))


def test_an_unknown_option_is_refused() -> None:
    """An option comes from our own command line, so it is a mistake of ours."""
    with pytest.raises(ConfigError, match="NO_SUCH is not a setting"):
        load_settings({"NO_SUCH": "1"}, {}, None)


def test_aliases_are_read() -> None:
    """What users of Alpaca's own clients have in their environment."""
    settings = load(
        APCA_API_KEY_ID="PKX", APCA_API_SECRET_KEY="s", APCA_API_BASE_URL="http://localhost:1",
        APCA_API_DATA_URL="http://localhost:2",
    )  # fmt: skip
    broker = settings.broker
    assert (broker.key_id, broker.secret) == ("PKX", Secret("s"))
    assert (broker.trading_url, broker.data_url) == ("http://localhost:1", "http://localhost:2")


def test_two_names_of_one_setting_must_agree() -> None:
    """Guessing which one is stale could trade on the wrong account."""
    assert load(ALPACA_API_KEY="PKA", APCA_API_KEY_ID="PKA").broker.key_id == "PKA"
    message = refusal(ALPACA_API_KEY="PKA", APCA_API_KEY_ID="PKB")
    assert (
        message == "ALPACA_API_KEY and APCA_API_KEY_ID mean the same setting and differ; keep one"
    )


# --- secrets -------------------------------------------------------------------------------------


def write_secret(tmp_path: Path, text: str = "from-file", mode: int = 0o600) -> str:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("name", ["ALPACA_SECRET_KEY_FILE", "APCA_API_SECRET_KEY_FILE"])
def test_a_secret_comes_out_of_a_file(tmp_path: Path, name: str) -> None:
    """Under either name, and the source says so."""
    settings = load(**{name: write_secret(tmp_path, "from-file\n")})
    assert settings.broker.secret == Secret("from-file")
    assert source_of(settings, "ALPACA_SECRET_KEY") == "file"


def test_every_secret_has_a_file_form(tmp_path: Path) -> None:
    """Addresses too, for they may hold a password."""
    path = write_secret(tmp_path, "redis://:canary@h/0")
    assert load(REDIS_URL_FILE=path).redis.url == "redis://:canary@h/0"


def test_a_world_readable_secret_is_refused(tmp_path: Path) -> None:
    """The message names the variable and the way out."""
    path = write_secret(tmp_path, mode=0o644)
    assert "chmod 600" in refusal(ALPACA_SECRET_KEY_FILE=path)


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    """In one place or in two."""
    path = write_secret(tmp_path)
    both = "ALPACA_SECRET_KEY and ALPACA_SECRET_KEY_FILE are both set; keep one"
    assert refusal(ALPACA_SECRET_KEY="x", ALPACA_SECRET_KEY_FILE=path) == both
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"ALPACA_SECRET_KEY_FILE={path}\n")
    with pytest.raises(ConfigError, match=both):
        load_settings(environ={"ALPACA_SECRET_KEY": "x"}, env_file=str(dotenv))


def test_an_option_wins_over_a_secret_file(tmp_path: Path) -> None:
    """What somebody types is what they mean."""
    path = write_secret(tmp_path, "redis://file/0")
    settings = load_settings({"REDIS_URL": "redis://typed/0"}, {"REDIS_URL_FILE": path}, None)
    assert settings.redis.url == "redis://typed/0"


@pytest.mark.parametrize(
    "environ",
    [
        {"ALPACA_SECRET_KEY": "canary with space"},
        {"ALPACA_API_KEY": "canary\nX: y"},
        {"REDIS_URL": "redis://u:canary@h:port/0"},
        {"REDIS_URL": "redis://u:canary/x:canary@h/0"},
        {"REDIS_URL": "redis+sentinel://u:canary@h1,h2/n/0?sentinel_password=canary&db=1"},
        {"LEDGER_URL": "postgresql://u:canary@h/"},
        {"LEDGER_URL": "mysql://u:canary@h/db"},
        {"ALPACA_TRADING_URL": "http://u:canary@h"},
        {"SIGNAL_HMAC_KEYS": "canary"},
    ],
)
def test_no_message_shows_a_secret(environ: dict[str, str]) -> None:
    """The variable is named; the value, or a piece of it, is not there."""
    message = refusal(**environ)
    assert "canary" not in message
    assert next(iter(environ)) in message


def test_nothing_shows_the_secrets() -> None:
    """Neither reprs of the settings nor `signalpaca config`."""
    settings = load(**KEYS, REDIS_URL="redis://u:canary-pw@h/0")
    said = repr(settings) + repr(effective(settings))
    hidden = [secret.reveal() for secret in settings.secrets]
    assert hidden == [*KEYS.values(), "canary-pw"]
    assert [value for value in hidden if value in said] == []
    assert value_of(settings, "REDIS_URL") == f"redis://u:{MASK}@h/0"
    assert value_of(settings, "ALPACA_SECRET_KEY") == MASK


def test_signing_keys_are_secrets(tmp_path: Path) -> None:
    """All of them, the producer's own too; from a file as well. None is shown."""
    one, two, own = "a" * 32, "b" * 32, "c" * 32
    path = write_secret(tmp_path, f"k1:{one};symbols=NVDA\nk2:{two}\n")
    settings = load(SIGNAL_HMAC_KEYS_FILE=path, SIGNAL_HMAC_KEY=f"k1:{own}")
    assert {one, two, own} <= {secret.reveal() for secret in settings.secrets}
    said = repr(settings) + repr(effective(settings))
    assert [value for value in (one, two, own) if value in said] == []
    assert value_of(settings, "SIGNAL_HMAC_KEYS") == MASK
    assert settings.intake.verifier()
    assert not load().intake.verifier()


def test_both_passwords_of_a_sentinel_url_are_secrets() -> None:
    """The data nodes' and the Sentinels' own, decoded; neither is shown."""
    settings = load(REDIS_URL="redis+sentinel://:c1@h1,h2/m?sentinel_password=c%2F2")
    assert [secret.reveal() for secret in settings.secrets] == ["c1", "c/2"]
    assert settings.redis.shown_url == f"redis+sentinel://:{MASK}@h1,h2/m?sentinel_password={MASK}"


def test_require_keys_names_both_variables() -> None:
    """Either is useless without the other."""
    load(**KEYS).require_keys()
    with pytest.raises(ConfigError, match="ALPACA_API_KEY and ALPACA_SECRET_KEY must both be set"):
        load(ALPACA_API_KEY="PKX").require_keys()


# --- the reference -------------------------------------------------------------------------------


def test_every_setting_is_described() -> None:
    """Name, description, what is allowed; and effective() lists the same."""
    names = [option.name for option in describe()]
    assert len(set(names)) == len(names)
    assert [row.name for row in effective(load())] == names
    assert all(option.description.endswith(".") and option.allowed for option in describe())


@pytest.mark.parametrize("option", [option for option in describe() if option.default])
def test_a_documented_default_is_a_value_one_may_set(option: OptionInfo) -> None:
    """Written out, it changes nothing."""
    changed = dataclasses.replace(load(**{option.name: option.default}), warnings=(), rows=())
    assert changed == dataclasses.replace(load(), rows=())


@pytest.mark.parametrize(
    ("host", "loopback", "local"),
    [
        ("localhost", True, True),
        ("127.9.9.9", True, True),
        ("::1", True, True),
        ("10.0.0.1", False, True),
        ("exchange", False, True),
        ("host.internal", False, True),
        ("8.8.8.8", False, False),
        ("localhost.example.com", False, False),
    ],
)
def test_hosts(host: str, loopback: bool, local: bool) -> None:
    """This machine, a private network, or the world."""
    assert (is_loopback(host), is_local(host)) == (loopback, local)
