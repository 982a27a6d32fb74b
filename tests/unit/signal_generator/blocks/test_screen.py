"""Tests of signal_generator.blocks.screen."""

import logging

import pytest

from signal_generator.blocks import screen as module
from signal_generator.blocks.screen import Screen, warnings_on

OURS = logging.getLogger("signal_generator")


def test_the_screen_is_the_displays_while_it_runs() -> None:
    """What was to be shown meanwhile is printed when it has gone, in order."""
    printed: list[str] = []
    screen = Screen(printed.append)
    screen.show("limits")
    screen.hold()
    screen.show("the session ends")
    screen.show("summary")
    assert printed == ["limits"]
    screen.release()
    assert printed == ["limits", "the session ends", "summary"]
    screen.show("after")
    screen.release()
    assert printed[-1] == "after"


def test_only_the_last_texts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy may fail all day."""
    monkeypatch.setattr(module, "MOST", 2)
    printed: list[str] = []
    screen = Screen(printed.append)
    screen.hold()
    for text in "abc":
        screen.show(text)
    screen.release()
    assert printed == ["b", "c"]


def test_a_failure_is_shown_after_the_display_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what is less than a warning is not."""
    # As in a script whose author has set up nothing; pytest has handlers of its own.
    monkeypatch.setattr(OURS, "hasHandlers", lambda: False)
    printed: list[str] = []
    screen = Screen(printed.append)
    with warnings_on(screen, wanted=True):
        screen.hold()
        OURS.getChild("blocks").info("nothing")
        try:
            raise ValueError("my mistake\x1b[2J")
        except ValueError:
            OURS.getChild("blocks.loop").exception("the strategy failed in call 1")
    screen.release()
    assert len(printed) == 1
    assert "the strategy failed in call 1" in printed[0]
    assert r"ValueError: my mistake\x1b[2J" in printed[0]
    assert not OURS.handlers


@pytest.mark.parametrize("wanted", [True, False])
def test_a_logging_of_the_users_own_is_left_alone(wanted: bool) -> None:
    """pytest's, here: it knows where its lines go."""
    printed: list[str] = []
    with warnings_on(Screen(printed.append), wanted=wanted):
        assert not OURS.handlers
