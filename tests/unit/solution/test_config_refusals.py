"""What is refused in one clear line, and what is only warned about."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.config import (
    OptionInfo,
    Settings,
    _open_dotenv,
    describe,
    effective,
    load_settings,
)
from solution.config_sources import DOTENV, Given
from solution.errors import ConfigError

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


def value_of(settings: Settings, name: str) -> str:
    """What `signalpaca config` shows."""
    return next(row.value for row in effective(settings) if row.name == name)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("WORKERS", "0", "a whole number from 1 to 256"),
        ("WORKERS", "257", "a whole number from 1 to 256"),
        ("WORKERS", "4.0", "a whole number from 1 to 256"),
        ("WORKERS", "four", "a whole number from 1 to 256"),
        ("DRY_RUN", "maybe", "true or false"),
        ("ORDER_TYPE", "stop", "one of market, limit"),
        ("TIME_IN_FORCE", "ever", "one of day, gtc, ioc, fok, opg, cls"),
        ("LIMIT_COLLAR_BPS", "-1", "a number from 0 to 5000"),
        ("LIMIT_COLLAR_BPS", "5001", "a number from 0 to 5000"),
        ("MAX_SIGNAL_AGE", "nan", "seconds from 0.1 to 604800"),
        ("MAX_SIGNAL_AGE", "0", "seconds from 0.1 to 604800"),
        ("MAX_POSITION_PCT", "10", "a fraction of equity from 0 to 1 (0.10 = 10 %), 0 = none"),
        ("MAX_ORDER_NOTIONAL", "1e9", "an amount, or a percentage of equity (10%), 0 = no limit"),
        ("MAX_ORDER_NOTIONAL", "101%", "an amount, or a percentage of equity (10%), 0 = no limit"),
        ("MAX_ORDER_QTY", "inf", "an amount, 0 = no limit"),
        ("QTY", "0", "a number above 0"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        ("EXECUTIONS_STREAM", "a b", "a stream name: printable ASCII, without spaces and commas"),
        ("STREAMS", "a b", "stream names (printable ASCII, without spaces) separated by commas"),
        ("CONSUMER_GROUP", "a/b", "1 to 64 letters, digits, '_', '.', ':' or '-'"),
        ("SIZING", "weights", "module:function"),
        ("SIZING", "a-b:c", "module:function"),
        ("LEDGER_URL", "sqlite://", "or postgresql://USER:PASSWORD@HOST/DATABASE"),
        ("LEDGER_URL", "sqlite:///x?mode=ro", "or postgresql://USER:PASSWORD@HOST/DATABASE"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(name: str, text: str, allowed: str) -> None:
    """The variable, the value, what is allowed."""
    message = refusal(**{name: text})
    assert message.startswith(f"{name}='{text}' is not allowed")
    assert message.endswith(allowed)


def test_a_short_key_of_commands_is_refused_and_not_shown() -> None:
    """Whoever guesses it resumes and flattens; no words about somebody else's dashboard."""
    message = refusal(CONTROL_HMAC_KEY="hunter2")
    assert message.startswith("CONTROL_HMAC_KEY")
    assert "fewer than 32 characters" in message
    assert "hunter2" not in message
    assert "Alpaca" not in message


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("WEIGHTS", "NVDA:0.6,AAPL:0.6", "the weights add up to 1.2, more than 1"),
        ("WEIGHTS", "NVDA:0.1,nvda:0.1", "NVDA is listed twice"),
        ("WEIGHTS", "NVDA:0", "the weight of NVDA is not above 0 and at most 1"),
        ("SYMBOLS", "NVDA,$$", "symbols look like NVDA, BRK.B or BTC/USD"),
        ("SYMBOLS", "NVDA,", "an item is empty"),
        ("STREAMS", "a,b,a", "a stream is named twice"),
        ("ALLOW_SHORT", "true", "a bare sell never opens a short"),
        ("LEDGER_URL", "sqlite:///:memory:", "a ledger in memory forgets which orders were sent"),
        ("LEDGER_URL", "sqlite:///a\nb", "it holds a control character"),
        ("LOG_DIR", "~nobody-here/x", "it names the home directory of nobody here"),
        ("REDIS_URL", "http://h", "it must start with redis:// or rediss://"),
        ("REDIS_URL", "redis://h/zero", "the path is a database number"),
        ("REDIS_URL", "redis://h/0?decode_responses=1", "only ssl_… parameters are accepted"),
        ("REDIS_URL", "redis:///0", "it names no host"),
        ("ALPACA_DATA_URL", "ftp://h", "it must start with https:// or http://"),
        ("ALPACA_DATA_URL", "http://h?x", "user, query and fragment have no place in it"),
        ("ALPACA_DATA_URL", "http://h\\@x", "it holds a space, a backslash"),
        ("ALPACA_DATA_URL", "http://ａpi.alpaca.markets", "not ASCII"),
        ("ALPACA_DATA_URL", "http://[::1", "it is not a valid URL"),
    ],
)
def test_a_refusal_gives_its_reason(name: str, text: str, reason: str) -> None:
    """Where the list of what is allowed does not say it."""
    assert reason in refusal(**{name: text})


