"""What no single setting can know: combinations, paper against live, parts not built."""

import re
from collections.abc import Iterable, Mapping

from solution import config_build as build
from solution.config_groups import BrokerSettings
from solution.config_option_info import OptionInfo
from solution.config_options import OPTIONS, Options
from solution.config_sources import Given
from solution.config_urls import (
    LIVE_HOST,
    PAPER_HOST,
    host_of,
    is_alpaca,
    is_local,
    is_loopback,
    kind_of_host,
)
from solution.errors import ConfigError
from solution.failpoints import Rule, parse

KEY_KINDS = {"PK": "paper", "AK": "live"}
"""What the first letters of a key id of Alpaca's say."""

_KEY_ID = re.compile(r"(?:PK|AK|CK)[A-Z0-9]{10,}")
_SECRET_KEY = re.compile(r"[A-Za-z0-9/+]{40,}")

_ONLY_WITH_SIZING = {
    "qty": "fixed_qty",
    "lot": "fixed_notional",
    "weights": "weight",
    "sell_only_above_entry": "all_in",
}


def refuse_unbuilt(given: Mapping[str, Given]) -> None:
    """Stop at an option whose part is missing, unless its value means off.

    A limit that is set and not enforced is worse than none: somebody relies on it.

    Raises:
        ConfigError: naming the option and the part.
    """
    for name, option in OPTIONS.items():
        if option.missing and name in given and not _means_off(option, given[name].text):
            raise ConfigError(
                f"{given[name].variable} is set but this version has no {option.missing}; unset it"
            )


def _means_off(option: OptionInfo, text: str) -> bool:
    try:
        return bool(option.parse(text) == option.parse(option.default))
    except ValueError:
        return False


def check_live(options: Options, broker: BrokerSettings, given: Mapping[str, Given]) -> None:
    """Whatever says paper or live (both flags, key, hosts) has to say the same.

    One of them that was left over from before would send an order meant for play money to an
    account with savings in it.

    Raises:
        ConfigError: the first two that disagree, both named.
    """
    wrong = (
        _one_flag_alone(options)
        or _host_disagrees(options, broker, given)
        or _key_disagrees(broker, given)
        or _stream_disagrees(broker, given)
    )
    if wrong:
        raise ConfigError(wrong)


def _one_flag_alone(options: Options) -> str | None:
    if options.alpaca_paper != options.allow_live_trading:
        return None
    both = str(options.alpaca_paper).lower()
    return (
        f"ALPACA_PAPER={both} and ALLOW_LIVE_TRADING={both} disagree: live trading needs "
        "ALPACA_PAPER=false and ALLOW_LIVE_TRADING=true, paper trading neither"
    )


def _host_disagrees(
    options: Options, broker: BrokerSettings, given: Mapping[str, Given]
) -> str | None:
    kind = kind_of_host(broker.trading_url)
    said = f"{_variable('alpaca_trading_url', given)}={broker.trading_url}"
    if kind == "unknown":
        return (
            f"{said}: Alpaca takes orders at https://{PAPER_HOST} (paper) and "
            f"https://{LIVE_HOST} (live) only"
        )
    if kind == "other" or (kind == "paper") == options.alpaca_paper:
        return None
    flag = f"ALPACA_PAPER={str(options.alpaca_paper).lower()}"
    return f"{flag} and {said} disagree: that is Alpaca's {kind} host"


def _key_disagrees(broker: BrokerSettings, given: Mapping[str, Given]) -> str | None:
    """Only at Alpaca: another server's keys look as it likes."""
    kind = kind_of_host(broker.trading_url)
    if kind == "other" or not broker.key_id:
        return None
    key = KEY_KINDS.get(broker.key_id[:2].upper(), "")
    name = _variable("alpaca_api_key", given)
    if key and key != kind:
        return f"{name} is the key id of a {key} account, {broker.trading_url} is the {kind} host"
    if kind == "live" and not key:
        return f"{name} is not the key id of a live account: at {broker.trading_url} it begins AK"
    return None


def _stream_disagrees(broker: BrokerSettings, given: Mapping[str, Given]) -> str | None:
    if kind_of_host(broker.stream_url) == kind_of_host(broker.trading_url):
        return None
    return (
        f"{_variable('alpaca_stream_url', given)}={broker.stream_url} and "
        f"{_variable('alpaca_trading_url', given)}={broker.trading_url} disagree: the events of "
        "one account's orders would be taken for another's"
    )


def _variable(name: str, given: Mapping[str, Given]) -> str:
    """The variable that a setting was read from, by the name that was used."""
    return given[name].variable if name in given else name.upper()


