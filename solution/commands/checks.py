"""Every precondition of trading, asked one by one; nothing is changed and no order is sent."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import account_of
from solution.book.assets import Asset, AssetTable
from solution.broker_client import client_of
from solution.clock import Clock, Deadline
from solution.commands import preconditions
from solution.commands.common import clean, redis_trouble
from solution.commands.results import Level, Result
from solution.config import Settings
from solution.domain import crypto
from solution.domain.records import entry_key
from solution.errors import BrokerError, ConfigError, LedgerError, NotFound
from solution.feeds.price_poller import quotes_from_snapshots
from solution.feeds.stream_watch import ahead_of_clock
from solution.feeds.trade_stream import TradeStream
from solution.feeds.trade_updates import TradeUpdates
from solution.ledger import files, open_reader
from solution.redis_client import make_client
from solution.startup import mode_of, sizing_rules, tickers_of
from solution.trading.kill_switch import KillSwitch
from solution.ui.snapshot import read_all

STREAM_WITHIN = 8.0
STOP_WITHIN = 2.0
SKEW_WARNS = 1.0
SKEW_FAILS = 5.0
"""Seconds; a signal more than 5 s in the future is refused."""
ASKED_ONE_BY_ONE = 20
"""Tickers; more are looked for in the whole list, which costs one request."""
RENAME = "rename or delete that key"
OLDEST_REDIS = (6, 2)
"""XTRIM MINID and open ranges of XPENDING."""


def run(settings: Settings, clock: Clock) -> Iterator[Result]:
    """All checks in the order in which the service would meet the trouble."""
    for warning in settings.warnings:
        yield Result("configuration", Level.WARNING, warning)
    yield Result("configuration", Level.OK, f"{mode_of(settings)} at {settings.broker.trading_url}")
    yield from preconditions.of_settings(settings)
    try:
        settings.require_keys()
        keys = Result("keys", Level.OK, "both are set")
    except ConfigError as e:
        keys = Result("keys", Level.FAILED, str(e))
    yield keys
    yield from check_settings(settings)
    yield check_ledger(settings)
    yield from check_exposure(settings)
    yield from preconditions.of_ledger(settings, clock)
    yield from check_redis(settings, clock)
    yield check_kill_switch(settings)
    if keys.level is Level.OK:
        yield from _check_broker(settings, clock)
        yield check_stream(settings, clock)


# --- this machine -----------------------------------------------------------------------------


def check_settings(settings: Settings) -> Iterator[Result]:
    """What a valid setting names must exist: the sizing function, the log directory."""
    try:
        sizing_rules(settings)
    except ConfigError as e:
        yield Result("sizing", Level.FAILED, str(e))
    folder = settings.logging.dir
    if folder is not None and not os.access(_nearest(folder), os.W_OK):
        yield Result("logs", Level.FAILED, f"LOG_DIR: {_nearest(folder)} is not writable")


def check_ledger(settings: Settings) -> Result:
    """Whether the service could open it for writing, and whether one has it open."""
    path = settings.ledger.path
    if path is None:
        return _check_server(settings)
    writable = path if path.exists() else _nearest(path.parent)
    if not os.access(writable, os.W_OK):
        return Result("ledger", Level.FAILED, f"{writable} is not writable")
    if not path.exists():
        return Result("ledger", Level.OK, f"{path} will be created")
    holder = _holder(path)
    try:
        files.refuse_open_to_all(path)
        with open_reader(settings.ledger.url) as reader:
            signals = sum(reader.counts_by_state().values())
    except LedgerError as e:
        # A file that a first start left empty is no ledger yet, and becomes one.
        level = Level.OK if str(e).endswith("holds no ledger yet") else Level.FAILED
        return Result("ledger", level, str(e))
    in_use = f"; in use by process {holder} (a service runs)" if holder else ""
    level = Level.INFO if holder else Level.OK
    return Result("ledger", level, f"{path}, {signals} signals{in_use}")


def check_exposure(settings: Settings) -> Iterator[Result]:
    """Who besides the owner may change the ledger, or put another in its place."""
    path = settings.ledger.path
    exposed = files.exposure(path) if path else ""
    if exposed:
        yield Result("ledger access", Level.WARNING, exposed)


def _check_server(settings: Settings) -> Result:
    """Whether the ledger's database answers, and what is in it."""
    name = settings.ledger.name
    try:
        with open_reader(settings.ledger.url) as reader:
            signals = sum(reader.counts_by_state().values())
    except (LedgerError, ConfigError) as e:
        level = Level.OK if str(e).endswith("holds no ledger yet") else Level.FAILED
        return Result("ledger", level, clean(settings, e))
    return Result("ledger", Level.OK, f"{name}, {signals} signals")


