"""The breaker's row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.ledger import breaker as beside
from solution.trading.breaker_row import KEY, Standing


@given(
    st.builds(Standing, st.booleans(), st.integers(0, 10**6), st.integers(0), st.text(), st.text())
)
def test_what_is_written_is_read_again(standing: Standing) -> None:
    """Whatever the broker's words were."""
    assert Standing.of(standing.text()) == standing


def test_no_row_is_a_closed_breaker() -> None:
    """Which is what makes deleting it a reset."""
    assert Standing.of(None) == Standing()
    assert Standing().is_clean


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"tripped": true}', '"x"'])
def test_a_row_that_cannot_be_read_says_so(text: str) -> None:
    """Nobody guesses a closed breaker."""
    with pytest.raises(ValueError, match=KEY):
        Standing.of(text)


def test_the_commands_mean_the_same_row() -> None:
    """Layers do not import each other, so the key stands twice."""
    assert beside.KEY == KEY
