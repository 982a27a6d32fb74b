"""Secrets stay where they are: the wrapper, the URL mask, the file reader, the redactor."""

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.errors import ConfigError
from solution.security import (
    MASK,
    SECRET_FILE_LIMIT,
    Redactor,
    Secret,
    mask_url,
    read_secret_file,
    secret_parts,
)

CANARY = "canary-7Qd+/9 x\"'é"


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r}".format, "%s".__mod__])
def test_a_secret_shows_its_mask(show: Callable[[Secret], str]) -> None:
    """However a Secret is turned into text, the value is not in it."""
    assert CANARY not in show(Secret(CANARY))
    assert MASK in show(Secret(CANARY))


def test_an_empty_secret_says_that_it_is_empty() -> None:
    """A missing key must not look like a hidden one."""
    assert (str(Secret("")), repr(Secret("")), bool(Secret(""))) == ("", "Secret('')", False)


def test_a_secret_reveals_compares_and_hashes_by_value() -> None:
    """reveal() is the way to the value; equality needs another Secret."""
    assert Secret("a").reveal() == "a"
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a")


def test_a_secret_is_not_pickled() -> None:
    """A crash dump or a cache must not carry it off."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(CANARY))


def test_copies_of_a_secret_are_the_secret() -> None:
    """dataclasses.asdict() and friends copy; that must work and stay masked."""
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:pw@host/0", f"redis://:{MASK}@host/0"),
        ("rediss://user:pw@host:1/0", f"rediss://user:{MASK}@host:1/0"),
        ("redis://token@host", f"redis://{MASK}@host"),
        ("redis://u:p@ss/w@rd@host/0", f"redis://u:{MASK}@host/0"),
        ("redis://h/0?password=pw&db=1", f"redis://h/0?password={MASK}&db=1"),
        ("https://key:secret@h/x", f"https://{MASK}@h/x"),
        ("https://h/x?api_token=pw", f"https://h/x?api_token={MASK}"),
        ("redis://u:pw/0", f"redis://u:{MASK}/0"),
        ("redis://:pw", f"redis://:{MASK}"),
        ("postgresql://h1:1,h2:pw,[::1]:2/d?x", f"postgresql://h1:1,h2:{MASK},[::1]:2/d?x"),
        ("no url", "no url"),
        ("", ""),
    ],
)
def test_mask_url(url: str, masked: str) -> None:
    """User names stay where there are users, passwords go, broken URLs are masked too."""
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("redis://u:p%40ss@h", ("p@ss",)),
        ("redis://u:p%40s%73@h", ("p@ss", "p%40s%73")),
        ("rediss://h?ssl_password=x1&ssl_ca_certs=/ca", ("x1",)),
        ("redis://h", ()),
        ("redis://[", ()),
        ("sqlite:///data/x.db", ()),
        ("", ()),
        ("one-key", ("one-key",)),
        (
            "a:0123456789abcdef,NVDA:fedcba9876543210:NVDA|AAPL:1000",
            (
                "a:0123456789abcdef,NVDA:fedcba9876543210:NVDA|AAPL:1000",
                "0123456789abcdef",
                "fedcba9876543210:NVDA|AAPL:1000",
                "fedcba9876543210",
            ),
        ),
    ],
)
def test_what_of_a_secret_must_not_be_shown(text: str, parts: tuple[str, ...]) -> None:
    """A URL's passwords as libraries print them; a list's keys, never a ticker."""
    assert secret_parts(text, is_url="://" in text) == parts


def secret_file(tmp_path: Path, content: bytes, mode: int = 0o600) -> str:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_a_secret_file_is_stripped(tmp_path: Path) -> None:
    """An editor's final newline is not part of the key."""
    assert read_secret_file("X_FILE", secret_file(tmp_path, b"  key\r\n")) == "key"


def test_a_secret_file_may_be_a_link_and_open_to_its_group(tmp_path: Path) -> None:
    """Kubernetes mounts secrets through links and gives them to a group."""
    link = tmp_path / "link"
    link.symlink_to(secret_file(tmp_path, b"key", 0o640))
    assert read_secret_file("X_FILE", str(link)) == "key"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_a_secret_file_open_to_everyone_is_refused(tmp_path: Path, mode: int) -> None:
    """Neither may others read it, nor replace what is in it."""
    with pytest.raises(ConfigError, match=r"^X_FILE=.* is open to every user .*chmod 600"):
        read_secret_file("X_FILE", secret_file(tmp_path, b"key", mode))


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640, 0o660])
def test_a_secret_file_may_be_open_to_its_group(tmp_path: Path, mode: int) -> None:
    """Kubernetes mounts secrets with `fsGroup` so; who is in the group is the owner's choice."""
    assert read_secret_file("X_FILE", secret_file(tmp_path, b"key\n", mode)) == "key"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (SECRET_FILE_LIMIT + 1), "holds more than 65536 bytes"),
    ],
)
def test_a_useless_secret_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """One line that names the variable and what is wrong."""
    with pytest.raises(ConfigError, match=f"^X_FILE=.* {words}$"):
        read_secret_file("X_FILE", secret_file(tmp_path, content))


@pytest.mark.parametrize("path", ["/no/such/file", "a\0b", "~nobody-here/x"])
def test_an_unreadable_secret_file_is_refused(path: str) -> None:
    """Also where the path is none."""
    with pytest.raises(ConfigError, match=r"^X_FILE=.* cannot be read: "):
        read_secret_file("X_FILE", path)


def test_a_pipe_or_directory_is_no_secret_file(tmp_path: Path) -> None:
    """A pipe without a writer must not hang the start."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_secret_file("X_FILE", str(tmp_path / "pipe"))
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_secret_file("X_FILE", str(tmp_path))


@pytest.mark.parametrize(
    "spelling",
    [
        str,
        quote,
        quote_plus,
        repr,
        json.dumps,
        lambda text: quote(text, safe=""),
        lambda text: repr(text.encode()),
        lambda text: repr(f'the password {text!r} of "u" isn\'t right'),
        lambda text: repr(ValueError(f'say "{text}"')),
        lambda text: json.dumps(repr(text)),
        lambda text: quote(quote(text)),
    ],
)
def test_a_redactor_finds_every_spelling(spelling: Callable[[str], str]) -> None:
    """Libraries quote what they complain about."""
    redacted = Redactor([Secret(CANARY)]).redact(f"<{spelling(CANARY)}>")
    assert MASK in redacted
    assert "canary" not in redacted


def test_a_redactor_replaces_the_longer_value_first() -> None:
    """Otherwise the rest of the longer one would be left standing."""
    assert Redactor(["secret", "secret-and-more"]).redact("secret-and-more") == MASK


def test_a_redactor_learns_and_passes_over_short_values() -> None:
    """A value of three characters would blank out half the log."""
    redactor = Redactor(["abc", ""])
    redactor.add("later-secret")
    assert redactor.redact("abc later-secret") == f"abc {MASK}"


def test_a_redactor_masks_passwords_of_unknown_urls() -> None:
    """Even one nobody registered, and however short."""
    assert Redactor().redact("at redis://u:p@h:1 now") == f"at redis://u:{MASK}@h:1 now"
    assert Redactor().redact("mail a@b and http://h/x") == "mail a@b and http://h/x"


# A value with stars in it could come about anew beside a mask.
NO_STARS = st.characters(exclude_characters="*")


@settings(deadline=None, derandomize=True)
@given(st.text(NO_STARS, min_size=4, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_registered_value_survives(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, and whatever it is made of."""
    assert secret not in Redactor([secret]).redact(before + secret + after)
