"""The thread that listens to the account's order events.

One thread does it all: it reads the socket (:mod:`solution.feeds.websocket`), feeds the
conversation (:mod:`solution.feeds.trade_updates`) and calls the handler with all updates that one
``recv`` brought. The threaded client of ``websockets`` reads on a thread of its own and hands each
message over, which costs a second thread switch per message. Measured at 3,000 messages a second
on loopback, medians on one busy core: 49 instead of 56 µs of CPU per message sent singly, 14
instead of 19 µs in bursts of 30; most of the former is the kernel's wake-up. As important: there is
one thread to end, and a stop can interrupt a handshake.

What it does when things go wrong:

- silence: a ping after 10 s without data; nothing for 10 s after the ping ends the connection;
- a lost connection: reconnect, 0.25 → 8 s apart with jitter, counted anew after 30 s of health;
- HTTP 429 at the handshake: what Retry-After says, else 5 → 60 s apart;
- refused keys (in the conversation, or HTTP 401 or 403): 30 s apart, and the state says so;
- a handler that raises: logged and counted; the connection is not its business and stays.

There is no replay on this stream. After each (re)connect, once the server says that it listens,
``on_connected`` is called, and the orders have to be read by REST.
"""

import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from solution.clock import Clock
from solution.errors import ConfigError
from solution.feeds.trade_updates import StreamRefused, StreamState, TradeUpdates, Update
from solution.feeds.websocket import (
    Connection,
    ConnectionDown,
    HandshakeRefused,
    Interrupted,
    Wakeup,
)
from solution.runtime.service import Service

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPolicy:
    """All times of the stream, in seconds, and chance. The defaults are meant to be used."""

    connect: float = 10.0
    """TCP, TLS and the websocket handshake together."""
    listen: float = 10.0
    """From the open websocket to LISTENING."""
    ping_after: float = 10.0
    dead_after: float = 10.0
    """Counted from the ping."""
    silent_after: float = 2.0
    """Counted from the ping; from then on nobody relies on the stream."""
    first_pause: float = 0.25
    longest_pause: float = 8.0
    first_limited_pause: float = 5.0
    longest_limited_pause: float = 60.0
    refused_pause: float = 30.0
    healthy_after: float = 30.0
    told_every: int = 10
    """Of so many failed attempts in a row, each time, :attr:`TradeStream.on_failing` is told."""
    draw: Callable[[], float] = random.random
    """A number in [0, 1) for the jitter."""


