"""What the command line decides, in one frozen record."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an exchange.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        seed: of prices, displayed sizes and partial fills.
        session: ``always`` or ``nyse``.
        rate_limit: trading requests per key in any 60 seconds; 0 is unlimited.
        cash: dollars in a new account.
        symbols: equities beyond the bundled list.
        fill_delay_ms: from acceptance to the first try to fill.
        keys: the only key pairs known; empty lets any pair in.
        volatility: of prices, per year (0.4 is 40 %).
        partial_fill_rate: share of executions that at first fill a part.
        closed_ioc: ``cancel`` or ``refuse`` IOC and FOK orders while closed.
        stream_frames: ``binary`` (as paper sends) or ``text``.
        replay: files and folders of recorded prices.
        replay_times: ``start`` moves them to the exchange's start, ``recorded`` keeps theirs.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    seed: int = 0
    session: str = "always"
    rate_limit: int = 200
    cash: Decimal = Decimal(100_000)
    symbols: tuple[str, ...] = ()
    fill_delay_ms: int = 0
    keys: tuple[tuple[str, str], ...] = ()
    volatility: float = 0.4
    partial_fill_rate: float = 0.0
    closed_ioc: str = "cancel"
    stream_frames: str = "binary"
    replay: tuple[str, ...] = ()
    replay_times: str = "start"
    log_level: str = "warning"
