"""What the chosen mode needs, one line each: the checks that stand between a setting and money."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from solution import going_live
from solution.alpaca_api_wrapper import account_of
from solution.clock import Clock
from solution.commands.results import Level, Result
from solution.config import Settings
from solution.config_checks import KEY_KINDS
from solution.config_urls import host_of, is_local, kind_of_host
from solution.domain.trading_state import TradingState
from solution.errors import ConfigError, LedgerError
from solution.ledger import open_reader
from solution.ledger.reader import LedgerReader

LIMITS = (
    *("MAX_POSITION_PCT", "MAX_ORDER_NOTIONAL", "MAX_ORDER_QTY", "MAX_GROSS_EXPOSURE_PCT"),
    *("MAX_TRADES_PER_DAY", "MAX_ORDERS_PER_MINUTE", "MAX_ORDERS_PER_MINUTE_PER_TICKER"),
    *("MAX_DAILY_LOSS_PCT", "MAX_DRAWDOWN_PCT", "MAX_FLIPS", "MAX_SPREAD_BPS"),
    *("PRICE_COLLAR_PCT", "CIRCUIT_BREAKER_FAILURES"),
)
OFF_BY_DEFAULT = frozenset({"MAX_ORDER_QTY", "MAX_ORDERS_PER_MINUTE", "MAX_DRAWDOWN_PCT"})
"""Said once and together; that they are off is no warning of its own."""
EQUITY_FOR_SHORTS = 2_000
"""Account currency; with less Alpaca opens no short."""
BREAKER = "circuit_breaker_state"
PREFIXES = {"trading_state:": "", "halted:": "HALTED", "reducing:": "REDUCING"}
"""Rows of the ledger's small state that restrict trading, and how those of a ticker do."""


def of_settings(settings: Settings) -> Iterator[Result]:
    """Flags, host, key; what is off; who may publish; who may read the secrets."""
    yield _mode(settings)
    yield from _limits(settings)
    yield _intake(settings)
    yield from _private(settings)
    if not settings.broker.paper:
        yield from _live_only(settings)


# --- the mode -----------------------------------------------------------------------------------


def _mode(settings: Settings) -> Result:
    """That these agree, loading the settings has found already; here it is said."""
    broker = settings.broker
    host = {"paper": "Alpaca's paper host", "live": "Alpaca's live host"}.get(
        kind_of_host(broker.trading_url), "another server than Alpaca's"
    )
    kind = KEY_KINDS.get(broker.key_id[:2].upper())
    key = f"the key id of a {kind} account" if kind else "a key id that does not tell its account"
    flags = (
        "ALPACA_PAPER=true"
        if broker.paper
        else "REAL MONEY: ALPACA_PAPER=false and ALLOW_LIVE_TRADING=true"
    )
    odd = kind is None and kind_of_host(broker.trading_url) != "other"
    return Result("mode", Level.WARNING if odd else Level.OK, f"{flags}, {host}, {key}")


def _live_only(settings: Settings) -> Iterator[Result]:
    if settings.orders.resend_unknown:
        yield Result(
            "resend",
            Level.WARNING,
            "RESEND_UNKNOWN=true: an order whose answer was lost may be sent again",
        )
    url = settings.redis.url
    if url.startswith("redis://") and not is_local(host_of(url)):
        yield Result("redis link", Level.WARNING, "not encrypted: use rediss://")


# --- limits, signatures, files ----------------------------------------------------------------


def _limits(settings: Settings) -> Iterator[Result]:
    """Which protect nobody; a warning each where real money is at stake."""
    rows = {row.name: row for row in settings.rows}
    off = [name for name in LIMITS if not _is_on(rows[name].value)]
    if not settings.broker.paper:
        for name in off:
            if name not in OFF_BY_DEFAULT or rows[name].source != "default":
                yield Result("limits", Level.WARNING, f"{name} is off")
        off = [n for n in off if n in OFF_BY_DEFAULT and rows[n].source == "default"]
    level = Level.INFO if off else Level.OK
    yield Result("limits", level, f"off: {', '.join(off)}" if off else "all others are on")


def _is_on(value: str) -> bool:
    """Whether the setting's text is a limit: neither unset, nor 0, nor 0 %."""
    digits = value.rstrip("% ")
    return bool(digits.strip("0.")) and digits[0].isdigit()


