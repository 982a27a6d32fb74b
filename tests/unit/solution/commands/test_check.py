"""`signalpaca check` and the checks behind it."""

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.exceptions import NoPermissionError

from solution.clock import SystemClock
from solution.commands import checks
from solution.commands.checks import Level
from solution.config import Settings, load_settings
from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import key_of
from tests.helpers.clocks import ManualClock
from tests.unit.solution.commands.conftest import Shell


def settings(**environ: str) -> Settings:
    """Settings of exactly this environment."""
    return load_settings(environ=environ, env_file=None)


def levels(report: Any) -> dict[str, str]:
    """Check name → its level (the last, where there are several)."""
    return {row["name"]: row["level"] for row in report["checks"]}


def test_everything_is_well(traded: Shell) -> None:
    """Exit code 0; a Redis without AOF is a warning."""
    result = traded.run("check", "--json")
    report = orjson.loads(result.stdout)
    assert result.exit_code == 0
    assert report["ok"] is True
    found = levels(report)
    assert found.pop("redis durability") == "warning"
    for told in ("instances", "limits", "signed intake"):
        assert found.pop(told) == "info"
    assert set(found.values()) == {"ok"}
    expected = [
        "configuration",
        "keys",
        "ledger",
        "redis",
        "account",
        "market",
        "symbols",
        "prices",
        "mode",
        "trading state",
        "circuit breaker",
        "files",
        "account flags",
    ]
    assert set(found) > {*expected, "redis clock", "broker clock", "order stream", "kill switch"}


def test_the_report_for_people(traded: Shell, client: Any) -> None:
    """One line per check, without secrets; a running instance is named."""
    client.set(key_of("solution", "host-1"), "{}")
    client.xadd("nvda", {"a": "b"})
    out = traded.run("check").stdout
    assert "ok       keys              both are set" in out
    assert "info     instances         host-1" in out
    assert "1 entries, no group yet" in out
    assert traded.env["ALPACA_SECRET_KEY"] not in out


def test_nothing_is_reachable(shell: Shell) -> None:
    """Every failure is found in one run, exit code 1."""
    result = shell.run("check")
    assert result.exit_code == 1
    assert result.stderr.strip() == (
        "failed: redis, account, market, broker clock, symbols, prices, account flags, order stream"
    )
    assert "password-90" not in result.output
    assert "secret-5678" not in result.output


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "STREAM_WITHIN", 1.0)


def test_a_wrong_setting_is_a_failed_check_and_exit_code_2(shell: Shell) -> None:
    """As for every command."""
    result = shell.run("check", "--json", WORKERS="x")
    assert result.exit_code == 2
    assert levels(orjson.loads(result.stdout)) == {"configuration": "failed"}


def test_missing_keys_stop_the_questions_to_the_broker(online: Shell) -> None:
    """There is nothing to ask with."""
    found = levels(online.json("check", ALPACA_API_KEY=""))
    assert found["keys"] == "failed"
    assert "account" not in found


def test_symbols_that_do_not_exist(traded: Shell) -> None:
    """They are named with the setting, whichever it is; the start knows no inactive one either."""
    report = traded.json("check", SYMBOLS="NVDA,NOSUCH", DENIED_SYMBOLS="TWTR", WEIGHTS="NVDDA:1")
    [row] = [r for r in report["checks"] if r["name"] == "symbols"]
    assert row["level"] == "failed"
    assert row["detail"] == (
        "the broker does not list NOSUCH (SYMBOLS), NVDDA (WEIGHTS), TWTR (DENIED_SYMBOLS)"
    )


