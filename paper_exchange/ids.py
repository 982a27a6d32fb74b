"""Identifiers: random UUIDs for what happens, stable ones for what is, and ULIDs for events."""

import hashlib
import os
from collections.abc import Callable
from random import Random
from uuid import UUID

IdSource = Callable[[], str]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _as_uuid4(bits: int) -> str:
    bits = (bits & ~(0xF << 76)) | (4 << 76)
    bits = (bits & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def random_id() -> str:
    """A new UUIDv4 from the system's randomness.

    Not from the exchange's seed: two runs with one seed must not reuse order
    ids, because a client's ledger may outlive both.
    """
    return _as_uuid4(int.from_bytes(os.urandom(16), "big"))


def seeded_ids(seed: int | str) -> IdSource:
    """A source of UUIDv4s that repeats itself for equal seeds."""
    draw = Random(seed)  # noqa: S311  -- nothing is protected by them
    return lambda: _as_uuid4(draw.getrandbits(128))


def stable_id(*parts: str) -> str:
    """The same UUID for the same parts, across restarts and machines."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return _as_uuid4(int.from_bytes(digest[:16], "big"))


def is_uuid(text: str) -> bool:
    """Whether ``text`` can be read as a UUID."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def ulid(ns: int, sequence: int) -> str:
    """A ULID from a time and a running number: sorts like the order in which events happened."""
    bits = ((ns // 1_000_000) << 80) | (sequence & ((1 << 80) - 1))
    return "".join(_CROCKFORD[(bits >> shift) & 31] for shift in range(125, -1, -5))
