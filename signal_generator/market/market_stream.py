"""A thread that keeps one market-data websocket open and tells what is heard on it."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from signal_generator.bars import Bar, Quote
from signal_generator.market.market_protocol import Heard, MarketConversation, Next

REPORT_AFTER = 10
"""Failures in a row after which the log says so as an error."""
LONGEST_PAUSE = 60.0
"""Seconds from one try to the next, at most."""
_SHORTEST_WHEN_FULL = 10.0
_PROVEN = 10.0
"""Seconds a subscription must have stood, or data come, for the failures to be forgotten."""
_OPEN_SECONDS = 5.0
_PING_SECONDS = 10.0
_LOOK = 0.25
"""Seconds: how often a quiet connection looks whether it is to end."""

# websockets logs every frame at DEBUG, and one of ours carries the secret key.
_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.INFO)


class Listener(Protocol):
    """Who is told. Every method is called from the stream's thread, and only enqueues."""

    def subscribed(self) -> None:
        """From here on everything comes live."""

    def lost(self) -> None:
        """From here on something may be missing; also called if nothing stood before."""

    def bar(self, bar: Bar) -> None:
        """A minute has ended."""

    def correction(self, bar: Bar) -> None:
        """A minute's bar has changed."""

    def quote(self, quote: Quote) -> None:
        """The best bid and ask have changed."""

    def refused(self, why: str) -> None:
        """The server will never take us; the stream has ended."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Symbols of minute bars, and of quotes."""

    bars: Sequence[str]
    quotes: Sequence[str]

    @property
    def symbols(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.bars, *self.quotes))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence is borne, and whose clock and dice say so.

    Args:
        silence: seconds without any data, while the market is open, before a new connection is
            tried. Minute bars of illiquid symbols do not come every minute.
        draw: a number from 0 to 1.
    """

    silence: float = 180.0
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random


class ConnectionEnded(Exception):
    """This connection is over; the text says why."""


class Pauses:
    """How long to wait before the next try: about doubling, with some chance in it.

    Args:
        draw: a number from 0 to 1, so that many clients do not come back at once.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self.failures = 0

    def next(self, at_least: float = 0.0) -> float:
        """Count a failure and return the seconds to wait."""
        self.failures += 1
        grown = 2.0 ** min(self.failures - 1, 10) + self._draw()
        return max(at_least, min(LONGEST_PAUSE, grown))

    def forget(self) -> None:
        """It works again."""
        self.failures = 0


class MarketStream:
    """One websocket, for ever.

    Args:
        url: the whole address.
        is_open: whether the market is open, so that silence means something.
    """

    def __init__(
        self,
        url: str,
        keys: tuple[str, str],
        wanted: Wanted,
        listener: Listener,
        *,
        is_open: Callable[[], bool],
        log: logging.Logger,
        patience: Patience,
    ) -> None:
        self._url = url
        self._keys = keys
        self._wanted = wanted
        self._listener = listener
        self._is_open = is_open
        self._log = log
        self._silence = patience.silence
        self._monotonic = patience.monotonic
        self._pauses = Pauses(patience.draw)
        self._stop = threading.Event()
        self._subscribed_at: float | None = None
        self._heard_at = 0.0
        self.malformed = 0
        #: Daemon: a connection that is just being made cannot be interrupted, and ends by itself.
        self._thread = threading.Thread(target=self._run, name="market stream", daemon=True)

    def start(self) -> None:
        """Begin; to be called once."""
        self._thread.start()

    def ask_stop(self) -> None:
        """Nothing is told any more, soon."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended within this time."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and (pause := self._step()) is not None:
                self._stop.wait(pause)
        except Exception:  # noqa: BLE001  # a thread that ends silently looks like a quiet market
            self._log.exception("market_stream_failed")
            self._listener.lost()
            self._listener.refused("a defect of the program ended the stream; the log has it")

    def _step(self) -> float | None:
        """One connection from beginning to end; the seconds to wait, None to end for good."""
        self._subscribed_at = None
        then = Next.AGAIN
        try:
            with self._connected() as socket:
                then = self._converse(socket)
        except (OSError, WebSocketException) as error:
            why = _reason(error)
        except ConnectionEnded as error:
            why = str(error)
        else:
            why = ""
        if self._stop.is_set():
            return 0.0
        self._listener.lost()
        if then is Next.NEVER:
            return None
        pause = self._pauses.next(_SHORTEST_WHEN_FULL if then is Next.LATER else 0.0)
        self._tell(why, pause)
        return pause

    def _connected(self) -> ClientConnection:
        return connect(
            self._url,
            open_timeout=_OPEN_SECONDS,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            close_timeout=0.5,
            compression=None,
            proxy=None,  # as the service does
            logger=_wire_log,
        )

    def _converse(self, socket: ClientConnection) -> Next:
        """Until it ends; what is left to be done then, where the server said so.

        Raises:
            ConnectionEnded: this side gave it up.
            WebSocketException, OSError: it broke.
        """
        conversation = MarketConversation(
            *self._keys, bars=self._wanted.bars, quotes=self._wanted.quotes
        )
        self._heard_at = self._monotonic()
        while not self._stop.is_set():
            try:
                message = socket.recv(timeout=_LOOK)
            except TimeoutError:
                self._watch()
                continue
            heard = conversation.hear(message)
            for answer in heard.say:
                socket.send(answer, text=True)
            self._pass_on(heard)
            if heard.trouble is not None and heard.trouble.then is not Next.GO_ON:
                self._report_trouble(heard.trouble.text, heard.trouble.then)
                return heard.trouble.then
            self._watch()
        return Next.AGAIN

    def _watch(self) -> None:
        """Give up a connection that is open and silent: pings are answered by machines."""
        now = self._monotonic()
        if self._subscribed_at is None:
            if now - self._heard_at > 2 * _OPEN_SECONDS:
                raise ConnectionEnded("it did not let us subscribe")
            return
        if now - self._subscribed_at > _PROVEN:
            self._pauses.forget()
        if not self._is_open():
            self._heard_at = now
        elif now - self._heard_at > self._silence:
            raise ConnectionEnded(f"nothing was heard for {self._silence:.0f} s")

    def _pass_on(self, heard: Heard) -> None:
        if heard.subscribed and self._subscribed_at is None:
            self._subscribed_at = self._monotonic()
            self._log.info("subscribed to %d symbols", len(self._wanted.symbols))
            self._listener.subscribed()
        for quote in heard.quotes:
            self._listener.quote(quote)
        for bar in heard.bars:
            self._listener.bar(bar)
        for bar in heard.corrections:
            self._listener.correction(bar)
        if heard.is_data:
            self._heard_at = self._monotonic()
            self._pauses.forget()
        for what in heard.malformed:
            self.malformed += 1
            if self.malformed in {1, 10, 100} or self.malformed % 1000 == 0:
                self._log.warning(
                    "market data that cannot be read, no. %d: %s", self.malformed, what
                )

    def _report_trouble(self, text: str, then: Next) -> None:
        if then is Next.NEVER:
            self._log.error("no market data: %s", text)
            self._listener.refused(text)
        else:
            self._log.warning("market data stream: %s", text)

    def _tell(self, why: str, pause: float) -> None:
        failures = self._pauses.failures
        why = why or "ended by the server"
        if failures % REPORT_AFTER == 0:
            self._log.error(
                "no market data stream after %d tries, the next in %.0f s: %s", failures, pause, why
            )
        else:
            self._log.warning("market data stream lost, again in %.1f s: %s", pause, why)


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidHandshake):
        return f"no websocket there: {error}"
    return str(error) or type(error).__name__
