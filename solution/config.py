"""The settings: read once, checked at once, frozen, and handed out in small groups.

This module is the only reader of ``os.environ``. Precedence: options of the command line, then
the environment, then ``.env`` in the working directory, then the default. Every secret may come
out of a file named by ``NAME_FILE``.

    settings = load_settings({"WORKERS": "8"})
    settings.require_keys()
    client = build_client(settings.broker)
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pydantic import ValidationError

from solution import config_build as build
from solution import config_checks as checks
from solution import config_sources as sources
from solution.config_groups import (
    AgeSettings,
    BreakerSettings,
    BrokerSettings,
    ControlSettings,
    EndOfSessionSettings,
    GateSettings,
    IntakeSettings,
    LedgerSettings,
    LimitSettings,
    LoggingSettings,
    Ordering,
    OrderSettings,
    RedisSettings,
    SizingPolicy,
    SizingSettings,
)
from solution.config_option_info import OptionInfo
from solution.config_options import OPTIONS, Options
from solution.errors import ConfigError
from solution.failpoints import Rule
from solution.security import Secret, secret_parts

__all__ = [
    "AgeSettings",
    "BreakerSettings",
    "BrokerSettings",
    "ControlSettings",
    "EffectiveSetting",
    "EndOfSessionSettings",
    "GateSettings",
    "IntakeSettings",
    "LedgerSettings",
    "LimitSettings",
    "LoggingSettings",
    "OptionInfo",
    "OrderSettings",
    "Ordering",
    "RedisSettings",
    "Settings",
    "SizingPolicy",
    "SizingSettings",
    "describe",
    "effective",
    "load_settings",
]

FAILPOINTS = "SIGNALPACA_FAILPOINTS"
"""For tests alone, so it stands in no reference: see solution.failpoints."""
UNSET = "–"
"""How `signalpaca config` shows a setting without a value."""


class EffectiveSetting(NamedTuple):
    """One line of `signalpaca config`."""

    name: str
    value: str
    """Secrets masked."""
    source: str
    """``default``, ``env``, ``.env``, ``file`` or ``option``."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything, in the groups that components receive."""

    broker: BrokerSettings
    redis: RedisSettings
    ledger: LedgerSettings
    orders: OrderSettings
    sizing: SizingSettings
    ages: AgeSettings
    gates: GateSettings
    limits: LimitSettings
    breaker: BreakerSettings
    control: ControlSettings
    end_of_session: EndOfSessionSettings
    intake: IntakeSettings
    logging: LoggingSettings
    workers: int
    queue_size: int
    rate_limit_per_minute: int
    """0 = unlimited (a server on this machine only)."""
    rate_limit_ceiling: int
    """Above it the broker's headers do not raise the limit; 0 = they may."""
    instance: str
    warnings: tuple[str, ...]
    """Allowed and probably not meant; to be logged once."""
    failpoints: tuple[Rule, ...]
    """Where a test ends or pauses this process; empty outside of tests."""
    secrets: tuple[Secret, ...]
    """Every value that must not be logged, URL passwords included."""
    rows: tuple[EffectiveSetting, ...] = field(repr=False)

    def require_keys(self) -> None:
        """For commands that talk to the broker.

        Raises:
            ConfigError: a key is missing; the message names both variables.
        """
        if not (self.broker.key_id and self.broker.secret):
            raise ConfigError(
                "ALPACA_API_KEY and ALPACA_SECRET_KEY must both be set: in the environment, in "
                ".env, or as files named by ALPACA_API_KEY_FILE and ALPACA_SECRET_KEY_FILE"
            )


def load_settings(
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: str | None = ".env",
) -> Settings:
    """Read, check and freeze the settings.

    Args:
        overrides: options of the command line by variable name, as text.
        environ: in place of the process's environment.
        env_file: a path, relative to the working directory; None reads no file.

    Raises:
        ConfigError: one line that names the variable, the value (masked) and what is allowed.
    """
    environment = os.environ if environ is None else environ
    for name in overrides or {}:
        if name.lower() not in OPTIONS:
            raise ConfigError(f"{name} is not a setting")
    dotenv = sources.read_dotenv(env_file)
    layers = (
        sources.Layer(sources.OPTION, overrides or {}),
        sources.Layer(sources.ENVIRONMENT, environment),
        sources.Layer(sources.DOTENV, dotenv),
    )
    given = sources.merged(layers)
    checks.refuse_unbuilt(given)
    options = _validated(layers, given)
    broker = build.broker(options)
    checks.check_live(options, broker, given)
    checks.check_together(options, broker)
    rules = checks.failpoints(environment.get(FAILPOINTS, ""), broker)
    warnings = checks.warnings_of(options, broker, given)
    warnings += sources.near_misses(environment, "the environment")
    warnings += sources.near_misses(dotenv, str(env_file))
    warnings += _open_dotenv(given.values(), env_file, paper=options.alpaca_paper)
    warnings += _on_command_line(given)
    color = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    settings = _settings(options, broker, given, warnings, color=color)
    return replace(settings, failpoints=rules) if rules else settings


