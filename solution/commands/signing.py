"""Signing what commands publish."""

from collections.abc import Iterable

from solution.config_keys import SigningKey
from solution.domain.signal import contents
from solution.domain.signing import sign

Pairs = list[tuple[str, str]]


def signed(key: SigningKey, stream: str, pairs: Iterable[tuple[str, str]], now_ms: int) -> Pairs:
    """The fields with ``ts`` (now, where there is none), ``kid`` and ``sig`` behind them.

    Raises:
        SignalError: the fields are no signal's.
    """
    out = list(pairs)
    if not any(name.lower() == "ts" for name, _ in out):
        out.append(("ts", str(now_ms)))
    out.append(("kid", key.kid))
    given, _extra = contents(raw(out))
    return [*out, ("sig", sign(key.secret.reveal().encode(), stream, given))]


def raw(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """The bytes that will stand in the stream; what is no text stays what it was."""
    return [
        (name.encode(errors="surrogateescape"), value.encode(errors="surrogateescape"))
        for name, value in pairs
    ]