def test_many_symbols_are_looked_up_in_one_list(
    traded: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request instead of one per symbol."""
    monkeypatch.setattr(checks, "ASKED_ONE_BY_ONE", 1)
    assert levels(traded.json("check", SYMBOLS="NVDA,AAPL"))["symbols"] == "ok"
    assert levels(traded.json("check", DENIED_SYMBOLS="BTCUSD"))["symbols"] == "ok"
    assert levels(traded.json("check", SYMBOLS="NVDA,NOSUCH"))["symbols"] == "failed"
    assert levels(traded.json("check", ALLOWED_SYMBOLS="NVDA,TWTR"))["symbols"] == "failed"


@pytest.mark.parametrize(
    ("name", "level"), [("SYMBOLS", Level.WARNING), ("DENIED_SYMBOLS", Level.OK)]
)
def test_an_asset_that_is_not_tradable_now(name: str, level: Level) -> None:
    """The service starts; a denied one need not trade."""
    broker: Any = Broker()
    one = settings(**{"SYMBOLS": "F", name: "GME"})
    assert checks._symbols(broker, one).level is level


def test_the_kill_switch_is_a_warning(shell: Shell) -> None:
    """The service starts, and sends nothing."""
    one = settings(KILL_SWITCH="true")
    assert checks.check_kill_switch(one).level is Level.WARNING


def test_a_ledger_in_use(shell: Shell, ledger: SqliteLedger) -> None:
    """Informational, with the process that has it; the lock is not touched."""
    result = checks.check_ledger(settings(**shell.env))
    assert result.level is Level.INFO
    assert f"in use by process {os.getpid()}" in result.detail


def test_a_ledger_of_a_dead_process(shell: Shell) -> None:
    """A stale number in the lock file is nobody."""
    SqliteLedger(shell.env["LEDGER_URL"]).close()
    lock = shell.ledger.with_name("ledger.db.lock")
    for text in ("999999999", "", "what", "-1"):
        lock.write_text(text)
        assert checks.check_ledger(settings(**shell.env)).level is Level.OK


def test_a_ledger_on_a_server(postgres_url: str) -> None:
    """Its name without the password, and how much is in it; one sentence when it is away."""
    found = checks.check_ledger(settings(LEDGER_URL=postgres_url))
    assert (found.level, "canary" in found.detail) == (Level.OK, False)
    assert found.detail.startswith("postgresql://127.0.0.1:")
    assert found.detail.endswith(", 0 signals")
    nothing = checks.check_ledger(settings(LEDGER_URL=f"{postgres_url}?schema=none"))
    assert (nothing.level, nothing.detail[-18:]) == (Level.OK, "holds no ledger yet"[-18:])
    away = checks.check_ledger(settings(LEDGER_URL="postgresql://u:canary@127.0.0.1:1/d"))
    assert (away.level, "canary" in away.detail) == (Level.FAILED, False)
    assert "does not answer" in away.detail


def test_a_ledger_without_its_driver(traded: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of the report, which goes on to the broker's account."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = traded.run("check", "--json", LEDGER_URL="postgresql://u:canary@127.0.0.1:1/x")
    assert result.exit_code == 1
    found = levels(orjson.loads(result.stdout))
    assert (found["ledger"], found["account"]) == ("failed", "ok")
    assert "canary" not in result.output


def test_no_ledger_yet(shell: Shell) -> None:
    """It will be created, in a folder that will be created too."""
    url = f"sqlite:///{shell.folder}/deep/er/l.db"
    result = checks.check_ledger(settings(LEDGER_URL=url))
    assert (result.level, result.detail[-15:]) == (Level.OK, "will be created")
    shell.ledger.touch()
    assert checks.check_ledger(settings(**shell.env)).level is Level.OK


def test_a_ledger_that_is_none(shell: Shell) -> None:
    """Another file under that name is left alone."""
    shell.ledger.write_text("hello")
    assert checks.check_ledger(settings(**shell.env)).level is Level.FAILED
    assert shell.ledger.read_text() == "hello"


def test_a_ledger_that_cannot_be_written(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is named."""
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != shell.folder)
    result = checks.check_ledger(settings(**shell.env))
    assert (result.level, result.detail) == (Level.FAILED, f"{shell.folder} is not writable")


@pytest.mark.parametrize(
    ("info", "level", "said"),
    [
        ({}, Level.WARNING, "not told"),
        ({"aof_enabled": 0}, Level.WARNING, "appendonly=no"),
        ({"aof_enabled": 1}, Level.OK, "is on"),
        (
            {"aof_enabled": 1, "maxmemory": 1, "maxmemory_policy": "allkeys-lru"},
            Level.WARNING,
            "maxmemory-policy=allkeys-lru",
        ),
        ({"aof_enabled": 1, "maxmemory_policy": "allkeys-lru"}, Level.OK, "is on"),
    ],
)
def test_durability(info: dict[str, Any], level: Level, said: str) -> None:
    """What a restart of Redis would cost."""
    result = checks._durability(info)
    assert result.level is level
    assert said in result.detail


