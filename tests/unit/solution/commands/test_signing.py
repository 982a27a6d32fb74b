"""What commands publish is signed by the golden rules."""

import pytest

from solution.commands.signing import raw, signed
from solution.config_keys import SigningKey
from solution.domain.reasons import Reason
from solution.errors import SignalError
from solution.security import Secret
from tests.helpers.golden import VECTORS, Vector, name_of


def key_of(vector: Vector) -> SigningKey:
    kid, _, secret = vector.key.partition(":")
    return SigningKey(kid, Secret(secret))


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_the_golden_signature(vector: Vector) -> None:
    """The last field; ts stays as it was given."""
    pairs = [pair for pair in vector.fields.items() if pair[0].lower() != "kid"]
    done = signed(key_of(vector), vector.stream, pairs, 1)
    assert done[-1] == ("sig", vector.sig)


def test_a_time_is_added_where_there_is_none() -> None:
    """Epoch milliseconds."""
    done = dict(signed(key_of(VECTORS[0]), "nvda", [("ticker", "NVDA")], 1_795_203_598_442))
    assert done["ts"] == "1795203598442"
    assert list(done)[-2:] == ["kid", "sig"]


def test_what_is_no_signal_is_told_by_its_reason() -> None:
    """As in the stream: signing changes no rule."""
    with pytest.raises(SignalError) as caught:
        signed(key_of(VECTORS[0]), "nvda", [("tikcer", "NVDA")], 1)
    assert caught.value.reason == Reason.UNKNOWN_FIELD


def test_bytes_that_are_no_text_stay_what_they_are() -> None:
    """A command line may hold them."""
    assert raw([("x_a", b"\xff".decode(errors="surrogateescape"))]) == [(b"x_a", b"\xff")]