def effective(settings: Settings) -> list[EffectiveSetting]:
    """Name, value (masked), source and description of every setting, as it counts now."""
    return list(settings.rows)


def describe() -> tuple[OptionInfo, ...]:
    """What can be said of every setting without reading any value, in the reference's order."""
    return tuple(OPTIONS.values())


def _validated(layers: Iterable[sources.Layer], given: Mapping[str, sources.Given]) -> Options:
    try:
        return Options(layers=tuple(layers))  # type: ignore[call-arg]  # taken by the sources hook
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    option, stated = OPTIONS[name], given[name]
    reason = str(first.get("ctx", {}).get("error", ""))
    # Outside the except block: the original carries the value, and would print it as context.
    raise ConfigError(
        f"{stated.variable}='{sources.shown(option, stated.text)}' is not allowed"
        f"{f' ({reason})' if reason else ''}: give {option.allowed}"
    )


def _open_dotenv(given: Iterable[sources.Given], env_file: str | None, *, paper: bool) -> list[str]:
    """Of a paper account it is a warning, for every tutorial does it; of a live one it is money.

    Raises:
        ConfigError: every user may read the secrets of a live account.
    """
    secret = {name for option in OPTIONS.values() if option.secret for name in option.names}
    holds = any(item.source == sources.DOTENV and item.variable in secret for item in given)
    if not (env_file and holds and sources.is_open_to_all(env_file)):
        return []
    text = f"{env_file} holds secrets and every user of this machine may read it: chmod 600"
    if not paper:
        raise ConfigError(f"{text} it; with ALPACA_PAPER=false the start stops")
    return [text]


def _on_command_line(given: Mapping[str, sources.Given]) -> list[str]:
    """The words of a running process are public; also those of ``-s NAME=VALUE``."""
    said = [
        given[name].variable
        for name, option in OPTIONS.items()
        if option.secret
        and name in given
        and given[name].source == sources.OPTION
        and secret_parts(given[name].text, is_url=option.is_url)
    ]
    return [
        f"{name} is on the command line, where every user of this machine can read it: "
        f"use the environment, .env or {name}_FILE"
        for name in said
    ]


def _settings(
    options: Options,
    broker: BrokerSettings,
    given: Mapping[str, sources.Given],
    warnings: Iterable[str],
    *,
    color: bool,
) -> Settings:
    redis, ledger, gates = build.redis(options), build.ledger(options), build.gates(options)
    orders, logging = build.orders(options), build.logging(options, color=color)
    instance, control = build.instance(options), build.control(options)
    intake = build.intake(options)
    computed = {
        "alpaca_trading_url": broker.trading_url,
        "alpaca_data_url": broker.data_url,
        "alpaca_stream_url": broker.stream_url,
        "alpaca_data_stream_url": broker.data_stream_url,
        "consumer_group": redis.group,
        "control_stream": control.stream,
        "instance_name": instance,
        "ledger_url": ledger.url,
        "resend_unknown": str(orders.resend_unknown).lower(),
        "kill_switch_file": str(gates.kill_switch_file),
        "log_dir": str(logging.dir or ""),
    }
    return Settings(
        broker=broker,
        redis=redis,
        ledger=ledger,
        orders=orders,
        sizing=build.sizing(options),
        ages=build.ages(options),
        gates=gates,
        limits=build.limits(options),
        breaker=build.breaker(options),
        control=control,
        end_of_session=build.end_of_session(options),
        intake=intake,
        logging=logging,
        workers=options.workers,
        queue_size=options.queue_size,
        rate_limit_per_minute=options.rate_limit_per_minute,
        rate_limit_ceiling=options.rate_limit_ceiling,
        instance=instance,
        warnings=tuple(warnings),
        failpoints=(),
        secrets=_secrets(given),
        rows=_rows(computed, given),
    )


def _secrets(given: Mapping[str, sources.Given]) -> tuple[Secret, ...]:
    """Of every setting that is one, whichever there are: a new one is not to be forgotten here."""
    return tuple(
        Secret(part)
        for name, option in OPTIONS.items()
        if option.secret and name in given
        for part in secret_parts(given[name].text, is_url=option.is_url)
    )


def _rows(
    computed: Mapping[str, str], given: Mapping[str, sources.Given]
) -> tuple[EffectiveSetting, ...]:
    out = []
    for name, option in OPTIONS.items():
        stated = given.get(name)
        text = computed.get(name) or (stated.text if stated else option.default)
        value = "not in this version" if option.missing else sources.shown(option, text) or UNSET
        source = stated.source if stated else sources.DEFAULT
        out.append(EffectiveSetting(option.name, value, source, option.description))
    return tuple(out)
