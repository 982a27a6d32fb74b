"""What the command line decides, in one frozen record."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from paper_exchange.faults.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an exchange, in the groups of ``--help``.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        keep_alive_s: how long a connection may be idle.
        client_timeout_s: how long a client may take to send a request it has
            begun, and how long it may leave what is sent to it unread.
        tls_port: of the second, TLS-wrapped listener; None for none, 0 takes a free one.
        tls_dir: where the self-made certificate is kept; empty for the user's state directory.
        tls_cert, tls_key: PEM files to use instead; both or neither.

        cash: dollars in a new account.
        keys: the only key pairs known; empty lets any pair in.
        rate_limit: trading requests per key in any ``rate_window``; 0 is unlimited.
        rate_window: seconds.

        session: ``always`` or ``nyse``.
        fill_delay_ms: from acceptance to the first try to fill.
        cancel_delay_ms: how long cancels and replacements are pending.
        liquidity: ``unlimited`` or ``displayed``.
        partial_fill_rate: share of executions that at first fill a part.
        closed_ioc: ``cancel`` or ``refuse`` IOC and FOK orders while closed.

        symbols: equities beyond the bundled list.
        seed: of prices, displayed sizes and partial fills.
        volatility: of prices, per year (0.4 is 40 %).
        replay: files and folders of recorded prices.
        replay_times: ``start`` moves them to the exchange's start, ``recorded`` keeps theirs.

        start_ns: when the clock begins, in nanoseconds since the epoch; None for now.
        speed: how many times as fast as real time the clock runs.
        stepped: the clock only moves by ``POST /admin/clock``.

        stream_frames: ``binary`` (as paper sends) or ``text``.
        stream_connections: trade_updates connections per account; 0 is no limit.
        data_feeds: market data websockets that are open to clients; ``test`` always is.
        data_connections: market data connections per account and feed; 0 is no limit.
        data_symbols: trades and quotes subscribed to per connection; 0 is no limit.

        state: the file that everything survives a restart in; None for none.
        keep_closed: closed orders, and executions, that stay in memory; older ones go to disk.
        order_log: a file that every event of every order is written to, a line each.
        log_level: the least that is logged: ``debug``, ``info``, ``warning`` or ``error``.

        faults: in force from the start.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    keep_alive_s: float = 75.0
    client_timeout_s: float = 12.0
    tls_port: int | None = None
    tls_dir: str = ""
    tls_cert: str = ""
    tls_key: str = ""

    cash: Decimal = Decimal(100_000)
    keys: tuple[tuple[str, str], ...] = ()
    rate_limit: int = 200
    rate_window: float = 60.0

    session: str = "always"
    fill_delay_ms: int = 0
    cancel_delay_ms: int = 0
    liquidity: str = "unlimited"
    partial_fill_rate: float = 0.0
    closed_ioc: str = "cancel"

    symbols: tuple[str, ...] = ()
    seed: int = 0
    volatility: float = 0.4
    replay: tuple[str, ...] = ()
    replay_times: str = "start"

    start_ns: int | None = None
    speed: float = 1.0
    stepped: bool = False

    stream_frames: str = "binary"
    stream_connections: int = 0
    data_feeds: tuple[str, ...] = ("iex", "sip", "delayed_sip", "crypto")
    data_connections: int = 0
    data_symbols: int = 0

    state: Path | None = None
    keep_closed: int = 1_000
    order_log: Path | None = None
    log_level: str = "warning"

    faults: tuple[Spec, ...] = ()