@pytest.mark.parametrize(
    ("version", "level"),
    [("7.4.1", Level.OK), ("6.2.14", Level.OK), ("6.0.16", Level.FAILED), ("", Level.WARNING)],
)
def test_the_version_of_redis(version: str, level: Level) -> None:
    """6.2 is the oldest that has what the listener uses."""
    info = {"redis_version": version} if version else {}
    assert checks._version(settings(), info).level is level


@pytest.mark.parametrize(
    ("ahead", "level", "word"),
    [(0.1, Level.OK, "ahead"), (-2.0, Level.WARNING, "behind"), (6.0, Level.FAILED, "ahead")],
)
def test_clock_skew(ahead: float, level: Level, word: str) -> None:
    """More than five seconds and every signal is refused as from the future."""
    result = checks._skew("clock", ahead)
    assert result.level is level
    assert word in result.detail


def test_a_wrong_clock_of_this_machine_is_noticed(traded: Shell) -> None:
    """Against both, Redis and the broker."""
    clock = ManualClock(SystemClock().now() - timedelta(seconds=30))
    one = settings(**traded.env)
    results = [*checks.check_redis(one, clock), *checks._check_broker(one, clock)]
    found = {r.name: r.level for r in results}
    assert found["redis clock"] is Level.FAILED
    assert found["broker clock"] is Level.FAILED


class Broker:
    """Answers of a broker on a bad day."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def account(self) -> Mapping[str, Any]:
        return {"id": "a-1", "trading_blocked": True}

    def clock(self) -> Mapping[str, Any]:
        return {"is_open": False, "timestamp": "soon", "next_open": "Monday"} | self._answers

    def asset(self, symbol: str) -> Mapping[str, Any]:
        return {"id": symbol, "symbol": symbol, "status": "active", "tradable": symbol != "GME"}

    def snapshots(self, _symbols: object) -> Mapping[str, Any]:
        return self._answers.get("snapshots", {})  # type: ignore[no-any-return]


OLD = {"NVDA": {"latestTrade": {"p": "1", "t": "2026-11-20T00:00:00Z"}}}


def test_a_blocked_account() -> None:
    """It may look and not trade."""
    broker: Any = Broker()
    assert checks._account(broker, settings()).level is Level.FAILED


def test_a_closed_market_is_information() -> None:
    """With the time at which it opens."""
    broker: Any = Broker()
    result = checks._market(broker)
    assert (result.level, result.detail) == (Level.INFO, "closed until Monday")


def test_an_unreadable_clock() -> None:
    """Sessions cannot be judged."""
    broker: Any = Broker()
    assert checks._broker_clock(broker, SystemClock()).level is Level.FAILED
    naive: Any = Broker(timestamp="2026-11-20T00:00:00")
    assert checks._broker_clock(naive, SystemClock()).level is Level.FAILED


def test_prices() -> None:
    """Missing ones fail; old ones warn in a session and inform outside."""
    clock = SystemClock()
    nothing: Any = Broker()
    assert checks._prices(nothing, settings(), clock).level is Level.FAILED
    closed: Any = Broker(snapshots=OLD)
    assert checks._prices(closed, settings(), clock).level is Level.INFO
    open_: Any = Broker(snapshots=OLD, is_open=True)
    assert checks._prices(open_, settings(), clock).level is Level.WARNING
    assert checks._prices(open_, settings(MAX_QUOTE_AGE="0"), clock).level is Level.OK


def test_a_stream_key_of_another_type(online: Shell, client: Any) -> None:
    """Named before the service meets it."""
    client.set("nvda", "text")
    found = {r.name: r for r in checks.check_redis(settings(**online.env), SystemClock())}
    assert found["stream nvda"].level is Level.FAILED


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (f"{2**64 - 1}-{2**64 - 1}", "nothing can be added any more"),
        ("9000000000000-0", "ahead of Redis's clock"),
    ],
)
def test_a_stream_that_ends_in_the_future(
    online: Shell, client: Any, last: str, words: str
) -> None:
    """No signal and no command comes through it: that is not well."""
    for stream in ("nvda", "signalpaca:control:solution"):
        client.xadd(stream, {"a": "b"}, id=last)
    found = {r.name: r for r in checks.check_redis(settings(**online.env), SystemClock())}
    for name in ("stream nvda", "control stream"):
        assert found[name].level is Level.FAILED
        assert words in found[name].detail


def test_a_control_stream_of_another_type(online: Shell, client: Any) -> None:
    """Named before somebody needs it."""
    client.set("signalpaca:control:solution", "text")
    found = {r.name: r for r in checks.check_redis(settings(**online.env), SystemClock())}
    assert found["control stream"].level is Level.FAILED
    client.delete("signalpaca:control:solution")
    found = {r.name: r for r in checks.check_redis(settings(**online.env), SystemClock())}
    assert found["control stream"].level is Level.OK


def test_pending_entries_are_counted(online: Shell, client: Any) -> None:
    """What a start would take up first."""
    client.xgroup_create("nvda", "solution", id="0", mkstream=True)
    client.xadd("nvda", {"a": "b"})
    client.xreadgroup("solution", "c", {"nvda": ">"})
    found = {r.name: r for r in checks.check_redis(settings(**online.env), SystemClock())}
    assert found["stream nvda"].detail == "1 entries, 1 pending in group solution"


def test_a_user_who_may_not_ask_for_info() -> None:
    """The rest is checked all the same."""

    class Barred:
        def info(self) -> None:
            raise NoPermissionError("this user has no permissions")

    barred: Any = Barred()
    assert checks._info(barred) == {}


def test_the_order_streams_refusal_is_told(traded: Shell) -> None:
    """In the stream's own words."""
    one = settings(**traded.env, ALPACA_STREAM_URL="ws://127.0.0.1:1/stream")
    result = checks.check_stream(one, SystemClock())
    assert result.level is Level.FAILED
    assert "Connection refused" in result.detail


