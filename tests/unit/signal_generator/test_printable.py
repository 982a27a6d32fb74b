"""Tests of signal_generator.printable: what strangers wrote, shown."""

import io
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.hosts import running
from signal_generator.printable import VisibleFormatter, visible_lines


@given(st.text())
def test_nothing_is_left_that_a_terminal_acts_on(text: str) -> None:
    """Escape sequences, carriage returns, turned reading direction: all but the lines."""
    shown = visible_lines(text)
    assert shown.replace("\n", "").isprintable()
    assert all(line.startswith("  ") for line in shown.split("\n")[1:])


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    """In any language."""
    assert visible_lines(text) == text


def test_an_exception_s_text_is_escaped_as_well() -> None:
    """It is a stranger's most often."""
    try:
        raise ValueError("\x1b[2J\r2026-01-01 INFO all is well")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 1, "no", (), sys.exc_info())
    shown = VisibleFormatter().format(record)
    assert shown.splitlines()[0] == "no"
    assert shown.endswith(r"ValueError: \x1b[2J\r2026-01-01 INFO all is well")


def test_a_host_s_log_is_shown_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a strategy logs, and what it raises."""
    root, stream = logging.getLogger(), io.StringIO()
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "stderr", stream)
    running._log_to_stderr()
    root.setLevel(level)
    logging.getLogger("signal_generator.strategies.s").error("a\x1b[31m\nforged")
    assert stream.getvalue().endswith("ERROR signal_generator.strategies.s a\\x1b[31m\n  forged\n")