def failpoints(text: str, broker: BrokerSettings) -> tuple[Rule, ...]:
    """The rules of SIGNALPACA_FAILPOINTS, which only a broker on this machine permits.

    Raises:
        ConfigError: an address of the broker is not on this machine, or a rule cannot be read.
    """
    if not text:
        return ()
    for url in (broker.trading_url, broker.data_url, broker.stream_url):
        if not is_loopback(host_of(url)):
            raise ConfigError(
                f"SIGNALPACA_FAILPOINTS is set, which makes this service crash on purpose: {url} "
                "is not on this machine; unset it"
            )
    try:
        return tuple(parse(text))
    except ValueError as error:
        raise ConfigError(f"SIGNALPACA_FAILPOINTS: {error}") from None


def check_together(options: Options, broker: BrokerSettings) -> None:
    """Settings that are fine one by one and impossible together.

    Raises:
        ConfigError: the first such pair.
    """
    wrong = _wrong_addresses(options, broker) or _wrong_orders(options)
    if wrong:
        raise ConfigError(wrong)


def _wrong_addresses(options: Options, broker: BrokerSettings) -> str | None:
    urls = (broker.trading_url, broker.data_url, broker.stream_url, broker.data_stream_url)
    for url in urls:
        if is_alpaca(url) and not url.startswith(("https://", "wss://")):
            return f"{url} would send the keys to Alpaca unencrypted; use https:// or wss://"
    if not options.rate_limit_per_minute and not is_loopback(host_of(broker.trading_url)):
        return (
            "RATE_LIMIT_PER_MINUTE=0 (unlimited) is only for a trading URL on this machine, "
            f"not {broker.trading_url}"
        )
    return _wrong_streams(options)


def _wrong_streams(options: Options) -> str | None:
    """By the names that are used in the end: a dry run adds to two of them."""
    executions, control = build.redis(options).executions_stream, build.control(options).stream
    for stream in options.streams:
        if stream in {options.executions_stream, executions}:
            return (
                f"STREAMS contains the EXECUTIONS_STREAM {stream!r}: the service would read its "
                "own reports as signals"
            )
        if stream == control:
            return (
                f"STREAMS contains the CONTROL_STREAM {stream!r}: who may signal could stop "
                "trading, and each command would be read as a signal"
            )
    if control == executions:
        return (
            f"CONTROL_STREAM and EXECUTIONS_STREAM are both {control!r}: the service would read "
            "its own reports as commands"
        )
    return None


def _wrong_orders(options: Options) -> str | None:
    if options.order_type == "limit" and not options.limit_collar_bps:
        return "ORDER_TYPE=limit needs LIMIT_COLLAR_BPS above 0: the limit price comes from it"
    needs = {
        "fixed_qty": ("QTY", options.qty),
        "fixed_notional": ("LOT", options.lot),
        "position_pct": ("MAX_POSITION_PCT above 0", options.max_position_pct),
    }
    name, value = needs.get(options.sizing, ("", True))
    return None if value else f"SIZING={options.sizing} needs {name}"


def warnings_of(options: Options, broker: BrokerSettings, given: Iterable[str]) -> list[str]:
    """What is allowed and probably not meant.

    Args:
        given: names of the fields that somebody set.
    """
    out = []
    for name in given:
        policy = _ONLY_WITH_SIZING.get(name, options.sizing)
        if policy != options.sizing:
            out.append(f"{name.upper()} has no effect: it belongs to SIZING={policy}")
    if options.max_price_age < options.price_poll_interval:
        out.append("MAX_PRICE_AGE is below PRICE_POLL_INTERVAL: most prices will be too old")
    out += [
        f"the keys travel unencrypted to {url}"
        for url in (broker.trading_url, broker.stream_url)
        if url.startswith(("http://", "ws://")) and not is_local(host_of(url))
    ]
    if is_alpaca(broker.trading_url):
        out += _odd_keys(broker)
    elif broker.paper and KEY_KINDS.get(broker.key_id[:2].upper()) == "live":
        out.append(
            f"ALPACA_API_KEY looks like a live key, and {host_of(broker.trading_url)} is not "
            "Alpaca's: whoever forwards it trades real money"
        )
    return out


def _odd_keys(broker: BrokerSettings) -> list[str]:
    out = []
    if broker.key_id and not _KEY_ID.fullmatch(broker.key_id):
        out.append("ALPACA_API_KEY does not look like a key id of Alpaca's")
    if broker.secret and not _SECRET_KEY.fullmatch(broker.secret.reveal()):
        out.append("ALPACA_SECRET_KEY does not look like a secret key of Alpaca's")
    return out
