"""A canary in every secret setting is never seen again: not in logs, tracebacks, errors, commands.

The settings come from the table, so one that is built later is tested from then on.
"""

import io
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, quote_plus, unquote

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.commands import checks, publishing
from solution.commands.cli import main
from solution.config import (
    LoggingSettings,
    OptionInfo,
    Settings,
    describe,
    effective,
    load_settings,
)
from solution.errors import ConfigError
from solution.logs import setup_logging
from tests.helpers.canaries import CORE, SECRETS, SHORTEST, all_canaries, canary_of, holding

ASCII = "".join(chr(number) for number in range(0x21, 0x7F))
"""What a key may be made of: quotes, backslashes, braces, percent signs and all."""
# Only an unregistered value shows a star, and the mask is made of them. What parts a list of keys
# parts a key as well; it is tried in the URLs.
KEYLIKE = "".join(c for c in ASCII if c not in "*,;:=|")


def around(letters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Canaries with odd characters before and behind the core."""
    return st.builds(
        lambda before, after: (before + CORE + after).ljust(SHORTEST, "x"), letters, letters
    )


keys = around(st.text(KEYLIKE, max_size=12))
passwords = around(
    st.text(
        st.sampled_from(ASCII.replace("*", "") + " ü€\U0001f511\u202e\x85")
        | st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="*"),
        max_size=12,
    )
)
secrets = st.sampled_from(SECRETS).flatmap(
    lambda option: st.tuples(st.just(option), passwords if option.is_url else keys)
)

QUOTATIONS: tuple[Callable[[str], str], ...] = (
    str,
    repr,
    quote,
    quote_plus,
    json.dumps,
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: repr(text.encode()),
    lambda text: repr(f'"u" isn\'t allowed with {text}'),
    lambda text: repr(ValueError(f"wrong: {text!r}")),
    lambda text: f"redis://u:{quote(text, safe='')}@h:1/0",
    lambda text: f"AUTH failed for {text}\r\nmore",
)
"""How an error may quote it."""


def load(**environ: str) -> Settings:
    """The settings of this environment alone."""
    return load_settings(environ=environ, env_file=None)


def said_by(run: Callable[[], object]) -> str:
    """Everything that an error of this call could show, causes and contexts included."""
    try:
        return repr(run())
    except ConfigError as error:
        return "".join([*traceback.format_exception(error), repr(error.__context__), repr(error)])


# --- the settings themselves ---------------------------------------------------------------------


@given(secrets)
def test_settings_show_no_secret(secret: tuple[OptionInfo, str]) -> None:
    """Neither a repr, nor `config`, nor a warning; and the value is registered to be redacted."""
    option, canary = secret
    loaded = load(**{option.name: holding(option, canary)})
    assert CORE not in repr(loaded) + repr(effective(loaded)) + repr(loaded.warnings)
    assert any(canary in part.reveal() for part in loaded.secrets)


WRONG: tuple[Callable[[str], str], ...] = (
    lambda canary: canary,
    lambda canary: f"{canary} {canary}",
    lambda canary: f"{canary}\n{canary}",
    lambda canary: f"redis://u:{canary}@h:x/0",
    lambda canary: f"redis://u:{canary}@h/notanumber",
    lambda canary: f"redis://u:{canary}@[::1/0",
    lambda canary: f"postgresql://u:{canary}@h/d?password={canary}",
    lambda canary: f"rediss://h/0?ssl_password={canary}&x=1",
    lambda canary: f"http://u:{canary}@h",
    lambda canary: f"redis:/u:{canary}@h",
    lambda canary: f"redis+sentinel://u:{canary}@h1,,h2/m?sentinel_password={canary}",
    lambda canary: f"sqlite://u:{canary}@/x",
)


@given(st.sampled_from(SECRETS), keys.filter(lambda key: "@" not in key), st.sampled_from(WRONG))
def test_a_refused_value_is_not_repeated(
    option: OptionInfo, canary: str, wrong: Callable[[str], str]
) -> None:
    """Whether it is taken or refused; the variable is what the message names."""
    said = said_by(lambda: load(**{option.name: wrong(canary)}).rows)
    assert CORE not in said


@pytest.mark.parametrize("option", SECRETS, ids=lambda option: option.name)
@pytest.mark.parametrize("where", ["file", ".env", "both", "alias"])
def test_no_source_of_a_secret_shows_it(tmp_path: Path, option: OptionInfo, where: str) -> None:
    """Out of its file, out of .env, where two disagree, and under its other name."""
    value, path, dotenv = holding(option, canary_of(option)), tmp_path / "f", tmp_path / ".env"
    path.write_text(value)
    path.chmod(0o600)
    dotenv.write_text(f"{option.name}='{value}'\n{option.name}X={value}\n")
    given_by = {
        "file": {f"{option.name}_FILE": str(path)},
        ".env": {},
        "both": {f"{option.name}_FILE": str(path), option.name: value},
        "alias": {option.names[-1]: f"{value}2"},
    }
    said = said_by(lambda: load_settings(environ=given_by[where], env_file=str(dotenv)))
    rows = said_by(lambda: load_settings(environ=given_by[where], env_file=str(dotenv)).rows)
    assert CORE not in said + rows


# --- logs and tracebacks -------------------------------------------------------------------------


class Log:
    """A log of both kinds at DEBUG, with these secrets registered, until its end."""

    def __init__(self, folder: str, loaded: Settings) -> None:
        self._console, self._folder = io.StringIO(), Path(folder)
        where = LoggingSettings(level="DEBUG", dir=self._folder, color=False)
        self._system = setup_logging(where, loaded.secrets, stream=self._console)

    def end(self) -> str:
        """Everything that was written, also as a reader of the JSON would see it."""
        assert self._system.stop()
        [file] = self._folder.iterdir()
        lines = file.read_text().splitlines()
        read = [json.dumps(json.loads(line), ensure_ascii=False) for line in lines]
        return "\n".join([self._console.getvalue(), *lines, *read])


def log_everything(text: str) -> None:
    """As message, argument, extra, name, exception and cause, at every level."""
    log = logging.getLogger("solution.test")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL):
        log.log(level, text, extra={"detail": text, "deep": {"a": [text, text.encode()]}})
        log.log(level, "about %s and %r", text, ValueError(text))
    try:
        try:
            raise OSError(text)
        except OSError as error:
            raise RuntimeError(f"because {text}") from error
    except RuntimeError:
        log.exception("failed", stack_info=True)


@settings(max_examples=60)
@given(secrets, st.sampled_from(QUOTATIONS))
def test_no_log_line_shows_a_secret(
    secret: tuple[OptionInfo, str], quoted: Callable[[str], str]
) -> None:
    """However an error quotes it, in the console and in the file."""
    option, canary = secret
    with TemporaryDirectory() as folder:
        log = Log(folder, load(**{option.name: holding(option, canary)}))
        log_everything(quoted(canary))
        said = log.end()
    assert CORE not in said
    assert CORE not in unquote(said)
    assert said.count("failed") >= 3


def test_what_nobody_caught_shows_no_secret(tmp_path: Path) -> None:
    """In the main thread and in others, with locals in reach; the last words of a process."""
    loaded = load(**all_canaries())
    log = Log(str(tmp_path), loaded)
    texts = [part.reveal() for part in loaded.secrets]

    def fail(held: Settings = loaded) -> None:
        raise ValueError(texts, held)

    thread = threading.Thread(target=fail, name=texts[0])
    thread.start()
    thread.join()
    with pytest.raises(ValueError, match=CORE) as caught:
        fail()
    error = caught.value
    sys.excepthook(ValueError, error, error.__traceback__)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, error.__traceback__, thread)))
    said = log.end()
    assert CORE not in said
    assert said.count("uncaught_exception_in_thread") >= 2 * 2


def test_a_traceback_with_locals_shows_no_secret() -> None:
    """As crash reporters take it: the settings in the frame are masked by themselves."""
    loaded = load(**all_canaries())

    def fail(held: Settings, broker: object) -> None:
        raise ValueError(len((held.rows, broker)))

    with pytest.raises(ValueError, match="2") as caught:
        fail(loaded, loaded.broker)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.name == "fail"]
    assert "held = Settings(" in "".join(shown.format())
    assert CORE not in repr([frame.locals for frame in frames])


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command where every secret is a canary, nothing answers, and files are .env's."""
    for option in describe():
        for name in (*option.names, *(f"{n}_FILE" for n in option.names)):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "STREAM_WITHIN", 0.2)
    monkeypatch.setattr(publishing, "RETRY_FOR", 0.1)
    dead = {"ALPACA_TRADING_URL": "http://127.0.0.1:1", "ALPACA_DATA_URL": "http://127.0.0.1:1"}
    env = {**all_canaries(), **dead, "LOG_DIR": ""}
    return lambda *words, **more: CliRunner().invoke(main, list(words), env=env | more)


