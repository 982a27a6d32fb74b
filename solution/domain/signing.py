"""Signatures of signals: the form that is signed, and who may sign what.

The form is made so that ten lines of any language produce it, and no two signals share one: see
``docs/reference/signal.md``. Every producer has an implementation of its own; what holds them
together is ``tests/golden/signatures.json``.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from solution.domain.reasons import Reason
from solution.domain.signal import Signal, contents
from solution.domain.signal_fields import Fields
from solution.errors import SignalError

VERSION: Final = b"signalpaca-v1\n"
"""First line of the form: a later form can never be taken for this one."""
_SIG: Final = re.compile(r"[0-9a-f]{64}")
_NEEDED: Final = ("sig", "kid", "signal_id", "ts")
_WRONG: Final = "the signature is not good: no key of that kid made it for this content and stream"


class KeyLimit(NamedTuple):
    """What a key may do; empty and None mean no limit."""

    symbols: frozenset[str] = frozenset()
    max_notional: Decimal | None = None
    """Account currency per order that opens or adds."""


def canonical(stream: str, given: Mapping[str, bytes]) -> bytes:
    """What is signed: the stream's name, and every field but ``sig`` by its lower-case name.

    The number of bytes stands before each value, so a value may hold whatever it likes.
    """
    lines = [VERSION, _line("stream", stream.encode())]
    lines += [_line(name, given[name]) for name in sorted(given) if name != "sig"]
    return b"".join(lines)


def _line(name: str, value: bytes) -> bytes:
    return b"%b=%d:%b\n" % (name.encode(), len(value), value)


def sign(secret: bytes, stream: str, given: Mapping[str, bytes]) -> str:
    """The value of ``sig``: HMAC-SHA256 in 64 lower-case hexadecimal digits."""
    return hmac.new(secret, canonical(stream, given), hashlib.sha256).hexdigest()


class Verifier:
    """Lets signed signals through; without keys, only unsigned ones.

    Args:
        secrets: by ``kid``. Several at once is how keys are rotated.
    """

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Mapping[str, bytes] | None = None) -> None:
        self._secrets = dict(secrets or {})

    def __bool__(self) -> bool:
        """Whether signals must be signed."""
        return bool(self._secrets)

    def check(self, signal: Signal, fields: Fields) -> None:
        """Refuse what nobody with a key said.

        Args:
            signal: as parsed from ``fields``.

        Raises:
            SignalError: MISSING_FIELD, BAD_SIGNATURE. An unknown kid and a wrong signature are told
                in the same words, so that nobody can find out which kids there are.
        """
        if not self._secrets:
            _check_unsigned(signal)
            return
        for name in _NEEDED:
            if getattr(signal, "ts_ms" if name == "ts" else name) in {None, ""}:
                message = f"{name} is missing: signals must be signed here (SIGNAL_HMAC_KEYS)"
                raise SignalError(Reason.MISSING_FIELD, message)
        # An unknown kid costs the same work, in place of a key nobody has.
        secret = self._secrets.get(signal.kid, b"")
        expected = sign(secret, signal.stream, contents(fields)[0])
        good = _SIG.fullmatch(signal.sig) and hmac.compare_digest(expected, signal.sig)
        if not (good and secret):
            raise SignalError(Reason.BAD_SIGNATURE, _WRONG)


def _check_unsigned(signal: Signal) -> None:
    """Without keys nobody can tell a good signature from a forged one: it must not trade."""
    if signal.sig or signal.kid:
        name = "sig" if signal.sig else "kid"
        message = f"{name} is given, and no keys are set to verify it with (SIGNAL_HMAC_KEYS)"
        raise SignalError(Reason.BAD_SIGNATURE, message)