def _intake(settings: Settings) -> Result:
    row = next(row for row in settings.rows if row.name == "SIGNAL_HMAC_KEYS")
    if row.source != "default":
        return Result("signed intake", Level.OK, "signals must be signed")
    level = Level.INFO if settings.broker.paper else Level.WARNING
    return Result(
        "signed intake",
        level,
        "SIGNAL_HMAC_KEYS is not set: whoever may write to a stream may trade",
    )


def _private(settings: Settings) -> Iterator[Result]:
    """Files that say what the account does; those of secrets stop the start if they are open."""
    folder, path = settings.logging.dir, settings.ledger.path
    files = [path] if path is not None else []
    if folder is not None:
        files.append(folder / "signalpaca.log")
    open_files = [str(file) for file in files if _others_may_read(file)]
    if open_files:
        detail = f"every user of this machine may read {', '.join(open_files)}"
        yield Result("files", Level.WARNING, f"{detail}: chmod 600")
    else:
        yield Result("files", Level.OK, "ledger, log and files of secrets are private")


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False  # there is none yet


# --- the ledger ---------------------------------------------------------------------------------


def of_ledger(settings: Settings, clock: Clock) -> Iterator[Result]:
    """What still restricts trading from before; nothing where there is no ledger."""
    try:
        with open_reader(settings.ledger.url) as reader:
            restrictions = list(_restrictions(reader, clock.epoch_ms()))
            breaker = reader.get_state(BREAKER)
    except (LedgerError, ConfigError):
        restrictions, breaker = [], None  # the ledger's own check has told
    for said in restrictions:
        yield Result("trading state", Level.WARNING, said)
    if not restrictions:
        yield Result("trading state", Level.OK, str(TradingState.ACTIVE))
    yield _breaker(breaker)


def _restrictions(reader: LedgerReader, now_ms: int) -> Iterator[str]:
    for prefix, word in PREFIXES.items():
        for key, text in reader.states(prefix).items():
            name = key.removeprefix(prefix)
            if word:
                yield f"{name} is {word}: {text}"
                continue
            row = _object(text)
            until = row.get("until_ms") or 0
            if not until or until > now_ms:
                state, why = row.get("state", "?"), row.get("message", text)
                yield f"{state} by {name}: {why}"


def _breaker(text: str | None) -> Result:
    row = _object(text or "{}")
    if row.get("tripped"):
        failures = row.get("failures", "?")
        detail = f"tripped after {failures} failures; `signalpaca breaker reset` closes it"
        return Result("circuit breaker", Level.WARNING, detail)
    return Result("circuit breaker", Level.OK, "closed")


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# --- the account --------------------------------------------------------------------------------


def of_account(settings: Settings, raw: Mapping[str, Any]) -> Iterator[Result]:
    """What the broker says the account may do, and whether a person has named it."""
    account = account_of(raw)
    yield Result("account flags", *_flags(raw, shorts=settings.gates.allow_short))
    if not going_live.is_asked(settings):
        return
    number = going_live.number_of(account)
    trouble = going_live.trouble(settings, number, going_live.remembered(settings))
    if trouble is None:
        yield Result("acknowledgement", Level.OK, f"live account {number} was named by a person")
    else:
        yield Result("acknowledgement", Level.FAILED, trouble.text)


def _flags(raw: Mapping[str, Any], *, shorts: bool) -> tuple[Level, str]:
    account = account_of(raw)
    blocked = [
        flag
        for flag in ("trading_blocked", "account_blocked", "trade_suspended_by_user")
        if raw.get(flag) is True
    ]
    if blocked:
        return Level.FAILED, f"{', '.join(blocked)}: no order would be accepted"
    status = str(raw.get("status") or "ACTIVE")
    if status != "ACTIVE":
        return Level.WARNING, f"status {status}"
    if not shorts:
        return Level.OK, "may trade; shorts are off here (ALLOW_SHORT=false)"
    if not account.shorting_enabled:
        return Level.INFO, "may trade; the broker opens no shorts for it"
    if account.equity < EQUITY_FOR_SHORTS:
        return Level.INFO, f"may trade; no shorts with less than {EQUITY_FOR_SHORTS} of equity"
    return Level.OK, "may trade, shorts included"
