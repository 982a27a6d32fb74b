"""The form that is signed, and who is let in."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain.signal import contents, parse
from solution.domain.signal_fields import READERS
from solution.domain.signing import Verifier, canonical, sign
from solution.errors import SignalError
from tests.helpers.golden import VECTORS, Vector, name_of

SECRET = b"0123456789abcdef0123456789abcdef"
OLD = b"fedcba9876543210fedcba9876543210"
KEYS = Verifier({"tv1": SECRET, "old": OLD})
SIGNAL = {"ticker": "NVDA", "direction": "b", "signal_id": "one", "ts": "1795203598442"}
vectors = pytest.mark.parametrize("vector", VECTORS, ids=name_of)


def entry(
    stream: str = "nvda", secret: bytes = SECRET, **changed: str
) -> list[tuple[bytes, bytes]]:
    """A signed entry; what is changed is signed as well."""
    fields = {n: v.encode() for n, v in {**SIGNAL, "kid": "tv1", **changed}.items() if v}
    fields["sig"] = sign(secret, stream, fields).encode()
    return [(name.encode(), value) for name, value in fields.items()]


def refused(fields: Any, stream: str = "nvda", verifier: Verifier = KEYS) -> tuple[str, str]:
    """Reason and message."""
    with pytest.raises(SignalError) as caught:
        verifier.check(parse(stream, "1-0", fields), fields)
    return str(caught.value.reason), caught.value.message


@vectors
def test_the_golden_form(vector: Vector) -> None:
    """Byte by byte what the reference says."""
    given_ = contents(vector.raw)[0]
    assert canonical(vector.stream, given_).decode() == vector.canonical
    assert sign(vector.secret, vector.stream, given_) == vector.sig


@vectors
def test_a_golden_signal_is_let_in(vector: Vector) -> None:
    """Each is a valid signal, too."""
    kid = vector.key.partition(":")[0]
    Verifier({kid: vector.secret}).check(parse(vector.stream, "1-0", vector.raw), vector.raw)


def test_the_reference_shows_the_first_of_them() -> None:
    """The form, the secret and the signature of docs/reference/signal.md."""
    page = (Path(__file__).parents[4] / "docs/reference/signal.md").read_text(encoding="utf-8")
    assert f"```\n{VECTORS[0].canonical}```" in page
    assert f"sig={VECTORS[0].sig}\n" in page
    assert f"`{VECTORS[0].secret.decode()}`" in page


def test_the_golden_signals_differ() -> None:
    """But for the two that are the same signal in two spellings."""
    assert len({vector.sig for vector in VECTORS}) == len(VECTORS) - 1


NAMES = st.sampled_from([*READERS, "x_a", "x_b", "x_a=1", "x_."])
CONTENT = st.tuples(st.text(max_size=4), st.dictionaries(NAMES, st.binary(max_size=12), max_size=5))


@given(CONTENT, CONTENT)
def test_no_two_signals_share_a_form(one: Any, other: Any) -> None:
    """Whatever values hold: neither line breaks nor what looks like another field."""
    unsigned = [(s, {n: v for n, v in fields.items() if n != "sig"}) for s, fields in (one, other)]
    assert (canonical(*one) == canonical(*other)) == (unsigned[0] == unsigned[1])


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    """In any value that is signed, in the signature, or in the name of the stream."""
    fields = dict(entry(x_note="buy the dip"))
    name = data.draw(st.sampled_from(sorted(fields.keys() - {b"direction", b"ts", b"ticker"})))
    at = data.draw(st.integers(0, len(fields[name]) - 1))
    byte = data.draw(st.integers(97, 122).filter(lambda byte: byte != fields[name][at]))
    fields[name] = fields[name][:at] + bytes([byte]) + fields[name][at + 1 :]
    assert refused(list(fields.items()))[0] == "BAD_SIGNATURE"


def test_an_entry_copied_to_another_stream_is_refused() -> None:
    """The stream's name is signed."""
    KEYS.check(parse("nvda", "1-0", entry()), entry())
    assert refused(entry(), stream="aapl")[0] == "BAD_SIGNATURE"


