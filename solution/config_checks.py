"""What no single setting can know: combinations, the refusal of live trading, parts not built."""

import re
from collections.abc import Iterable, Mapping

from solution.config_groups import BrokerSettings
from solution.config_option_info import OptionInfo
from solution.config_options import OPTIONS, Options
from solution.config_sources import Given, shown
from solution.config_urls import host_of, is_alpaca, is_live, is_local, is_loopback
from solution.errors import ConfigError
from solution.failpoints import Rule, parse

LIVE_REFUSED = "live trading is refused until the safety rails exist"

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


def check_live(options: Options, given: Mapping[str, Given]) -> None:
    """Refuse everything that could reach an account with money in it.

    Raises:
        ConfigError: naming the variable that asks for it.
    """
    asks = {
        "alpaca_paper": not options.alpaca_paper,
        "allow_live_trading": options.allow_live_trading,
        "alpaca_trading_url": is_live(options.alpaca_trading_url or ""),
        "alpaca_stream_url": is_live(options.alpaca_stream_url or ""),
    }
    for name, live in asks.items():
        if live:
            text = shown(OPTIONS[name], given[name].text)
            raise ConfigError(f"{given[name].variable}={text}: {LIVE_REFUSED}")


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
    if options.executions_stream in options.streams:
        return (
            f"STREAMS contains the EXECUTIONS_STREAM {options.executions_stream!r}: the service "
            "would read its own reports as signals"
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
    return out


def _odd_keys(broker: BrokerSettings) -> list[str]:
    out = []
    if broker.key_id and not _KEY_ID.fullmatch(broker.key_id):
        out.append("ALPACA_API_KEY does not look like a key id of Alpaca's")
    elif broker.key_id.startswith("AK") and broker.paper:
        out.append("ALPACA_API_KEY looks like the key id of a live account")
    if broker.secret and not _SECRET_KEY.fullmatch(broker.secret.reveal()):
        out.append("ALPACA_SECRET_KEY does not look like a secret key of Alpaca's")
    return out
