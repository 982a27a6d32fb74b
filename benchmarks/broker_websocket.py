"""The server's half of RFC 6455, as far as the order stream needs it. No I/O."""

import base64
import hashlib
import struct

import orjson

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


def accept(key: bytes) -> bytes:
    """The answer to a handshake with this ``Sec-WebSocket-Key``."""
    token = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % token
    )


def frame(payload: bytes, opcode: int = _BINARY) -> bytes:
    """One unmasked, final frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


class Conversation:
    """What one client says on ``/stream``, and what is answered."""

    def __init__(self) -> None:
        self._data = b""
        self.listening = False
        self.closed = False

    def receive(self, data: bytes) -> bytes:
        """Take in bytes; the bytes to send back."""
        self._data += data
        answer = b""
        while (found := self._next()) is not None:
            answer += self._answer(*found)
        return answer

    def _answer(self, opcode: int, payload: bytes) -> bytes:
        if opcode in {_TEXT, _BINARY}:
            return frame(self._reply(orjson.loads(payload)))
        if opcode == _PING:
            return frame(payload, _PONG)
        if opcode == _CLOSE:
            self.closed = True
            return frame(payload, _CLOSE)
        return b""

    def _reply(self, message: dict[str, object]) -> bytes:
        if message.get("action") == "listen":
            self.listening = True
            data: object = {"streams": ["trade_updates"]}
            return orjson.dumps({"stream": "listening", "data": data})
        data = {"status": "authorized", "action": "authenticate"}
        return orjson.dumps({"stream": "authorization", "data": data})

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole frame of a client; clients mask, and ours does not fragment."""
        data = self._data
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        end = start + 4 + size
        if len(data) < end:
            return None
        mask = data[start : start + 4]
        payload = bytes(b ^ mask[i & 3] for i, b in enumerate(data[start + 4 : end]))
        self._data = data[end:]
        return data[0] & 0x0F, payload
