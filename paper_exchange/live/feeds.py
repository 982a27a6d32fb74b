"""The market data feeds: their paths, their channels, and how far they lag."""

from dataclasses import dataclass

from paper_exchange.clock import SECOND

#: Channels on which something is told; on the other ones nothing ever happens here.
TICK_CHANNELS = frozenset({"trades", "quotes", "orderbooks"})
BAR_CHANNELS = frozenset({"bars", "updatedBars", "dailyBars"})
#: What comes with a subscription to trades, asked for or not.
WITH_TRADES = ("corrections", "cancelErrors")

_STOCK_CHANNELS = (
    "trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances",
    *WITH_TRADES,
)  # fmt: skip
_CRYPTO_CHANNELS = ("trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars")
#: Every channel that some feed of Alpaca's has.
ALL_CHANNELS = (*_STOCK_CHANNELS, "orderbooks", "news")


@dataclass(frozen=True, slots=True)
class DataFeed:
    """One endpoint.

    Attributes:
        name: as ``--data-feeds`` calls it.
        paths: where it is served; the first is Alpaca's current one.
        channels: in the order in which a subscription lists them.
        delay_ns: how old what it tells is.
    """

    name: str
    paths: tuple[str, ...]
    channels: tuple[str, ...] = _STOCK_CHANNELS
    delay_ns: int = 0


IEX = DataFeed("iex", ("/v2/iex",))
SIP = DataFeed("sip", ("/v2/sip",))
DELAYED_SIP = DataFeed("delayed_sip", ("/v2/delayed_sip",), delay_ns=15 * 60 * SECOND)
TEST = DataFeed("test", ("/v2/test",))
CRYPTO = DataFeed(
    "crypto",
    # The older paths are those of the former Python and JavaScript clients.
    ("/v1beta3/crypto/us", "/v1beta2/crypto", "/v1beta1/crypto"),
    _CRYPTO_CHANNELS,
)
FEEDS = (IEX, SIP, DELAYED_SIP, TEST, CRYPTO)