COMMANDS = (
    "config",
    "config --json",
    "check",
    "check --json",
    "status",
    "orders --json",
    "why x",
    "dead-letters retry 1-1 --yes",
    "reconcile",
    "publish NVDA b",
    "kill",
    "resume NVDA",
)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_shows_a_secret(shell: Callable[..., Result], words: str) -> None:
    """Where neither Redis nor the broker nor the ledger answers, so that all is about errors."""
    result = shell(*words.split())
    assert result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert CORE not in result.output


@pytest.mark.parametrize("option", SECRETS, ids=lambda option: option.name)
def test_a_secret_on_the_command_line_is_warned_of(
    shell: Callable[..., Result], option: OptionInfo
) -> None:
    """Every user of the machine reads it there; the warning does not repeat it."""
    result = shell("-s", f"{option.name}={holding(option, canary_of(option))}", "config")
    assert f"{option.name} is on the command line" in result.output
    assert CORE not in result.output


def test_an_address_without_a_password_may_stand_on_the_command_line(
    shell: Callable[..., Result],
) -> None:
    """`-s REDIS_URL=…` is how one looks at another Redis."""
    result = shell("-s", "REDIS_URL=redis://127.0.0.1:2/0", "config")
    assert "is on the command line" not in result.output


def test_every_secret_setting_has_a_canary() -> None:
    """None is left out for want of a form that it takes."""
    assert set(all_canaries()) == {o.name for o in describe() if o.secret and not o.missing}
    assert all(CORE in text for text in all_canaries().values())
