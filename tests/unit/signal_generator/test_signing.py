"""Tests of signal_generator.signing."""

from pathlib import Path

import pytest

from signal_generator.signing import Key, Signer, canonical, find_key, parse_key, sign
from solution.domain.signal import parse
from solution.domain.signing import Verifier
from tests.helpers.golden import VECTORS, Vector, name_of

SECRET = "0123456789abcdef0123456789abcdef"
KEY = Key("tv1", SECRET.encode())


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_the_golden_form(vector: Vector) -> None:
    """Byte by byte; a signature that is there already is not signed."""
    key = parse_key(vector.key, "it")
    assert canonical(vector.stream, vector.fields).decode() == vector.canonical
    assert sign(key, vector.stream, {**vector.fields, "Sig": "x"}) == vector.sig


def test_a_signed_signal_is_one_that_the_service_takes() -> None:
    """With an id and a time of its own, where it had none."""
    signer = Signer(KEY, "nvda", now_ms=lambda: 1_795_203_598_442, new_id=lambda: "one")
    signed = signer({"Ticker": "NVDA", "Direction": "b"})
    assert (signed["signal_id"], signed["ts"], signed["kid"]) == ("one", "1795203598442", "tv1")
    raw = [(name.encode(), value.encode()) for name, value in signed.items()]
    Verifier({"tv1": KEY.secret}).check(parse("nvda", "1-0", raw), raw)


def test_what_is_there_stays() -> None:
    """An id or a time given by whoever drew the signal."""
    signer = Signer(KEY, "nvda", now_ms=lambda: 1)
    signed = signer({"Signal_ID": "mine", "TS": "1795203598442"})
    assert set(signed) == {"Signal_ID", "TS", "kid", "sig"}


def test_ids_differ() -> None:
    """A UUID each."""
    signer = Signer(KEY, "nvda", now_ms=lambda: 1)
    assert signer({})["signal_id"] != signer({})["signal_id"]


def test_no_key() -> None:
    """Signals are not signed."""
    assert find_key({}, None) is None
    assert find_key({"SIGNAL_HMAC_KEY": " "}, "") is None


def test_a_key_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """With or without a line's end."""
    file = tmp_path / "key"
    file.write_text(f"tv1:{SECRET}\n")
    file.chmod(0o600)
    assert find_key({}, str(file)) == find_key({"SIGNAL_HMAC_KEY": f"tv1:{SECRET}"}, None) == KEY
    assert SECRET not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    ["canary", "canary:short", f"a b:{SECRET}", f"k:{SECRET};x", f"k:{SECRET},", f":{SECRET}"],
)
def test_what_is_no_key(text: str) -> None:
    """Named, and not quoted."""
    with pytest.raises(ValueError, match="SIGNAL_HMAC_KEY must be kid:secret") as caught:
        find_key({"SIGNAL_HMAC_KEY": text}, None)
    assert text not in str(caught.value)


def test_a_file_that_everybody_can_read(tmp_path: Path) -> None:
    """Is no secret."""
    file = tmp_path / "key"
    file.write_text(f"tv1:{SECRET}")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        find_key({}, str(file))
    with pytest.raises(ValueError, match="No such file"):
        find_key({}, str(tmp_path / "other"))


def test_two_keys(tmp_path: Path) -> None:
    """Which one is meant nobody knows."""
    with pytest.raises(ValueError, match="both set"):
        find_key({"SIGNAL_HMAC_KEY": f"tv1:{SECRET}"}, str(tmp_path))
