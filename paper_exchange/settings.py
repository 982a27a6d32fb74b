"""What the command line decides, in one frozen record."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from paper_exchange.faults.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an exchange.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        seed: of prices, displayed sizes and partial fills.
        session: ``always`` or ``nyse``.
        rate_limit: trading requests per key in any ``rate_window``; 0 is unlimited.
        rate_window: seconds.
        cash: dollars in a new account.
        symbols: equities beyond the bundled list.
        fill_delay_ms: from acceptance to the first try to fill.
        keys: the only key pairs known; empty lets any pair in.
        volatility: of prices, per year (0.4 is 40 %).
        partial_fill_rate: share of executions that at first fill a part.
        cancel_delay_ms: how long cancels and replacements are pending.
        liquidity: ``unlimited`` or ``displayed``.
        speed, start_ns: the clock runs that much faster, and from then on (None: from now).
        stepped: the clock only moves by ``POST /admin/clock``.
        order_log: a file that every event of every order is written to, a line each.
        closed_ioc: ``cancel`` or ``refuse`` IOC and FOK orders while closed.
        stream_frames: ``binary`` (as paper sends) or ``text``.
        state: the file that everything survives a restart in; None for none.
        keep_closed: closed orders, and executions, that stay in memory; older ones go to disk.
        faults: in force from the start.
        keep_alive_s: how long a connection may be idle.
        client_timeout_s: how long a client may take to send a request it has
            begun, and how long it may leave what is sent to it unread.
        stream_connections: trade_updates connections per account; 0 is no limit.
        data_feeds: market data websockets that are open to clients; ``test`` always is.
        data_connections: market data connections per account and feed; 0 is no limit.
        data_symbols: trades and quotes subscribed to per connection; 0 is no limit.
        tls_port: of the second, TLS-wrapped listener; None for none, 0 takes a free one.
        tls_dir: where the self-made certificate is kept; empty for the user's state directory.
        tls_cert, tls_key: PEM files to use instead; both or neither.
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
    cancel_delay_ms: int = 0
    liquidity: str = "unlimited"
    speed: float = 1.0
    start_ns: int | None = None
    stepped: bool = False
    order_log: Path | None = None
    closed_ioc: str = "cancel"
    stream_frames: str = "binary"
    replay: tuple[str, ...] = ()
    replay_times: str = "start"
    log_level: str = "warning"
    rate_window: float = 60.0
    state: Path | None = None
    keep_closed: int = 1_000

    faults: tuple[Spec, ...] = ()
    keep_alive_s: float = 75.0
    client_timeout_s: float = 12.0

    stream_connections: int = 0
    data_feeds: tuple[str, ...] = ("iex", "sip", "delayed_sip", "crypto")
    data_connections: int = 0
    data_symbols: int = 0

    tls_port: int | None = None
    tls_dir: str = ""
    tls_cert: str = ""
    tls_key: str = ""
