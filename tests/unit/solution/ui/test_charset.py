"""Marks for a terminal that shows ASCII only."""

import io
from collections.abc import Mapping

import pytest

from solution.ui.charset import OURS, in_ascii, needs_ascii
from solution.ui.terminal import screen
from tests.helpers.snapshots import positions, snapshot, updates


def test_ours_have_a_likeness_and_the_rest_a_question_mark() -> None:
    """Character for character, so that columns stay."""
    assert in_ascii("╭─ ✓ ◌ ✗ – · … █░ Zürich") == "+- + o x - , ~ #. Z?rich"
    assert in_ascii("plain") == "plain"


def test_every_character_of_the_screen_has_one() -> None:
    """None of ours becomes a question mark."""
    shown = snapshot(positions=positions(30), updates=updates(30), kill_switch="x", account=None)
    lines = screen([shown, snapshot(instance="b")], width=130, height=30, updates=30)
    assert set("".join(line.plain for line in lines)) >= {"╭", "✓", "◌", "✗", "…", "█", "·"}
    assert "?" not in "".join(in_ascii(line.plain) for line in lines)
    assert all(len(put) == 1 and put.isascii() for put in OURS.values())


@pytest.mark.parametrize(
    ("encoding", "environ", "ascii_only"),
    [
        ("utf-8", {}, False),
        ("utf-8", {"LANG": "en_US.UTF-8"}, False),
        ("utf-8", {"LANG": "C"}, True),
        ("utf-8", {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ("utf-8", {"LC_ALL": "C.UTF-8", "LANG": "C"}, False),
        ("ascii", {}, True),
        ("latin-1", {"LANG": "de_DE.UTF-8"}, True),
        ("no-such", {}, True),
    ],
)
def test_who_needs_it(encoding: str, environ: Mapping[str, str], ascii_only: bool) -> None:
    """An encoding without the marks, or a user who says plain C; no locale at all says nothing."""

    class Out(io.StringIO):
        @property
        def encoding(self) -> str:
            return encoding

    assert needs_ascii(Out(), environ) is ascii_only