def _nearest(path: Path) -> Path:
    """The directory itself, or the closest parent there is."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _holder(path: Path) -> int | None:
    """The process named in the lock file, if it lives. The lock itself is left alone: taking it,
    even for a moment, could make a service that starts right now give up."""
    try:
        pid = int(path.with_name(path.name + ".lock").read_text().strip() or 0)
        if pid <= 0:
            return None
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def check_kill_switch(settings: Settings) -> Result:
    """Whether orders would be refused."""
    gates = settings.gates
    reason = KillSwitch(setting=gates.kill_switch, file=gates.kill_switch_file).reason()
    if reason is None:
        return Result("kill switch", Level.OK, f"off; {gates.kill_switch_file} does not exist")
    return Result("kill switch", Level.WARNING, f"ON: {reason}; no order would be sent")


# --- Redis --------------------------------------------------------------------------------------


def check_redis(settings: Settings, clock: Clock) -> Iterator[Result]:
    """Reachable, new enough, durable, its clock, its streams."""
    with closing(make_client(settings.redis.url)) as client:
        try:
            client.ping()
            info = _info(client)
            yield _version(settings, info)
            yield _durability(info)
            yield _redis_clock(client, clock)
            yield from _streams(client, settings)
            yield _control_stream(client, settings)
            running = sorted(read_all(client, settings.redis.group))
            shown = ", ".join(running) or "none runs now"
            yield Result("instances", Level.INFO, shown)
        except (redis.RedisError, OSError) as e:
            yield Result("redis", Level.FAILED, redis_trouble(settings, e))


def _info(client: "redis.Redis") -> dict[str, Any]:
    """INFO, empty where a user may not ask or the server has none."""
    try:
        found: Any = client.info()
    except redis.ResponseError:
        return {}
    return dict(found)


def _version(settings: Settings, info: dict[str, Any]) -> Result:
    where, version = settings.redis.shown_url, str(info.get("redis_version", ""))
    if not version:
        return Result("redis", Level.WARNING, f"{where} answers; its version is not told")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_REDIS:
        return Result("redis", Level.FAILED, f"{where} is version {version}; 6.2 is needed")
    return Result("redis", Level.OK, f"{where}, version {version}")


def _durability(info: dict[str, Any]) -> Result:
    name = "redis durability"
    if "aof_enabled" not in info:
        return Result(name, Level.WARNING, "not told; appendonly should be yes")
    if not int(info["aof_enabled"]):
        return Result(
            name,
            Level.WARNING,
            "appendonly=no: signals not read yet are lost when Redis restarts",
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if int(info.get("maxmemory", 0)) and policy != "noeviction":
        return Result(name, Level.WARNING, f"maxmemory-policy={policy} may drop whole streams")
    return Result(name, Level.OK, "append-only file is on")


def _redis_clock(client: "redis.Redis", clock: Clock) -> Result:
    seconds, micros = client.time()
    ahead = int(seconds) + int(micros) / 1e6 - clock.epoch_ms() / 1000
    return _skew("redis clock", ahead)


def _skew(name: str, ahead: float) -> Result:
    detail = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
    if abs(ahead) > SKEW_FAILS:
        return Result(name, Level.FAILED, detail)
    return Result(name, Level.WARNING if abs(ahead) > SKEW_WARNS else Level.OK, detail)


def _streams(client: "redis.Redis", settings: Settings) -> Iterator[Result]:
    group = settings.redis.group
    for stream in settings.redis.streams:
        name = f"stream {stream}"
        if not client.exists(stream):
            yield Result(name, Level.OK, "does not exist yet; the service makes it")
            continue
        try:
            groups: Any = client.xinfo_groups(stream)
            trouble = _ahead(client, stream)
        except redis.ResponseError as e:
            yield Result(name, Level.FAILED, str(e))
            continue
        if trouble:
            yield Result(name, Level.FAILED, f"{trouble}; its signals are refused: {RENAME}")
            continue
        ours = next((g for g in groups if g["name"] == group.encode()), None)
        waiting = "no group yet" if ours is None else f"{ours['pending']} pending in group {group}"
        yield Result(name, Level.OK, f"{client.xlen(stream)} entries, {waiting}")


def _control_stream(client: "redis.Redis", settings: Settings) -> Result:
    """Whether a command would come through."""
    stream = settings.control.stream
    try:
        trouble = _ahead(client, stream) if client.exists(stream) else ""
    except redis.ResponseError as e:
        return Result("control stream", Level.FAILED, f"{stream}: {e}")
    if trouble:
        return Result("control stream", Level.FAILED, f"{stream}: {trouble}: {RENAME}")
    return Result("control stream", Level.OK, stream)


def _ahead(client: "redis.Redis", stream: str) -> str:
    """What is wrong with where a stream ends, by Redis's clock."""
    info: Any = client.xinfo_stream(stream)
    seconds, micros = client.time()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    return ahead_of_clock(entry_key(info["last-generated-id"].decode()), now_ms)


