"""Bars of the past, by alpaca-py's data clients; imported only when the first one is asked for.

The clients have no timeout and sleep three seconds, up to three times, when told to come again.
Here their sessions get a timeout and an answer of that kind is an error at once; what to do then
is the caller's decision. They are not made for several threads: an instance belongs to one.
"""

import contextlib
import importlib.util
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from signal_generator.bars import Bar, Timeframe
from signal_generator.connection import Connection
from signal_generator.hosting import BrokerRefused, BrokerUnavailable
from signal_generator.market.bar_rows import read_bar
from signal_generator.market.bar_times import ONE_DAY, bar_end, is_crypto

_CONNECT_SECONDS, _READ_SECONDS = 5.0, 15.0
_COME_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_ONE_SECOND = timedelta(seconds=1)
#: Bars in memory at a time; their JSON takes ten times what they take.
_MOST_AT_ONCE = 20_000

Bars = Mapping[str, Sequence[Bar]]


class HistoryUnavailable(BrokerUnavailable):
    """No answer, or none that can be used; asking again later is safe and may help."""


class HistoryRefused(HistoryUnavailable, BrokerRefused):
    """The server says no: keys, plan or symbol. Asking again gives the same answer."""


class _ComeAgain(requests.RequestException):
    """An answer that asks to come again later, kept from alpaca-py, which would sleep on it."""


