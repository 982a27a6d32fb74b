"""One client's connection, below requests and messages: resets, waits, and writes that stall."""

import asyncio
import contextlib
import socket
import struct

from starlette.types import Scope

#: Where a scope's ``extensions`` hold the connection's ``Line``.
LINE = "paper_exchange.line"
#: Seconds that a connection which is being closed gets to take what was written to it.
FAREWELL_S = 0.5
_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST: what was not sent yet is lost, and the client sees an error.

    Without it the kernel would go on offering the rest to a client that does not read.
    """
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class Line:
    """What the application may do to a connection besides answering on it.

    Attributes:
        held: somebody waits on this connection on purpose; it is cut when the
            server ends, instead of being waited for.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.held = False
        self._lost = asyncio.Event()
        self._ending = asyncio.Event()

    def lose(self) -> None:
        """The connection has ended; called by its protocol."""
        self._lost.set()

    def end(self) -> None:
        """The server is about to end; called by its protocol."""
        self._ending.set()

    def reset(self) -> None:
        """End the connection with RST."""
        reset(self.transport)

    def close(self) -> None:
        """End the connection once what was written has been sent."""
        self.transport.close()

    async def gone(self) -> None:
        """Wait until the connection has ended, by whomever."""
        self.held = True
        await self._lost.wait()

    async def pause(self, seconds: float) -> bool:
        """Let time pass, whether the client stays or not; False when the server ends first."""
        if seconds <= 0:
            return True
        before, self.held = self.held, True
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return True
        finally:
            self.held = before
        return False


def line_of(scope: Scope) -> Line | None:
    """The connection of a request or socket; None when there is no network below."""
    line = scope.get("extensions", {}).get(LINE)
    return line if isinstance(line, Line) else None


async def has_ended(scope: Scope) -> bool:
    """Whether the connection is over; waits for the notice if it is about to be."""
    line = line_of(scope)
    if line is None or not line.transport.is_closing():
        return False
    await line.gone()
    return True


class Stall:
    """Ends a connection whose client has stopped taking what it is sent.

    A full write buffer alone says little: a large answer takes its time. One
    that has not shrunk for ``seconds`` belongs to somebody who does not read.
    """

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The write buffer is full."""
        self._size = self._transport.get_write_buffer_size()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """It has room again, or the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() >= self._size:
            reset(self._transport)
        else:
            self.begin()


class Patience(asyncio.Protocol):
    """Watches the stall of a connection; stands before the protocol whose writes it watches."""

    _stall: Stall

    def pause_writing(self) -> None:
        """The client does not read as fast as it is told."""
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self._stall.end()
