"""Who a request says it comes from."""

import base64
import binascii


def credentials(headers: dict[bytes, bytes]) -> tuple[str, str] | None:
    """Key and secret from Alpaca's headers, HTTP Basic, or Bearer (the token is the key)."""
    key = headers.get(b"apca-api-key-id")
    if key:
        secret = headers.get(b"apca-api-secret-key", b"")
        return key.decode("latin-1"), secret.decode("latin-1")
    kind, _, value = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer" and value:
        return value.decode("latin-1"), ""
    return _basic(value) if kind.lower() == b"basic" else None


def _basic(value: bytes) -> tuple[str, str] | None:
    try:
        name, _, word = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, word) if name else None
