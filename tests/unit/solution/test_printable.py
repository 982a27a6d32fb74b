"""What anybody may have written reaches a terminal as characters, never as commands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.printable import LONGEST, shortened, visible, visible_json, visible_values
from tests.helpers.hostile import HOSTILE

texts = st.text() | st.sampled_from(HOSTILE)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(texts)
def test_visible_text_is_printable(text: str) -> None:
    """And unchanged where it already was."""
    assert visible(text).isprintable()
    assert (visible(text) == text) == text.isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_long_text_is_cut_and_says_so(text: str) -> None:
    """A megabyte of it is a screenful."""
    shown = shortened(text * LONGEST)
    assert shown.isprintable()
    assert shown.endswith(f"… ({len(text) * LONGEST} characters)")
    assert len(shown) < 10 * LONGEST + 100


@given(values)
def test_visible_json_means_the_same(value: object) -> None:
    """One printable line that any JSON reader turns back into what it was."""
    document = json.dumps(value, ensure_ascii=False)
    assert visible_json(document).isprintable()
    assert json.loads(visible_json(document)) == json.loads(document)


@given(values)
def test_every_text_of_a_value_is_made_visible(value: object) -> None:
    """However deep, names included; numbers stay numbers."""
    assert json.dumps(visible_values(value), ensure_ascii=False).isprintable()


def test_a_value_that_is_fit_stays_as_it_is() -> None:
    """Nothing is lost on the way to a screen."""
    value = {"a": [1, "größe", None, {"b": True}]}
    assert visible_values(value) == value