class TradeStream(Service):
    """Keeps one connection to the order stream and passes its updates on.

    Both callbacks run on this thread with no lock held, and the stream is not read meanwhile, so
    they should hand over and return. The properties may be read from any thread.

    Args:
        url: ``wss://…/stream`` (``ws://`` for a local exchange).
        conversation: made with the key pair.
        on_updates: gets the updates of one ``recv``, in order. When it raises, each update of the
            list is handed in again on its own, so that one bad update costs only itself; it must
            therefore bear repetition, as the stream itself repeats.
        on_connected: called after each (re)connect once the server listens.
        policy: times and chance.
        clock: where now comes from.
        tls: None for the system's trust store.

    Raises:
        ConfigError: the URL is no websocket URL.
    """

    def __init__(
        self,
        url: str,
        conversation: TradeUpdates,
        *,
        on_updates: Callable[[list[Update]], None],
        on_connected: Callable[[], None],
        policy: StreamPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("trade-stream", clock=clock)
        try:
            self._uri = parse_uri(url)
        except (InvalidURI, ValueError):
            # Not repeated here: an address may carry a user and a password.
            raise ConfigError("the order stream's address must be ws:// or wss://") from None
        self._conversation = conversation
        self._on_updates = on_updates
        self._on_connected = on_connected
        self.on_failing: Callable[[str], None] = lambda _why: None
        """Called with the reason each time so many attempts in a row came to nothing; those that
        were answered with HTTP 429 are not among them. To be set before the start."""
        self.give_way: Callable[[], None] = lambda: None
        """Called before updates are passed on; may wait a moment. To be set before the start."""
        self._policy = policy or StreamPolicy()
        self._tls = tls
        self._wakeup = Wakeup()
        self._connection: Connection | None = None
        self._opened_at = 0.0
        self._listening_since: float | None = None
        self._pinged_at: float | None = None
        self._failures = 0
        self._in_vain = 0
        self._connects = 0
        self._heard_at: float | None = None
        self._last_message_at: float | None = None
        self._state = "not started"
        self.handler_errors = 0
        """Exceptions of the two callbacks since the start."""

    @property
    def connected(self) -> bool:
        """Whether the server has confirmed that we hear the account's updates."""
        return self._listening_since is not None

    @property
    def delivers(self) -> bool:
        """Whether it is connected and the server was heard when it had to be, pongs included.

        A connection that died without a word is still called connected for up to 20 s.
        """
        age, policy = self.age(), self._policy
        return self.connected and age is not None and age < policy.ping_after + policy.silent_after

    @property
    def last_message_at(self) -> float | None:
        """When the last message arrived (monotonic), None before the first. Quiet days are long."""
        return self._last_message_at

    def age(self) -> float | None:
        """Seconds since the server last said anything, pongs included; None before the first time.

        Above ``ping_after + dead_after`` (20 s) there is no connection.
        """
        heard = self._heard_at
        return None if heard is None else self._clock.monotonic() - heard

    @property
    def reconnects(self) -> int:
        """How often the stream was regained after it had been up."""
        return max(0, self._connects - 1)

    @property
    def state(self) -> str:
        """For the status page: ``listening``, ``refused: …``, ``waiting 0.3 s: …``."""
        return self._state

    def request_stop(self) -> None:
        super().request_stop()
        self._wakeup.set()

    def on_start(self) -> None:
        self._wakeup.open()

    def on_stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._listening_since = None
        self._state = "stopped"
        self._wakeup.close()

    def step(self) -> float:
        """Connect, or wait for the next data and pass it on.

        Returns:
            0, or the pause before the next attempt to connect.
        """
        try:
            if self._connection is None:
                self._connect()
            else:
                self._pump(self._connection)
        except (ConnectionDown, StreamRefused) as error:
            return self._lost(error)
        return 0.0

    def _connect(self) -> None:
        self._state = "connecting"
        if self._uri.secure and self._tls is None:
            self._tls = ssl.create_default_context()  # 10 ms of CPU, so once
        self._connection = connection = Connection.open(
            self._uri,
            seconds=self._policy.connect,
            wakeup=self._wakeup,
            tls=self._tls,
            monotonic=self._clock.monotonic,
        )
        self._opened_at = self._heard_at = connection.heard_at
        self._pinged_at = None
        self._state = StreamState.AUTHENTICATING.value
        connection.send(self._conversation.opening())

    def _pump(self, connection: Connection) -> None:
        messages = connection.receive(self._quiet_time_left(connection))
        heard_at = connection.heard_at
        if heard_at != self._heard_at:
            self._heard_at = heard_at
            self._pinged_at = None
        if messages:
            self._last_message_at = heard_at
            self.give_way()
            self._take(messages, connection)
        self._check(connection)

    def _take(self, messages: list[bytes], connection: Connection) -> None:
        updates: list[Update] = []
        for message in messages:
            updates += self._conversation.receive(message)
        for answer in self._conversation.to_send():
            connection.send(answer)
        if self._listening_since is None and self._conversation.state is StreamState.LISTENING:
            self._listening()
        if updates:
            self._deliver(updates)

    def _listening(self) -> None:
        self._listening_since = self._clock.monotonic()
        self._connects += 1
        self._in_vain = 0
        self._state = StreamState.LISTENING.value
        log.info("trade_stream_listening", extra={"reconnects": self.reconnects})
        try:
            self._on_connected()
        except Exception:  # a handler's bug is not the connection's end
            self.handler_errors += 1
            log.exception("trade_stream_on_connected_failed")

    def _deliver(self, updates: list[Update]) -> None:
        try:
            self._on_updates(updates)
        except Exception:  # a handler's bug is not the connection's end
            self.handler_errors += 1
            log.exception("trade_stream_handler_failed", extra={"updates": len(updates)})
            if len(updates) > 1:
                for update in updates:
                    self._deliver([update])

    def _quiet_time_left(self, connection: Connection) -> float:
        """Seconds until :meth:`_check` has something to do if nothing arrives."""
        policy = self._policy
        if self._pinged_at is None:
            due = connection.heard_at + policy.ping_after
        else:
            due = self._pinged_at + policy.dead_after
        if self._listening_since is None:
            due = min(due, self._opened_at + policy.listen)
        return due - self._clock.monotonic()

    def _check(self, connection: Connection) -> None:
        """Ping a silent server, and give up on one that is dead or never starts to listen."""
        policy = self._policy
        now = self._clock.monotonic()
        if self._conversation.state is not StreamState.LISTENING and self._late(now):
            raise ConnectionDown("the server did not start to listen in time")
        # Silence counts from the ping, not from the last data: a handler that took long must not
        # make a healthy connection look dead.
        if self._pinged_at is not None:
            if now - self._pinged_at >= policy.dead_after:
                raise ConnectionDown(f"no answer to a ping for {policy.dead_after:g} s")
        elif now - connection.heard_at >= policy.ping_after:
            connection.ping()
            self._pinged_at = now

    def _late(self, now: float) -> bool:
        return now - self._opened_at >= self._policy.listen

    def _lost(self, error: ConnectionDown | StreamRefused) -> float:
        """Close what is left and say how long to wait before the next attempt."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        up = (
            None
            if self._listening_since is None
            else self._clock.monotonic() - self._listening_since
        )
        self._listening_since = None
        if isinstance(error, Interrupted):  # request_stop() woke us: the loop ends now
            return 0.0
        if up is None:
            self._count_attempt(error)
        elif up >= self._policy.healthy_after:
            self._failures = 0
        pause = self._pause(error)
        self._failures += 1
        refused = _refused(error)
        self._state = f"refused: {error}" if refused else f"waiting {pause:.1f} s: {error}"
        log.log(
            logging.ERROR if refused else logging.WARNING,
            "trade_stream_refused" if refused else "trade_stream_down",
            extra={
                "why": str(error),
                "code": error.code if isinstance(error, ConnectionDown) else None,
                "up_seconds": up,
                "pause": round(pause, 3),
                "failures": self._failures,
            },
        )
        return pause

    def _count_attempt(self, error: ConnectionDown | StreamRefused) -> None:
        """One more that never got to listen."""
        if isinstance(error, HandshakeRefused) and error.status == 429:
            return
        self._in_vain += 1
        if self._in_vain % self._policy.told_every == 0:
            self.on_failing(f"{self._in_vain} attempts to reach the order stream: {error}")

    def _pause(self, error: ConnectionDown | StreamRefused) -> float:
        policy = self._policy
        if _refused(error):
            return policy.refused_pause
        if isinstance(error, HandshakeRefused) and error.status == 429:
            if error.retry_after is not None:  # 0 must not make this a spin
                return max(error.retry_after, self._jittered(policy.first_pause, 1.0))
            return self._jittered(policy.first_limited_pause, policy.longest_limited_pause)
        return self._jittered(policy.first_pause, policy.longest_pause)

    def _jittered(self, first: float, longest: float) -> float:
        """Doubling from ``first`` to ``longest``, less up to half of it by chance."""
        ceiling = min(longest, first * 2.0 ** min(self._failures, 30))
        return ceiling * (0.5 + self._policy.draw() / 2)


def _refused(error: ConnectionDown | StreamRefused) -> bool:
    return isinstance(error, StreamRefused) or (
        isinstance(error, HandshakeRefused) and error.status in {401, 403}
    )