@pytest.mark.parametrize("change", [{b"qty": b"1"}, {b"max_age": b"1000000"}, {b"x_a": b""}])
def test_a_field_added_is_refused(change: dict[bytes, bytes]) -> None:
    """All fields are signed, the producer's own as well."""
    assert refused([*entry(), *change.items()])[0] == "BAD_SIGNATURE"


@pytest.mark.parametrize("kid", ["tv1", "old"])
def test_several_keys_at_once(kid: str) -> None:
    """How keys are rotated; the one that a signal names must have made it."""
    secrets = {"tv1": SECRET, "old": OLD}
    good = entry(secret=secrets[kid], kid=kid)
    KEYS.check(parse("nvda", "1-0", good), good)
    other = SECRET if kid == "old" else OLD
    assert refused(entry(secret=other, kid=kid))[0] == "BAD_SIGNATURE"


def test_an_unknown_kid_is_told_like_a_wrong_signature() -> None:
    """So nobody finds out which kids there are; nor does an empty key sign."""
    wrong = refused(entry(secret=OLD))
    assert refused(entry(secret=OLD, kid="nobody")) == wrong
    assert refused(entry(secret=b"", kid="nobody")) == wrong


@pytest.mark.parametrize("sig", ["00", "é" * 64, "0" * 64, "0" * 63 + "\N{FULLWIDTH DIGIT ZERO}"])
def test_what_is_no_signature(sig: str) -> None:
    """Whatever its form, one answer."""
    fields = [*entry()[:-1], (b"sig", sig.encode())]
    assert refused(fields)[0] == "BAD_SIGNATURE"


def test_upper_case_is_another_text() -> None:
    """One signal has one signature, or a copy would count as reused with other content."""
    *fields, (_, sig) = entry()
    assert refused([*fields, (b"sig", sig.upper())])[0] == "BAD_SIGNATURE"


@pytest.mark.parametrize("name", ["signal_id", "ts", "kid", "sig"])
def test_what_a_signed_signal_needs(name: str) -> None:
    """Its own id and time, or it could be sent once more tomorrow."""
    fields = [
        pair for pair in entry(**{name: ""} if name != "sig" else {}) if pair[0] != name.encode()
    ]
    reason, message = refused(fields)
    assert (reason, message.split()[0]) == ("MISSING_FIELD", name)


def test_an_unsigned_signal_names_what_is_needed_first() -> None:
    """The setting stands beside it."""
    assert refused([(b"ticker", b"NVDA"), (b"direction", b"b")]) == (
        "MISSING_FIELD",
        "sig is missing: signals must be signed here (SIGNAL_HMAC_KEYS)",
    )


def test_both_forms_have_one_signature() -> None:
    """The members of ``json`` as they are read: numbers as written, booleans as words."""
    text = '{"Ticker":"NVDA","direction":"b","qty":1.50,"extended_hours":false,"signal_id":"one",'
    text += '"ts":1795203598442,"kid":"tv1","sig":"%s"}'
    flat = dict(entry(qty="1.50", extended_hours="false"))
    wrapped = [(b"json", (text % flat[b"sig"].decode()).encode())]
    KEYS.check(parse("nvda", "1-0", wrapped), wrapped)


@pytest.mark.parametrize("name", ["sig", "kid"])
def test_without_keys_a_signed_signal_is_refused(name: str) -> None:
    """Nobody can tell whether it is good, and its producer believes that somebody does."""
    fields = [(b"ticker", b"NVDA"), (b"direction", b"b"), (name.encode(), b"00")]
    reason, message = refused(fields, verifier=Verifier())
    assert reason == "BAD_SIGNATURE"
    assert message == f"{name} is given, and no keys are set to verify it with (SIGNAL_HMAC_KEYS)"


def test_the_keys_are_not_shown() -> None:
    """Neither by repr nor by what is refused."""
    assert SECRET.decode() not in repr(KEYS) + repr(refused(entry(secret=OLD)))
    assert bool(KEYS)
    assert not Verifier()
