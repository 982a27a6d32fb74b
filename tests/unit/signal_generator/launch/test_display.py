"""The display's command, and the terminal after it."""

import io
import sys

import pytest

from signal_generator.launch.display import restore_terminal, start
from signal_generator.launch.options import StackOptions
from signal_generator.launch.service_settings import Names
from signal_generator.launch.surroundings import Surroundings
from tests.unit.signal_generator.launch.conftest import FakeProgram, Programs


@pytest.mark.parametrize(
    ("refresh", "updates", "words"),
    [(0.5, 15, ["0.5", "15"]), (0, -1, ["0.05", "0"]), (1e9, 5000, ["60", "1000"])],
)
def test_it_follows_our_group(
    programs: Programs, refresh: float, updates: int, words: list[str]
) -> None:
    """As often and as much as asked, within what `top` takes; without keys."""
    options = StackOptions(
        api_key="k", secret_key="s", tickers=(), refresh=refresh, updates=updates, environ={}
    )
    around = Surroundings({"TERM": "xterm", "ALPACA_SECRET_KEY": "s"})
    start(programs, around, options, "redis://h", Names("g", "s", "e"))
    assert programs.words["display"] == [
        *("solution", "top", "--refresh", words[0], "--updates", words[1])
    ]
    assert programs.environ["display"] == {
        "TERM": "xterm",
        "REDIS_URL": "redis://h",
        "CONSUMER_GROUP": "g",
    }


class Screen(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("code", "wrote"), [(0, False), (-9, True), (1, True)])
def test_the_screen_is_left_for_one_that_could_not(
    code: int, wrote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ended well has left it itself."""
    screen = Screen()
    monkeypatch.setattr(sys, "__stdout__", screen)
    program = FakeProgram("display", {}, [])
    program.code = code
    restore_terminal(program)
    assert ("\x1b[?1049l\x1b[?25h" in screen.getvalue()) is wrote


def test_without_a_terminal_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a file it would be rubbish."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", out)
    restore_terminal(FakeProgram("display", {}, []))
    assert out.getvalue() == ""