def test_the_first_error_is_reported_and_no_other() -> None:
    """In the order of the reference."""
    assert refusal(SYMBOLS="$", WORKERS="x").startswith("WORKERS=")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"STREAMS": "a,executions"}, "STREAMS contains the EXECUTIONS_STREAM 'executions'"),
        (
            {"DRY_RUN": "true", "STREAMS": "executions-dry-run"},
            "STREAMS contains the EXECUTIONS_STREAM 'executions-dry-run'",
        ),
        ({"DRY_RUN": "true", "STREAMS": "executions"}, "STREAMS contains the EXECUTIONS_STREAM"),
        ({"STREAMS": "a,b", "CONTROL_STREAM": "b"}, "STREAMS contains the CONTROL_STREAM 'b'"),
        (
            {"DRY_RUN": "true", "STREAMS": "a,b-dry-run", "CONTROL_STREAM": "b"},
            "STREAMS contains the CONTROL_STREAM 'b-dry-run'",
        ),
        (
            {"STREAMS": "signalpaca:control:solution"},
            "STREAMS contains the CONTROL_STREAM 'signalpaca:control:solution'",
        ),
        (
            {"CONTROL_STREAM": "executions"},
            "CONTROL_STREAM and EXECUTIONS_STREAM are both 'executions'",
        ),
        (
            {"DRY_RUN": "true", "CONTROL_STREAM": "executions"},
            "CONTROL_STREAM and EXECUTIONS_STREAM are both 'executions-dry-run'",
        ),
        ({"ORDER_TYPE": "limit"}, "ORDER_TYPE=limit needs LIMIT_COLLAR_BPS above 0"),
        ({"SIZING": "fixed_qty"}, "SIZING=fixed_qty needs QTY"),
        ({"SIZING": "fixed_notional"}, "SIZING=fixed_notional needs LOT"),
        ({"SIZING": "position_pct", "MAX_POSITION_PCT": "0"}, "needs MAX_POSITION_PCT above 0"),
        ({"RATE_LIMIT_PER_MINUTE": "0"}, "RATE_LIMIT_PER_MINUTE=0 (unlimited) is only for"),
        (
            {"ALPACA_TRADING_URL": "http://paper-api.alpaca.markets"},
            "the keys to Alpaca unencrypted",
        ),
        ({"ALPACA_DATA_URL": "http://data.alpaca.markets"}, "the keys to Alpaca unencrypted"),
    ],
)
def test_settings_that_do_not_go_together(environ: dict[str, str], message: str) -> None:
    """Both are named."""
    assert message in refusal(**environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_rate_limit_on_this_machine(host: str) -> None:
    """For benchmarks against a local exchange."""
    url = f"http://{host}:8081"
    assert load(RATE_LIMIT_PER_MINUTE="0", ALPACA_TRADING_URL=url).rate_limit_per_minute == 0


LIVE = {"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}
LIVE_KEY = "AKCANARY123456789012"
LIVE_URL, PAPER_URL = "https://api.alpaca.markets", "https://paper-api.alpaca.markets"
TAKES_BOTH = (
    "live trading needs ALPACA_PAPER=false and ALLOW_LIVE_TRADING=true, paper trading neither"
)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"ALPACA_PAPER": "false"},
            f"ALPACA_PAPER=false and ALLOW_LIVE_TRADING=false disagree: {TAKES_BOTH}",
        ),
        (
            {"ALLOW_LIVE_TRADING": "true"},
            f"ALPACA_PAPER=true and ALLOW_LIVE_TRADING=true disagree: {TAKES_BOTH}",
        ),
        (
            {"ALPACA_TRADING_URL": "https://API.Alpaca.Markets./v2"},
            (
                "ALPACA_PAPER=true and ALPACA_TRADING_URL=https://API.Alpaca.Markets. disagree: "
                "that is Alpaca's live host"
            ),
        ),
        (
            {"APCA_API_BASE_URL": LIVE_URL},
            (
                f"ALPACA_PAPER=true and APCA_API_BASE_URL={LIVE_URL} disagree: "
                "that is Alpaca's live host"
            ),
        ),
        (
            {**LIVE, "ALPACA_TRADING_URL": PAPER_URL},
            (
                f"ALPACA_PAPER=false and ALPACA_TRADING_URL={PAPER_URL} disagree: "
                "that is Alpaca's paper host"
            ),
        ),
        (
            {"ALPACA_TRADING_URL": "https://broker-api.alpaca.markets:443"},
            (
                "ALPACA_TRADING_URL=https://broker-api.alpaca.markets:443: Alpaca takes orders at "
                f"{PAPER_URL} (paper) and {LIVE_URL} (live) only"
            ),
        ),
        (
            {**LIVE, "ALPACA_API_KEY": KEYS["ALPACA_API_KEY"]},
            f"ALPACA_API_KEY is the key id of a paper account, {LIVE_URL} is the live host",
        ),
        (
            {"APCA_API_KEY_ID": LIVE_KEY},
            f"APCA_API_KEY_ID is the key id of a live account, {PAPER_URL} is the paper host",
        ),
        (
            {**LIVE, "ALPACA_API_KEY": "CKCANARY123456789012"},
            f"ALPACA_API_KEY is not the key id of a live account: at {LIVE_URL} it begins AK",
        ),
        (
            {"ALPACA_STREAM_URL": "wss://api.alpaca.markets/stream"},
            (
                "ALPACA_STREAM_URL=wss://api.alpaca.markets/stream and "
                f"ALPACA_TRADING_URL={PAPER_URL} disagree: the events of one account's orders "
                "would be taken for another's"
            ),
        ),
    ],
)
def test_what_says_paper_and_what_says_live_must_agree(
    environ: dict[str, str], message: str
) -> None:
    """Flag, flag, host, key and stream: each disagreement in one line, by the names used."""
    said = refusal(**environ)
    assert said == message
    assert "CANARY" not in said


