"""What has to be true before a dead letter may be published again, and as what.

The new signal is ``{signal_id or entry_id}.r1`` (``.r2`` …). Its content is the old one without
``ts`` (it would be as old as before), so publishing one retry twice by mistake is one signal. One
that is signed has a ``ts`` of now: published twice, the second is a dead letter and no order.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from solution.commands.signing import raw, signed
from solution.config_groups import IntakeSettings
from solution.domain.orders import client_order_id
from solution.domain.records import DeadLetter, Intent, State
from solution.domain.signal import parse
from solution.domain.signal_fields import JSON_FIELD, Fields, collect, decode, digest
from solution.domain.signal_json import flatten_json
from solution.errors import SignalError
from solution.ledger.reader import LedgerReader

MOST_RETRIES = 99
_RETRY = re.compile(r"(.+)\.r([1-9][0-9]?)")
_UNSIGNED = IntakeSettings(keys=(), own_key=None)
_NEVER_SENT = frozenset({State.REFUSED, State.NOT_SENT, State.DRY_RUN})

Exists = Callable[[str], bool]
"""Whether the broker has an order under this client_order_id."""


class NotRetried(Exception):
    """Why this dead letter must not, or cannot, be published again; one line."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A signal ready to be published, and the ids under which no order was found."""

    stream: str
    signal_id: str
    fields: dict[str, str]
    looked_up: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Old:
    identity: str
    base: str
    """The first signal's own id; retries of a retry do not pile up suffixes."""
    number: int
    fields: tuple[tuple[str, str], ...]


def prepare(
    letter: DeadLetter,
    reader: LedgerReader,
    deployment: str,
    exists: Exists,
    *,
    intake: IntakeSettings = _UNSIGNED,
    now_ms: int = 0,
) -> Retry:
    """Compose the retry after looking for orders of the old signal and of earlier retries.

    Args:
        intake: the keys, where signals must be signed.
        now_ms: the ``ts`` of a retry that is signed.

    Raises:
        NotRetried: an order exists, a retry is on its way, or the content can never be valid.
        SignalpacaError: ledger or broker do not answer.
    """
    old = _read(letter)
    looked_up = []
    for identity in _identities(letter.stream, old):
        coid = client_order_id(deployment, identity)
        if exists(coid):
            raise NotRetried(f"the broker has an order {coid}: it was sent, so it is not retried")
        looked_up.append(coid)
    number = _free_number(letter.stream, old, reader)
    signal_id = f"{old.base}.r{number}"
    fields = {**dict(old.fields), "signal_id": signal_id}
    if intake.keys:
        fields = _signed_again(letter, fields, intake, now_ms)
    _check(letter, fields, intake)
    return Retry(letter.stream, signal_id, fields, tuple(looked_up))


def _read(letter: DeadLetter) -> _Old:
    """The old content, flat, without what only the old publication said."""
    if not letter.fields:
        raise NotRetried("its content was lost with the stream entry: publish the signal anew")
    try:
        given = _flat(letter.fields)
    except SignalError as e:
        raise NotRetried(f"it can never be valid: {e.reason}: {e.message}") from None
    signal_id = next((value for name, value in given if name.lower() == "signal_id"), "")
    identity = _identity(letter, signal_id, given)
    match = _RETRY.fullmatch(signal_id)
    base, number = (match[1], int(match[2])) if match else (signal_id or letter.entry_id, 0)
    kept = tuple((name, value) for name, value in given if name.lower() not in {"signal_id", "ts"})
    return _Old(identity, base, number, kept)


def _flat(fields: Fields) -> list[tuple[str, str]]:
    given, _extra = collect(fields)
    if JSON_FIELD in given:
        fields = flatten_json(given)
        collect(fields)
    return [(name.decode(), decode(name.decode(), value)) for name, value in fields]


def _identity(letter: DeadLetter, signal_id: str, given: list[tuple[str, str]]) -> str:
    """What :attr:`solution.domain.signal.Signal.identity` is, also of what does not parse."""
    stream = letter.stream.replace("|", "||")
    if signal_id:
        return f"{stream}|id:{signal_id}"
    content, _extra = collect([(name.encode(), value.encode()) for name, value in given])
    return f"{stream}|entry:{letter.entry_id}:{digest(content)}"


def _identities(stream: str, old: _Old) -> Iterator[str]:
    """The old signal's, and those of every earlier retry of it."""
    yield old.identity
    prefix = f"{stream.replace('|', '||')}|id:{old.base}"
    for number in range(1, old.number):
        yield f"{prefix}.r{number}"
    if old.number:
        yield prefix


def _free_number(stream: str, old: _Old, reader: LedgerReader) -> int:
    """The next number that the ledger does not know as a signal or a dead letter."""
    used = _dead_ids(stream, reader)
    for number in range(old.number + 1, MOST_RETRIES + 1):
        signal_id = f"{old.base}.r{number}"
        rows = [i for i in reader.find_intents(signal_id) if _is(i, stream, signal_id)]
        sent = next((row for row in rows if row.state not in _NEVER_SENT), None)
        if sent is not None:
            raise NotRetried(f"retry {signal_id} was sent already; its state is {sent.state}")
        if not rows and signal_id not in used:
            return number
    raise NotRetried(f"{old.base} was retried {MOST_RETRIES} times")


def _is(intent: Intent, stream: str, signal_id: str) -> bool:
    return intent.stream == stream and intent.signal_id == signal_id


def _dead_ids(stream: str, reader: LedgerReader) -> frozenset[str]:
    """The signal ids that ended as dead letters."""
    found = set()
    for letter in reader.list_dead_letters(limit=10_000):
        if letter.stream == stream:
            found |= {v.decode(errors="replace") for n, v in letter.fields if n == b"signal_id"}
    return frozenset(found)


def _signed_again(
    letter: DeadLetter, fields: dict[str, str], intake: IntakeSettings, now_ms: int
) -> dict[str, str]:
    """The retry under our own key: never of what nobody with a key had said.

    Raises:
        NotRetried: the old one was forged or unsigned, or there is no key here to sign with.
    """
    bare = {n: v for n, v in fields.items() if n.lower() not in {"sig", "kid", "ts"}}
    try:
        old = parse(letter.stream, "1-0", letter.fields)
        intake.verifier().check(old, letter.fields)
    except SignalError as e:
        raise NotRetried(
            f"signals must be signed, and this one's signature is not known to be good "
            f"({e.reason}: {e.message}): if it is yours, publish it anew"
        ) from None
    if intake.own_key is None:
        raise NotRetried("it must be signed again, and there is no key here: set SIGNAL_HMAC_KEY")
    return dict(signed(intake.own_key, letter.stream, bare.items(), now_ms))


def _check(letter: DeadLetter, fields: dict[str, str], intake: IntakeSettings) -> None:
    content = raw(fields.items())
    try:
        intake.verifier().check(parse(letter.stream, "1-0", content), content)
    except SignalError as e:
        raise NotRetried(f"it would be a dead letter again: {e.reason}: {e.message}") from None
