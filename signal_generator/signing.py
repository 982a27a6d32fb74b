"""Signing signals, as `docs/reference/signal.md` describes it.

An implementation of its own: packages meet only on the wire, and a mistake made once would
otherwise sit on both sides. `tests/golden/signatures.json` holds them together.
"""

import hashlib
import hmac
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from signal_generator.secret_files import read_secret_file

VARIABLE = "SIGNAL_HMAC_KEY"
FILE_VARIABLE = "SIGNAL_HMAC_KEY_FILE"
_KEY = re.compile(r"([A-Za-z0-9_.-]{1,64}):([!-+\--:<-~]{32,})")

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """A key to sign with; its secret is in no repr."""

    kid: str
    secret: bytes = field(repr=False)


def parse_key(text: str, source: str) -> Key:
    """Read `kid:secret`.

    Raises:
        ValueError: it is no such text; the message names the source and does not quote it.
    """
    match = _KEY.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{source} must be kid:secret, exactly one and without limits, the secret of at least "
            "32 characters"
        )
    return Key(match[1], match[2].encode())


def find_key(environ: Mapping[str, str], file: str | None) -> Key | None:
    """The key from the file or from the environment, or None where neither is given.

    Raises:
        ValueError: both are given, or what is given is no key or cannot be read.
    """
    text = environ.get(VARIABLE, "").strip()
    if not file:
        return parse_key(text, VARIABLE) if text else None
    if text:
        raise ValueError(f"{VARIABLE} and {FILE_VARIABLE} are both set")
    return parse_key(read_secret_file(file), f"the file {file!r}")


def canonical(stream: str, fields: Fields) -> bytes:
    """What is signed: version, stream, and every field but `sig`, each with its length in bytes."""
    lower = {name.lower(): value.encode() for name, value in fields.items()}
    lines = [("stream", stream.encode())]
    lines += [(name, lower[name]) for name in sorted(lower) if name != "sig"]
    body = b"".join(b"%s=%d:%s\n" % (name.encode(), len(value), value) for name, value in lines)
    return b"signalpaca-v1\n" + body


def sign(key: Key, stream: str, fields: Fields) -> str:
    """HMAC-SHA256 in 64 hexadecimal digits."""
    return hmac.new(key.secret, canonical(stream, fields), hashlib.sha256).hexdigest()


class Signer:
    """Completes and signs signals for one stream.

    Args:
        key: to sign with.
        stream: the name the signature holds for.
        now_ms: the producer's clock, epoch milliseconds.
        new_id: makes a `signal_id` for a signal without one.
    """

    def __init__(
        self,
        key: Key,
        stream: str,
        *,
        now_ms: Callable[[], int],
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._key = key
        self._stream = stream
        self._now_ms = now_ms
        self._new_id = new_id

    def __call__(self, fields: Fields) -> dict[str, str]:
        """The fields with `signal_id` and `ts` where they were missing, `kid` and `sig`."""
        signed = dict(fields)
        names = {name.lower() for name in signed}
        if "signal_id" not in names:
            signed["signal_id"] = self._new_id()
        if "ts" not in names:
            signed["ts"] = str(self._now_ms())
        signed["kid"] = self._key.kid
        return {**signed, "sig": sign(self._key, self._stream, signed)}