def test_live_settings_that_agree_are_taken() -> None:
    """The addresses follow from the flag; an unknown answer is not asked for twice."""
    live = load(**LIVE, ALPACA_API_KEY=LIVE_KEY, LIVE_TRADING_ACKNOWLEDGED="123456789")
    assert live.broker.trading_url == LIVE_URL
    assert live.broker.stream_url == "wss://api.alpaca.markets/stream"
    assert (live.broker.paper, live.broker.acknowledged) == (False, "123456789")
    assert live.orders.resend_unknown is False
    assert load(**LIVE).broker.key_id == ""  # commands that ask nobody need no key


@settings(deadline=None, derandomize=True)
@given(
    paper=st.booleans(),
    allow=st.booleans(),
    key=st.sampled_from(("PK", "AK", "CK", "ak", "")),
    host=st.sampled_from(("", "api", "paper-api", "API", "broker-api", "data")),
    stream=st.sampled_from(("", "api", "paper-api")),
)
def test_no_mixture_of_paper_and_live_is_taken(
    paper: bool, allow: bool, key: str, host: str, stream: str
) -> None:
    """At Alpaca's hosts, what loads is wholly paper or wholly live."""
    environ = {
        "ALPACA_PAPER": str(paper),
        "ALLOW_LIVE_TRADING": str(allow),
        "ALPACA_API_KEY": key and f"{key}CANARY123456789012",
        "ALPACA_TRADING_URL": host and f"https://{host}.alpaca.markets",
        "ALPACA_STREAM_URL": stream and f"wss://{stream}.alpaca.markets/stream",
    }
    try:
        loaded = load(**environ)
    except ConfigError:
        return
    assert loaded.broker.paper is paper is not allow
    assert host in {"", "api" if not paper else "paper-api", "API" if not paper else "paper-api"}
    assert stream in {"", "paper-api" if paper else "api"}
    assert key in ({"PK", "CK", ""} if paper else {"AK", "ak", ""})


def test_another_server_takes_any_key() -> None:
    """It is neither paper nor live by its name, and live only when ALPACA_PAPER says so."""
    url = "http://127.0.0.1:8787"
    for key in ("AKCANARY123456789012", "PKCANARY123456789012", "any"):
        assert load(ALPACA_TRADING_URL=url, ALPACA_API_KEY=key).broker.paper
        assert not load(**LIVE, ALPACA_TRADING_URL=url, ALPACA_API_KEY=key).broker.paper


