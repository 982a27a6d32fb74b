"""What the chosen mode needs: each line passes, warns or fails for its own reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from solution.commands import preconditions
from solution.commands.preconditions import LIMITS, OFF_BY_DEFAULT
from solution.commands.results import Level, Result
from solution.config import Settings, load_settings
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.clocks import ManualClock

LIVE = {"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}
LIVE_KEY, PAPER_KEY = "AK0123456789ABCDEF", "PK0123456789ABCDEF"
LOCAL = "http://127.0.0.1:8787"
ACCOUNT = {
    "id": "a-1",
    "account_number": "123456789",
    "equity": "5000",
    "shorting_enabled": True,
    "status": "ACTIVE",
}


def settings(**environ: str) -> Settings:
    """Settings of exactly this environment, without a log."""
    return load_settings(environ={"LOG_DIR": "", **environ}, env_file=None)


def named(results: Any, name: str) -> list[tuple[Level, str]]:
    """Level and words of every line of this name."""
    return [(r.level, r.detail) for r in results if r.name == name]


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    """In a file of its own."""
    return SqliteLedger(f"sqlite:///{tmp_path}/ledger.db")


def url_of(tmp_path: Path) -> dict[str, str]:
    """The setting that names that file."""
    return {"LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db"}


@pytest.mark.parametrize(
    ("environ", "level", "said"),
    [
        (
            {"ALPACA_API_KEY": PAPER_KEY},
            Level.OK,
            "ALPACA_PAPER=true, Alpaca's paper host, the key id of a paper account",
        ),
        (
            {"ALPACA_API_KEY": "CK0123456789ABCDEF"},
            Level.WARNING,
            "ALPACA_PAPER=true, Alpaca's paper host, a key id that does not tell its account",
        ),
        (
            {**LIVE, "ALPACA_API_KEY": LIVE_KEY},
            Level.OK,
            (
                "REAL MONEY: ALPACA_PAPER=false and ALLOW_LIVE_TRADING=true, Alpaca's live host, "
                "the key id of a live account"
            ),
        ),
        (
            {"ALPACA_TRADING_URL": LOCAL, "ALPACA_API_KEY": "any"},
            Level.OK,
            (
                "ALPACA_PAPER=true, another server than Alpaca's, "
                "a key id that does not tell its account"
            ),
        ),
    ],
)
def test_the_mode_in_words(environ: dict[str, str], level: Level, said: str) -> None:
    """Flags, host and key, whose agreement was checked before."""
    found = preconditions.of_settings(settings(**environ))
    assert named(found, "mode") == [(level, said)]


@pytest.mark.parametrize("name", [n for n in LIMITS if n != "CIRCUIT_BREAKER_FAILURES"])
def test_each_limit_that_is_off_is_a_warning_on_live(name: str) -> None:
    """By its name; on paper it is information."""
    lines = named(preconditions.of_settings(settings(**LIVE, **{name: "0"})), "limits")
    assert (Level.WARNING, f"{name} is off") in lines
    paper = named(preconditions.of_settings(settings(**{name: "0"})), "limits")
    assert [level for level, _ in paper] == [Level.INFO]
    assert name in paper[0][1]


def test_limits_as_they_ship_warn_of_nothing_that_is_built() -> None:
    """Those that are off by default are named once."""
    lines = named(preconditions.of_settings(settings(**LIVE)), "limits")
    assert {said for level, said in lines if level is Level.WARNING} <= {
        "CIRCUIT_BREAKER_FAILURES is off"  # until it is built
    }
    assert lines[-1][0] is Level.INFO
    assert all(name in lines[-1][1] for name in OFF_BY_DEFAULT)


@pytest.mark.parametrize(
    ("value", "on"),
    [("0", False), ("0.00", False), ("0%", False), ("–", False), ("", False), ("10%", True)],
)
def test_when_a_limit_is_on(value: str, on: bool) -> None:
    """As `signalpaca config` shows it."""
    assert preconditions._is_on(value) is on


def test_what_only_live_is_warned_of() -> None:
    """Sending again, an open link to Redis, unsigned signals."""
    risky = {"RESEND_UNKNOWN": "true", "REDIS_URL": "redis://redis.example.com:6379/0"}
    live = {r.name: r.level for r in preconditions.of_settings(settings(**LIVE, **risky))}
    assert live["resend"] is Level.WARNING
    assert live["redis link"] is Level.WARNING
    assert live["signed intake"] is Level.WARNING
    paper = {r.name: r.level for r in preconditions.of_settings(settings(**risky))}
    assert "resend" not in paper
    assert "redis link" not in paper
    assert paper["signed intake"] is Level.INFO


def test_files_that_everybody_may_read(tmp_path: Path, ledger: SqliteLedger) -> None:
    """They say what the account does."""
    ledger.close()
    one = settings(**url_of(tmp_path))
    assert named(preconditions.of_settings(one), "files")[0][0] is Level.OK
    (tmp_path / "ledger.db").chmod(0o644)
    [(level, said)] = named(preconditions.of_settings(one), "files")
    assert level is Level.WARNING
    assert said.endswith("ledger.db: chmod 600")


def test_what_restricts_trading_from_before(tmp_path: Path, ledger: SqliteLedger) -> None:
    """Account and tickers; a state that has run out is none."""
    clock = ManualClock()
    now = clock.epoch_ms()
    rows = {
        "trading_state:operator": {"state": "HALTED", "message": "lunch", "until_ms": 0},
        "trading_state:daily_loss": {"state": "REDUCING", "message": "old", "until_ms": now},
        "trading_state:drawdown": {"state": "REDUCING", "message": "fell", "until_ms": now + 1},
        "circuit_breaker_state": {"tripped": True, "failures": 5},
    }
    for key, row in rows.items():
        ledger.set_state(key, json.dumps(row))
    ledger.set_state("halted:NVDA", "an order that no signal explains")
    ledger.set_state("reducing:F", "asked for")
    ledger.close()
    found = list(preconditions.of_ledger(settings(**url_of(tmp_path)), clock))
    assert named(found, "trading state") == [
        (Level.WARNING, "REDUCING by drawdown: fell"),
        (Level.WARNING, "HALTED by operator: lunch"),
        (Level.WARNING, "NVDA is HALTED: an order that no signal explains"),
        (Level.WARNING, "F is REDUCING: asked for"),
    ]
    assert named(found, "circuit breaker") == [
        (
            Level.WARNING,
            "tripped after 5 failures; `signalpaca breaker reset` closes it",
        )
    ]


@pytest.mark.parametrize("text", ["", "not JSON", "[]", '{"tripped": false}'])
def test_nothing_restricts(tmp_path: Path, ledger: SqliteLedger, text: str) -> None:
    """An unreadable breaker row and a closed breaker; no ledger at all."""
    ledger.set_state("circuit_breaker_state", text)
    ledger.close()
    for url in (url_of(tmp_path), {"LEDGER_URL": f"sqlite:///{tmp_path}/none.db"}):
        found = list(preconditions.of_ledger(settings(**url), ManualClock()))
        assert found == [
            Result("trading state", Level.OK, "ACTIVE"),
            Result("circuit breaker", Level.OK, "closed"),
        ]


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, "may trade, shorts included"),
        (
            {"trading_blocked": True},
            Level.FAILED,
            "trading_blocked: no order would be accepted",
        ),
        ({"account_blocked": True}, Level.FAILED, "account_blocked: no order would be accepted"),
        ({"status": "ONBOARDING"}, Level.WARNING, "status ONBOARDING"),
        (
            {"shorting_enabled": False},
            Level.INFO,
            "may trade; the broker opens no shorts for it",
        ),
        ({"equity": "1999.99"}, Level.INFO, "may trade; no shorts with less than 2000 of equity"),
    ],
)
def test_what_the_account_may_do(changes: dict[str, object], level: Level, said: str) -> None:
    """As the broker says."""
    found = preconditions.of_account(settings(), {**ACCOUNT, **changes})
    assert list(found) == [Result("account flags", level, said)]


def test_shorts_that_are_off_need_nothing() -> None:
    """Whatever the broker would permit."""
    found = preconditions.of_account(
        settings(ALLOW_SHORT="false"), {**ACCOUNT, "shorting_enabled": False}
    )
    assert named(found, "account flags") == [
        (Level.OK, "may trade; shorts are off here (ALLOW_SHORT=false)")
    ]


def test_nobody_has_named_the_live_account(tmp_path: Path, ledger: SqliteLedger) -> None:
    """It fails until a setting or a typed sentence does; another number fails for good."""
    at = url_of(tmp_path)

    def line(**environ: str) -> tuple[Level, str]:
        one = settings(**LIVE, **at, **environ)
        [found] = named(preconditions.of_account(one, ACCOUNT), "acknowledgement")
        return found

    level, said = line()
    assert level is Level.FAILED
    assert "set LIVE_TRADING_ACKNOWLEDGED=123456789" in said
    assert line(LIVE_TRADING_ACKNOWLEDGED="123456789")[0] is Level.OK
    assert line(LIVE_TRADING_ACKNOWLEDGED="1")[0] is Level.FAILED
    ledger.set_state("live_acknowledged", "123456789")
    assert line()[0] is Level.OK
    ledger.set_state("live_acknowledged", "987")
    assert line()[0] is Level.FAILED
    ledger.close()