# --- the broker ---------------------------------------------------------------------------------


def _check_broker(settings: Settings, clock: Clock) -> Iterator[Result]:
    client = client_of(settings.broker, clock)
    with closing(client):
        asked: tuple[tuple[str, Callable[[], Result]], ...] = (
            ("account", lambda: _account(client, settings)),
            ("market", lambda: _market(client)),
            ("broker clock", lambda: _broker_clock(client, clock)),
            ("symbols", lambda: _symbols(client, settings)),
            ("prices", lambda: _prices(client, settings, clock)),
        )
        for name, ask in asked:
            try:
                yield ask()
            except BrokerError as e:
                yield Result(name, Level.FAILED, clean(settings, e))
        try:
            yield from preconditions.of_account(settings, client.account())
        except BrokerError as e:
            yield Result("account flags", Level.FAILED, clean(settings, e))


def _account(client: AlpacaAPIClient, settings: Settings) -> Result:
    account = account_of(client.account())
    if account.blocked:
        return Result("account", Level.FAILED, f"{account.id} is blocked for trading")
    bound = _bound_account(settings)
    mine = f"{account.id}@{settings.broker.trading_url}"
    if bound not in {"", mine}:
        return Result(
            "account", Level.FAILED, f"the ledger belongs to {bound}, the keys open {mine}"
        )
    detail = f"{account.id}, equity {account.equity:f}, buying power {account.buying_power:f}"
    return Result("account", Level.OK, detail)


def _bound_account(settings: Settings) -> str:
    """The account that the ledger is tied to, empty where there is none yet."""
    try:
        with open_reader(settings.ledger.url) as reader:
            return reader.get_state("account") or ""
    except (LedgerError, ConfigError):
        return ""  # the ledger's own check has told


def _market(client: AlpacaAPIClient) -> Result:
    answer = client.clock()
    is_open = answer.get("is_open") is True
    change = answer.get("next_close" if is_open else "next_open")
    word = "open until" if is_open else "closed until"
    return Result("market", Level.OK if is_open else Level.INFO, f"{word} {change}")