class _Adapter(HTTPAdapter):
    """Gives every request a timeout, as alpaca-py does not, and looks at the server's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.behind = 0.0

    def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]  # names only
        options["timeout"] = (_CONNECT_SECONDS, _READ_SECONDS)
        response = super().send(request, **options)
        if response.status_code in _COME_AGAIN:
            response.close()
            raise _ComeAgain(f"HTTP {response.status_code}")
        with contextlib.suppress(KeyError, ValueError):
            told = parsedate_to_datetime(response.headers["Date"])
            self.behind = told.timestamp() - time.time()
        return response


class MarketHistory:
    """Completed bars of shares and crypto.

    Args:
        settle: a bar is complete when it has been over for this long.

    Raises:
        ModuleNotFoundError: alpaca-py is not installed; said before the first bar is needed.
    """

    def __init__(self, connection: Connection, settle: timedelta) -> None:
        if importlib.util.find_spec("alpaca") is None:
            raise ModuleNotFoundError(
                "live bars need alpaca-py: pip install 'signalpaca[strategies]'", name="alpaca"
            )
        self._connection = connection
        self._settle = settle
        self._clients: dict[bool, Any] = {}
        self._adapters: list[_Adapter] = []

    def last(
        self,
        symbols: Collection[str],
        timeframe: Timeframe,
        count: int,
        *,
        until: datetime,
        now: datetime,
    ) -> Bars:
        """The last `count` bars of each that begin no later than `until` and are complete.

        It walks back over nights, weekends and holidays, in steps that grow; symbols that are
        traded rarely may end with fewer.

        Raises:
            HistoryUnavailable, HistoryRefused: see there.
        """
        found: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
        span, earliest = _spans(timeframe, count, until)
        end, short = until, list(found)
        while short and end > earliest:
            start = max(end - min(span, _widest(timeframe, len(short))), earliest)
            for symbol, bars in self.between(short, timeframe, start, end).items():
                over = [bar for bar in bars if self._is_over(bar, timeframe, now)]
                found[symbol] = over + found[symbol]
            short = [symbol for symbol in short if len(found[symbol]) < count]
            end, span = start - _ONE_SECOND, span * 6
        return {symbol: bars[-count:] for symbol, bars in found.items()}

    def parts(
        self, symbols: Collection[str], timeframe: Timeframe, start: datetime, end: datetime
    ) -> Iterator[Bars]:
        """All bars that begin from `start` to `end`, in parts that follow each other in time."""
        width = _widest(timeframe, len(symbols))
        while start <= end:
            yield self.between(symbols, timeframe, start, min(start + width, end))
            start += width + _ONE_SECOND

    def between(
        self, symbols: Collection[str], timeframe: Timeframe, start: datetime, end: datetime
    ) -> Bars:
        """All bars that begin from `start` to `end`, complete or not; of all symbols at once."""
        found: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
        for crypto in (False, True):
            wanted = [symbol for symbol in symbols if is_crypto(symbol) is crypto]
            if wanted:
                with _translated():
                    rows = self._ask(wanted, timeframe, start, end, crypto=crypto)
                    for symbol in wanted:
                        found[symbol] = [read_bar(symbol, row) for row in rows.get(symbol) or ()]
        return found

    def clock_error(self) -> float:
        """By how many seconds the server's clock was ahead of this machine's, to about one."""
        return max((adapter.behind for adapter in self._adapters), key=abs, default=0.0)

    def _ask(
        self,
        symbols: list[str],
        timeframe: Timeframe,
        start: datetime,
        end: datetime,
        *,
        crypto: bool,
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        from alpaca.data.enums import DataFeed
        from alpaca.data.requests import CryptoBarsRequest, StockBarsRequest

        client = self._client(crypto=crypto)
        asked = {
            "symbol_or_symbols": symbols,
            "timeframe": _alpacas(timeframe),
            "start": start,
            "end": end,
        }
        answer: Any
        if crypto:
            answer = client.get_crypto_bars(CryptoBarsRequest(**asked))
        else:
            # Left out, the feed is the best that exists, which most plans do not include.
            feed = DataFeed(self._connection.feed)
            answer = client.get_stock_bars(StockBarsRequest(feed=feed, **asked))
        return answer  # type: ignore[no-any-return]  # raw_data: plain JSON

    def _client(self, *, crypto: bool) -> Any:
        if crypto not in self._clients:
            self._adapters.append(_Adapter())
            self._clients[crypto] = _make_client(
                self._connection, self._adapters[-1], crypto=crypto
            )
        return self._clients[crypto]

    def _is_over(self, bar: Bar, timeframe: Timeframe, now: datetime) -> bool:
        return bar_end(bar.symbol, bar.timestamp, timeframe) + self._settle <= now


def _make_client(connection: Connection, adapter: _Adapter, *, crypto: bool) -> Any:
    from alpaca.data.historical.crypto import CryptoHistoricalDataClient
    from alpaca.data.historical.stock import StockHistoricalDataClient

    client = (CryptoHistoricalDataClient if crypto else StockHistoricalDataClient)(
        connection.key, connection.secret, raw_data=True, url_override=connection.data_url
    )
    # Private, and the only way in; the tests ask a silent server whether it still is.
    session = client._session
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return client


def _alpacas(timeframe: Timeframe) -> Any:
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    amount = timeframe.value.rstrip("MinHourDay")
    return TimeFrame(int(amount), TimeFrameUnit(timeframe.value.removeprefix(amount)))


def _spans(timeframe: Timeframe, count: int, until: datetime) -> tuple[timedelta, datetime]:
    """How far to look back at first, and how far at most."""
    if timeframe is Timeframe.DAY:
        return count * ONE_DAY * 1.6 + 7 * ONE_DAY, until - count * ONE_DAY * 2 - 30 * ONE_DAY
    needed = count * timeframe.length
    return max(2 * needed, timedelta(hours=1)), until - max(14 * ONE_DAY, 12 * needed)


def _widest(timeframe: Timeframe, symbols: int) -> timedelta:
    return max(ONE_DAY, timeframe.length * (_MOST_AT_ONCE // max(symbols, 1)))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What goes wrong below is told in our words, here and nowhere else."""
    from alpaca.common.exceptions import APIError

    try:
        yield
    except requests.RequestException as error:
        raise HistoryUnavailable(f"no bars from history: {error}") from error
    except APIError as error:
        raise HistoryRefused(f"no bars from history: HTTP {error.status_code}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # How alpaca-py takes an answer that is JSON but not what it expects.
        raise HistoryUnavailable(f"an answer of history cannot be used: {error}") from error
