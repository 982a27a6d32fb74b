"""Every setting there is: name, default, meaning. The reference page is generated from this.

A field's name in upper case is the variable's name. Defaults are written as the text a user would
write, and go through the same rule. What protects an account stands in
:mod:`solution.config_safety_options`.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from solution import config_values as rule
from solution.config_ledger import LEDGER_URL
from solution.config_option_info import (
    NAME,
    OPTIONAL_HTTP_URL,
    OPTIONAL_WS_URL,
    OptionInfo,
    option,
)
from solution.config_safety_options import SafetyOptions
from solution.config_urls import REDIS_URL
from solution.domain.orders import TimeInForce
from solution.security import Secret


class Options(SafetyOptions):
    """The texts of one environment, validated one by one.

    Built from layers (``Options(layers=…)``, see solution.config_sources), first one first: which
    layer a value came from has to be known, so pydantic-settings' own readers are not used.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    alpaca_api_key: Annotated[Secret, rule.CREDENTIAL] = option(
        "", "Broker", "Key id of the Alpaca account.", aliases=["APCA_API_KEY_ID"], secret=True
    )
    alpaca_secret_key: Annotated[Secret, rule.CREDENTIAL] = option(
        "", "Broker", "Its secret key.", aliases=["APCA_API_SECRET_KEY"], secret=True
    )
    alpaca_paper: Annotated[bool, rule.FLAG] = option(
        "true",
        "Broker",
        "Paper trading. `false` is live trading, real money: it needs `ALLOW_LIVE_TRADING=true` as "
        "well, a live key, and the account's number confirmed.",
    )
    allow_live_trading: Annotated[bool, rule.FLAG] = option(
        "false",
        "Broker",
        "Live trading needs `true` here and `ALPACA_PAPER=false`; one without the other stops the "
        "start.",
    )
    alpaca_trading_url: Annotated[str | None, OPTIONAL_HTTP_URL] = option(
        "",
        "Broker",
        "Trading API of Alpaca or of any compatible server.",
        aliases=["APCA_API_BASE_URL"],
        shown_default="`https://paper-api.alpaca.markets`; with `ALPACA_PAPER=false` "
        "`https://api.alpaca.markets`",
    )
    alpaca_data_url: Annotated[str | None, OPTIONAL_HTTP_URL] = option(
        "",
        "Broker",
        "Market-data API.",
        aliases=["APCA_API_DATA_URL"],
        shown_default="`https://data.alpaca.markets`",
    )
    alpaca_stream_url: Annotated[str | None, OPTIONAL_WS_URL] = option(
        "",
        "Broker",
        "Websocket of order updates.",
        shown_default="the trading URL with `ws(s)://` and `/stream`",
    )
    alpaca_data_stream_url: Annotated[str | None, OPTIONAL_WS_URL] = option(
        "",
        "Broker",
        "Websocket of market data, whole address.",
        shown_default="Alpaca's, or the data URL with `ws(s)://`, and `/v2/{DATA_FEED}`",
    )
    data_feed: Annotated[str, rule.choice("iex", "sip", "delayed_sip", "otc", "boats")] = option(
        "iex", "Broker", "Feed of the market data; `sip` needs a subscription."
    )
    rate_limit_per_minute: Annotated[int, rule.whole(0, 100_000)] = option(
        "200",
        "Broker",
        "Requests to the trading API per minute; corrected by the broker's headers. "
        "0 = unlimited, only for a server on this machine.",
    )
    rate_limit_ceiling: Annotated[int, rule.whole(0, 100_000)] = option(
        "0",
        "Broker",
        "Never more requests per minute than this, whatever the broker's headers allow; 0 = as "
        "many as they allow.",
    )

    redis_url: Annotated[str, REDIS_URL] = option(
        "redis://localhost:6379/0", "Redis", "The Redis that carries the signals.", secret=True
    )
    streams: Annotated[tuple[str, ...], rule.STREAMS] = option(
        "nvda", "Redis", "Streams to read signals from, separated by commas."
    )
    consumer_group: Annotated[str, NAME] = option(
        "solution", "Redis", "Consumer group; part of every order id. A dry run adds `-dry-run`."
    )
    executions_stream: Annotated[str, rule.STREAM] = option(
        "executions",
        "Redis",
        "Stream that everything that happens is reported to. A dry run adds `-dry-run`.",
    )
    executions_maxlen: Annotated[int, rule.whole(100, 100_000_000)] = option(
        "100000", "Redis", "About how many entries that stream keeps."
    )
    retention_days: Annotated[int, rule.whole(0, 3650)] = option(
        "7", "Redis", "Days an acknowledged signal stays in its stream; 0 = for ever."
    )
    instance_name: Annotated[str | None, NAME] = option(
        "",
        "Redis",
        "First part of this process's name in `signalpaca status`.",
        shown_default="the host name",
    )

    ledger_url: Annotated[str, LEDGER_URL] = option(
        "sqlite:///data/signalpaca.db",
        "Ledger",
        "Where every order is recorded before it is sent. A dry run adds `-dry-run` to the name "
        "(PostgreSQL: it has the schema `dry_run`).",
        secret=True,
    )
    ledger_fsync_before_post: Annotated[bool, rule.FLAG] = option(
        "false",
        "Ledger",
        "Force each intent to the disk before its order is sent. Without it an intent survives a "
        "killed process, and after a power cut the broker is asked.",
    )

    workers: Annotated[int, rule.whole(1, 256)] = option(
        "4", "Service", "Threads that send orders; `-w`."
    )
    queue_size: Annotated[int, rule.whole(1, 1_000_000)] = option(
        "10000", "Service", "Signals held in memory; more stay in Redis until there is room."
    )
    dry_run: Annotated[bool, rule.FLAG] = option(
        "false", "Service", "Everything but the order, with a group and a ledger of its own."
    )

    order_type: Annotated[str, rule.choice("market", "limit")] = option(
        "market",
        "Orders",
        "For signals that name no type. `limit` takes its price from `LIMIT_COLLAR_BPS`.",
    )
    time_in_force: Annotated[str, rule.choice(*TimeInForce)] = option(
        "ioc",
        "Orders",
        "For whole-share market and limit orders that name none; with `LIMIT_COLLAR_BPS` for limit "
        "orders only.",
    )
    limit_collar_bps: Annotated[Decimal, rule.decimal("0", "5000")] = option(
        "0",
        "Orders",
        "Basis points; above 0 a market order, whether the signal names the type or not, is sent "
        "as a marketable limit that far beyond the quote: `ioc`, unless the signal names a time in "
        "force (a bracket: `day`). Parts of a share and `notional` must be `day` orders, where a "
        "limit would rest: they stay market orders.",
    )
    exit_cancels_resting: Annotated[bool, rule.FLAG] = option(
        "true",
        "Orders",
        "An exit first cancels our own resting orders that hold its shares or could trade with it, "
        "and those that would open the position again; a `target_` those of the other side that it "
        "could trade with.",
    )
    resend_unknown: Annotated[bool | None, rule.optional(rule.FLAG)] = option(
        "",
        "Orders",
        "Send an order again, under the same id, after its answer was lost and the broker does "
        "not know it.",
        shown_default="`true` on paper, `false` on live",
    )
    ordering: Annotated[str, rule.choice("asset", "none")] = option(
        "asset", "Orders", "`asset`: signals of one asset run in order; `none` lifts it."
    )

    symbols: Annotated[tuple[str, ...], rule.SYMBOLS] = option(
        "NVDA", "Sizing", "Priced from the start and weighted; not an allow list."
    )
    sizing: Annotated[str, rule.SIZING] = option(
        "weight", "Sizing", "How much a signal without a size of its own trades."
    )
    weights: Annotated[rule.Weights, rule.WEIGHTS] = option(
        "", "Sizing", "Shares of equity per symbol.", shown_default="equal weights over `SYMBOLS`"
    )
    qty: Annotated[Decimal | None, rule.optional(rule.POSITIVE)] = option(
        "", "Sizing", "Shares per order of `SIZING=fixed_qty`."
    )
    lot: Annotated[Decimal | None, rule.optional(rule.POSITIVE)] = option(
        "", "Sizing", "Account currency per order of `SIZING=fixed_notional`."
    )
    sell_only_above_entry: Annotated[bool, rule.FLAG] = option(
        "false",
        "Sizing",
        "A bare `s` under `SIZING=all_in` sells only when the bid is above the average entry. A "
        "size, a target or an `action` sells all the same.",
    )
    max_position_pct: Annotated[Decimal | None, rule.FRACTION_CAP] = option(
        "0.10", "Sizing", "Largest position; also the weight of a ticker that has none."
    )
    max_order_notional: Annotated[rule.NotionalCap, rule.NOTIONAL_CAP] = option(
        "10%", "Sizing", "Largest value of one order."
    )
    max_order_qty: Annotated[Decimal | None, rule.optional(rule.CAP)] = option(
        "", "Sizing", "Largest quantity of one order.", shown_default="no limit"
    )

    max_signal_age: Annotated[float, rule.seconds("0.1", "604800")] = option(
        "60", "Ages", "Seconds after which a signal no longer trades."
    )
    signals_not_before: Annotated[int, rule.whole(0, 10**14)] = option(
        "0",
        "Ages",
        "Epoch milliseconds; a signal published before that is never sent, however young it is. "
        "0 = its age alone counts.",
    )
    max_queue_wait: Annotated[float, rule.seconds("0", "604800")] = option(
        "600", "Ages", "Seconds a fresh signal may wait for rate budget."
    )
    price_poll_interval: Annotated[float, rule.seconds("0.05", "3600")] = option(
        "1", "Ages", "Seconds between two price requests."
    )
    max_price_age: Annotated[float, rule.seconds("0.1", "3600")] = option(
        "5", "Ages", "Seconds since a price was received after which it no longer counts."
    )
    max_quote_age: Annotated[float, rule.seconds("0", "604800")] = option(
        "60",
        "Ages",
        "Seconds since the exchange's own time of a quote; 0 = not checked. An order that waits "
        "for a session or an auction is sized on the last known price.",
    )

    log_level: Annotated[str, rule.LOG_LEVEL] = option("INFO", "Logging", "Least level logged.")
    log_dir: Annotated[str, rule.PATH] = option(
        "logs",
        "Logging",
        "Directory of `signalpaca.log` (JSON lines, a new file each day UTC, 30 kept); an empty "
        "value means console only.",
        keeps_empty=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our layers only."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return tuple(init_settings()["layers"])


def _info(field_name: str, field: FieldInfo) -> OptionInfo:
    extra = field.json_schema_extra
    notes: dict[str, Any] = dict(extra) if isinstance(extra, dict) else {}
    used = next(item for item in field.metadata if isinstance(item, rule.Rule))
    return OptionInfo(
        name=field_name.upper(),
        default=field.default,
        description=field.description or "",
        allowed=used.allowed,
        parse=used.parse,
        aliases=tuple(notes.pop("aliases", ())),
        **notes,
    )


SECTIONS = (
    *("Broker", "Redis", "Ledger", "Service", "Orders", "Sizing", "Limits", "Ages", "Gates"),
    *("Trading state", "Circuit breaker", "End of session", "Going live", "Signed intake"),
    *("Logging", "Later"),
)
"""The order of the reference; within a section, that of the fields."""


def _rows() -> dict[str, OptionInfo]:
    rows = {name: _info(name, field) for name, field in Options.model_fields.items()}
    return dict(sorted(rows.items(), key=lambda row: SECTIONS.index(row[1].section)))


OPTIONS: dict[str, OptionInfo] = _rows()
"""Field name to its row, in the order of the reference."""