def test_what_a_setting_names_must_exist(tmp_path: Path) -> None:
    """The service would refuse to start with it, so the check says it first."""
    wrong = settings(SIZING="no_such_module:size", LOG_DIR="/proc/none/logs")
    assert next((r.name, r.level) for r in checks.check_settings(wrong)) == ("sizing", Level.FAILED)
    assert list(checks.check_settings(settings(LOG_DIR=str(tmp_path / "logs")))) == []


def test_keys_of_another_account_than_the_ledgers(tmp_path: Path) -> None:
    """Bound to one account at one host; another is refused at start, and told here."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = SqliteLedger(url)
    ledger.set_state("account", "somebody@https://elsewhere")
    ledger.close()
    broker: Any = Broker()
    broker.account = lambda: {"id": "me", "status": "ACTIVE"}
    result = checks._account(broker, settings(LEDGER_URL=url))
    assert result.level is Level.FAILED
    assert "somebody@https://elsewhere" in result.detail


def test_a_pair_is_priced_by_either_spelling_and_has_no_hours() -> None:
    """Old prices of coins are a warning, whatever the clock says; of shares beside it, not."""
    stale = {"BTC/USD": OLD["NVDA"]}
    closed: Any = Broker(snapshots=stale)
    for spelling in ("BTCUSD", "BTC/USD"):
        result = checks._prices(closed, settings(SYMBOLS=spelling), SystemClock())
        assert (result.level, "BTC/USD" in result.detail) == (Level.WARNING, True)


def test_symbols_and_prices_of_a_pair(traded: Shell) -> None:
    """Asked of a real exchange; many tickers are looked for in both lists."""
    report = levels(traded.json("check", SYMBOLS="NVDA,BTCUSD", WEIGHTS="BTC/USD:0.1,NVDA:0.1"))
    assert (report["symbols"], report["prices"]) == ("ok", "ok")