def _broker_clock(client: AlpacaAPIClient, clock: Clock) -> Result:
    before = clock.epoch_ms()
    theirs = _instant(client.clock().get("timestamp"))
    if theirs is None:
        return Result("broker clock", Level.FAILED, "names no readable time")
    ours = (before + clock.epoch_ms()) / 2000
    return _skew("broker clock", theirs.timestamp() - ours)


def _instant(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def _symbols(client: AlpacaAPIClient, settings: Settings) -> Result:
    """Every ticker that a setting names; as for the start, one that is inactive is not listed."""
    named = [(ticker, name) for name, given in tickers_of(settings).items() for ticker in given]
    tickers = list(dict.fromkeys(ticker for ticker, _ in named))
    find = _finder(client, len(tickers))
    found = {ticker: find(ticker) for ticker in tickers}
    missing = [f"{ticker} ({name})" for ticker, name in named if found[ticker] is None]
    # That a denied asset cannot be traded anyway is no news.
    wanted = dict.fromkeys(ticker for ticker, name in named if name != "DENIED_SYMBOLS")
    idle = [t for t in wanted if (asset := found[t]) is not None and not asset.tradable]
    if missing:
        return Result("symbols", Level.FAILED, f"the broker does not list {', '.join(missing)}")
    if idle:
        return Result("symbols", Level.WARNING, f"not tradable now: {', '.join(idle)}")
    return Result("symbols", Level.OK, ", ".join(tickers))


def _finder(client: AlpacaAPIClient, count: int) -> Callable[[str], Asset | None]:
    if count > ASKED_ONE_BY_ONE:
        both = (client.assets(asset_class=name) for name in ("us_equity", crypto.ASSET_CLASS))
        return AssetTable(Asset.of(raw) for listed in both for raw in listed).find

    def ask(ticker: str) -> Asset | None:
        try:
            raw = client.asset(ticker)
        except NotFound:
            return None
        return Asset.of(raw) if raw.get("status") == "active" else None

    return ask


def _prices(client: AlpacaAPIClient, settings: Settings, clock: Clock) -> Result:
    symbols = tuple(dict.fromkeys(map(crypto.in_pair_spelling, settings.sizing.symbols)))
    most = settings.ages.max_quote_age
    quotes = quotes_from_snapshots(client.snapshots(symbols), clock.monotonic())
    missing = [s for s in symbols if s not in quotes or quotes[s].buy_price is None]
    if missing:
        return Result("prices", Level.FAILED, f"no price of {', '.join(missing)}")
    ages = {}
    for symbol, quote in quotes.items():
        times = [at for at in (quote.quote_at, quote.trade_at) if at is not None]
        newest = max(times, default=None)
        ages[symbol] = None if newest is None else (clock.now() - newest).total_seconds()
    old = [f"{s} {a:.0f} s" for s, a in ages.items() if a is not None and most and a > most]
    feed = f"feed {settings.broker.data_feed}"
    if old:
        # Outside a session the last quote is hours old, and that is how it should be; crypto has
        # no such hours.
        trading = any(crypto.is_pair(one) for one in old) or client.clock().get("is_open") is True
        level = Level.WARNING if trading else Level.INFO
        return Result("prices", level, f"{feed}: older than {most:g} s: {', '.join(old)}")
    return Result("prices", Level.OK, f"{feed}: fresh for {', '.join(symbols)}")


def check_stream(settings: Settings, clock: Clock) -> Result:
    """Connect, authorize, hear that we are listening, and leave."""
    broker = settings.broker
    listening = threading.Event()
    stream = TradeStream(
        broker.stream_url,
        TradeUpdates(broker.key_id, broker.secret.reveal()),
        on_updates=lambda _updates: None,
        on_connected=listening.set,
        clock=clock,
    )
    stream.start()
    try:
        heard = listening.wait(STREAM_WITHIN)
        state = clean(settings, stream.state)
    finally:
        stream.stop(Deadline(STOP_WITHIN))
    if heard:
        return Result("order stream", Level.OK, f"authorized and listening at {broker.stream_url}")
    return Result("order stream", Level.FAILED, f"{broker.stream_url}: {state}")
