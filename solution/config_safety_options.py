"""The settings that protect an account: limits, gates, trading state, breaker, live, signatures.

Each limit's default is safe and lets a newcomer's first signal trade.
"""

from decimal import Decimal
from typing import Annotated

from pydantic_settings import BaseSettings

from solution import config_values as rule
from solution.config_keys import CONTROL_KEY, SIGNING_KEY, SIGNING_KEYS, SigningKey
from solution.config_option_info import NAME, option
from solution.security import Secret


class SafetyOptions(BaseSettings):
    """A part of :class:`solution.config_options.Options`."""

    max_gross_exposure_pct: Annotated[Decimal | None, rule.MULTIPLE_CAP] = option(
        "1",
        "Limits",
        "Largest value of all positions together, long and short, and of orders that open more.",
    )
    ticker_caps: Annotated[rule.NamedCaps, rule.TICKER_CAPS] = option(
        "", "Limits", "Largest position of single tickers, besides `MAX_POSITION_PCT`."
    )
    strategy_caps: Annotated[rule.NamedCaps, rule.STRATEGY_CAPS] = option(
        "",
        "Limits",
        "Largest value of what the signals of one `strategy` hold together, by its label.",
    )
    max_trades_per_day: Annotated[int, rule.whole(0, 1_000_000)] = option(
        "500", "Limits", "Orders that open or add to a position, per New York day; 0 = no limit."
    )
    max_orders_per_minute: Annotated[int, rule.whole(0, 100_000)] = option(
        "0",
        "Limits",
        "Orders that open or add to a position, in any 60 seconds; 0 = the rate limit alone.",
    )
    max_orders_per_minute_per_ticker: Annotated[int, rule.whole(0, 100_000)] = option(
        "60", "Limits", "The same for each ticker; 0 = no limit."
    )
    max_daily_loss_pct: Annotated[Decimal | None, rule.FRACTION_CAP] = option(
        "0.05",
        "Limits",
        "Loss since the day's opening equity, as a fraction of it, that stops new entries until "
        "the next session.",
    )
    max_drawdown_pct: Annotated[Decimal | None, rule.FRACTION_CAP] = option(
        "0",
        "Limits",
        "Fall from the day's highest equity, as a fraction of its opening equity, that does.",
    )
    max_flips: Annotated[int, rule.whole(0, 100_000)] = option(
        "30",
        "Limits",
        "Changes of side in one ticker within `FLIP_WINDOW` beyond which it is halted until a "
        "person resumes it; 0 = no limit.",
    )
    flip_window: Annotated[float, rule.seconds("1", "86400")] = option(
        "600", "Limits", "Seconds in which changes of side are counted."
    )

    max_spread_bps: Annotated[Decimal | None, rule.optional_cap("10000")] = option(
        "500",
        "Gates",
        "Widest spread between bid and ask, in basis points of their middle, at which an order "
        "without a limit price opens a position; 0 = not checked.",
    )
    price_collar_pct: Annotated[Decimal | None, rule.FRACTION_CAP] = option(
        "0.10",
        "Gates",
        "How far from the last trade an order that opens a position may trade, and a stated limit "
        "price stand on the costly side of it.",
    )
    duplicate_window: Annotated[float, rule.seconds("0", "86400")] = option(
        "0",
        "Gates",
        "Seconds in which a signal without `signal_id` and with the same content as another one "
        "of its stream is refused; 0 = none is.",
    )
    allow_short: Annotated[bool, rule.ALLOW_SHORT] = option(
        "explicit", "Gates", "`explicit`: only `action=short_sell` opens a short; `false`: none."
    )
    allow_extended_hours: Annotated[bool, rule.FLAG] = option(
        "false", "Gates", "Accept signals with `extended_hours=true`."
    )
    queue_when_closed: Annotated[bool, rule.FLAG] = option(
        "false", "Gates", "Send day and gtc orders to the broker while the market is closed."
    )
    allowed_symbols: Annotated[tuple[str, ...], rule.SYMBOLS] = option(
        "", "Gates", "Only these may trade.", shown_default="every symbol"
    )
    denied_symbols: Annotated[tuple[str, ...], rule.SYMBOLS] = option(
        "", "Gates", "These may not, whatever the allow list says.", shown_default="none"
    )

    kill_switch: Annotated[bool, rule.FLAG] = option(
        "false", "Trading state", "Refuse every order from the start."
    )
    kill_switch_file: Annotated[str, rule.PATH] = option(
        ".kill_switch",
        "Trading state",
        "While this file exists, or cannot be looked at, no order is sent. Made absolute at start.",
    )
    halt_on_trip: Annotated[bool, rule.FLAG] = option(
        "false",
        "Trading state",
        "A daily loss, a drawdown or a tripped breaker stops exits as well.",
    )
    control_stream: Annotated[str | None, rule.optional(rule.STREAM)] = option(
        "",
        "Trading state",
        "Stream of commands to the running service. A dry run adds `-dry-run`.",
        shown_default="`signalpaca:control:{CONSUMER_GROUP}`",
    )
    control_hmac_key: Annotated[Secret, CONTROL_KEY] = option(
        "",
        "Trading state",
        "Key that commands on that stream are signed with. Without one it takes only those that "
        "stop trading.",
        secret=True,
    )

    circuit_breaker_failures: Annotated[int, rule.whole(0, 1_000)] = option(
        "5", "Circuit breaker", "Failures in a row that stop new entries; 0 = never."
    )
    circuit_breaker_cooldown: Annotated[float, rule.seconds("0", "86400")] = option(
        "0",
        "Circuit breaker",
        "Seconds after which a tripped breaker lets one order through to see whether it works "
        "again; 0 = it waits for the next session or a person.",
    )
    circuit_breaker_reset: Annotated[bool, rule.FLAG] = option(
        "false", "Circuit breaker", "Close a tripped breaker at start."
    )

    eos_behavior: Annotated[str, rule.choice("hold", "liquidate")] = option(
        "hold",
        "End of session",
        "`liquidate` cancels what rests and closes every position of a stock before the close.",
    )
    eos_minutes: Annotated[float, rule.minutes("0.5", "120")] = option(
        "5", "End of session", "Minutes before the session's real close at which it begins."
    )

    live_trading_acknowledged: Annotated[str | None, NAME] = option(
        "",
        "Going live",
        "The number of the live account, in place of the sentence that the first start with live "
        "keys asks for on the terminal. Another account's start is refused.",
    )

    signal_hmac_keys: Annotated[tuple[SigningKey, ...], SIGNING_KEYS] = option(
        "",
        "Signed intake",
        "Keys that signals must be signed with, and what each may trade.",
        shown_default="none: signals are not signed",
        secret=True,
    )
    signal_hmac_key: Annotated[SigningKey | None, SIGNING_KEY] = option(
        "",
        "Signed intake",
        "The key that `publish` and `dead-letters retry` sign with.",
        shown_default="none: they do not sign",
        secret=True,
    )

    exclusive_account: Annotated[bool, rule.FLAG] = option(
        "false",
        "Broker",
        "Nobody else trades on the account: many cancels may become one cancel-all request.",
    )