def test_unbuilt_options_that_are_empty_are_unset() -> None:
    """Compose passes on the variables that nobody set."""
    assert load(**{option.name: "" for option in describe() if option.missing}).warnings == ()


def test_the_default_of_an_unbuilt_option_is_off() -> None:
    """The reference must not show a limit that does not hold."""
    assert not any(option.parse(option.default) for option in describe() if option.missing)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(describe()), st.text(max_size=30))
def test_any_text_loads_or_is_refused_in_one_line(option: OptionInfo, text: str) -> None:
    """No text of any setting ends in another exception, or in more than one line."""
    try:
        load(**{option.name: text})
    except ConfigError as error:
        said = str(error)
        assert option.name in said
        assert said.isprintable()


# --- warnings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        ({"WORKER": "8"}, "WORKER in the environment is not a setting; did you mean WORKERS?"),
        ({"workers": "8"}, "workers in the environment is not a setting; did you mean WORKERS?"),
        ({"REDIS_URI": "x"}, "did you mean REDIS_URL?"),
        ({"ALPACA_SECRET": "x"}, "did you mean ALPACA_SECRET_KEY?"),
        ({"QTY": "1"}, "QTY has no effect: it belongs to SIZING=fixed_qty"),
        ({"PRICE_POLL_INTERVAL": "10"}, "MAX_PRICE_AGE is below PRICE_POLL_INTERVAL"),
        (
            {"ALPACA_TRADING_URL": "http://broker.example.com"},
            "the keys travel unencrypted to http",
        ),
        (
            {"ALPACA_API_KEY": "AKcanary", "ALPACA_TRADING_URL": "http://127.0.0.1:1"},
            "ALPACA_API_KEY looks like a live key, and 127.0.0.1 is not Alpaca's: whoever forwards",
        ),
        ({"ALPACA_API_KEY": "canary"}, "ALPACA_API_KEY does not look like a key id"),
        ({"ALPACA_SECRET_KEY": "canary"}, "ALPACA_SECRET_KEY does not look like"),
    ],
)
def test_what_is_probably_a_mistake_is_a_warning(environ: dict[str, str], warning: str) -> None:
    """The start goes on, and no value of a secret is repeated."""
    said = "\n".join(load(**environ).warnings)
    assert warning in said
    assert "canary" not in said


@pytest.mark.parametrize(
    "environ",
    [
        {"PATH": "/bin", "HOME": "/root", "LANG": "C", "REDIS_HOST": "h", "FOO": "1"},
        {"ALPACA_TRADING_URL": "http://exchange:8081", "ALPACA_API_KEY": "test"},
        KEYS,
        {"WEIGHTS": "NVDA:1", "SIZING": "weight"},
    ],
)
def test_what_is_no_mistake_is_no_warning(environ: dict[str, str]) -> None:
    """A warning that is always there is not read."""
    assert load(**environ).warnings == ()


def test_a_near_miss_in_dotenv_names_the_file(tmp_path: Path) -> None:
    """Unknown names as such are fine there: Compose reads it too."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("COMPOSE_PROJECT_NAME=x\nDRYRUN=1\n")
    warnings = load_settings(environ={}, env_file=str(dotenv)).warnings
    assert warnings == (f"DRYRUN in {dotenv} is not a setting; did you mean DRY_RUN?",)


@pytest.mark.parametrize(("mode", "count"), [(0o644, 1), (0o602, 1), (0o640, 0), (0o600, 0)])
def test_secrets_in_a_readable_dotenv_are_a_warning(tmp_path: Path, mode: int, count: int) -> None:
    """Not an error: it is how every tutorial does it."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("REDIS_URL=redis://:canary@h/0\n")
    dotenv.chmod(mode)
    warnings = load_settings(environ={}, env_file=str(dotenv)).warnings
    assert len([text for text in warnings if "chmod 600" in text]) == count


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_of_a_live_account_they_stop_the_start(tmp_path: Path, mode: int) -> None:
    """There it is money; with the mode put right it starts."""
    dotenv = tmp_path / ".env"
    dotenv.touch()
    dotenv.chmod(mode)
    given = [Given("canary", "ALPACA_SECRET_KEY", DOTENV)]
    with pytest.raises(
        ConfigError, match=r"chmod 600 it; with ALPACA_PAPER=false the start stops$"
    ):
        _open_dotenv(given, str(dotenv), paper=False)
    dotenv.chmod(0o640)
    assert _open_dotenv(given, str(dotenv), paper=False) == []
