"""Keeping secrets out of what people read: a wrapper, a URL mask, a file reader, a redactor.

A secret leaks where a value is shown that nobody thought of as one: a repr in a traceback, a URL
in an error, a header in a debug line. So values are wrapped (:class:`Secret`), URLs are masked
where they are shown (:func:`mask_url`), and whatever is logged passes a :class:`Redactor` last.
"""

import hmac
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from solution.errors import ConfigError

MASK = "********"
"""What stands where a secret was."""

SHORTEST_REDACTED = 4
"""Shorter values are not searched for: replacing every `a` would make the log unreadable."""

LONG_ENOUGH = 16
"""Characters from which a part of a list of keys is searched for by itself: a shorter one may as
well be a key's name or a ticker, and would blank out the log."""

SECRET_FILE_LIMIT = 65_536
"""Bytes; a larger file is not a secret but a mistake."""

_SECRET_PARAMETER = re.compile(
    r"(?i)([?&][a-z0-9_.-]*(?:password|passwd|secret|token)=)\S+?(?=&[a-z0-9_.-]+=|\s|$)"
)
"""Up to the next parameter: a password that was not percent-encoded may hold any of ``&#``."""
_USERINFO = re.compile(r"://([^\s/?#@:]*):([^\s@]{1,1024})@")


class Secret:
    """A text that shows itself only to :meth:`reveal`.

    It cannot be pickled (crash dumps, caches) and copies are the object itself.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret('{MASK}')" if self._value else "Secret('')"

    def __str__(self) -> str:
        return MASK if self._value else ""

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


_NO_PORT = re.compile(r":(?!\d{0,5}(?:,|$))[^,\]]*(?=,|$)")
"""A colon and what can be no port behind it; a colon within an IPv6 address ends at a bracket."""
_KEYED = ("http", "https", "ws", "wss")


def mask_url(url: str) -> str:
    """The URL with its password, and secret-looking query parameters, replaced.

    Made for text that may not be a valid URL at all (it is shown in error messages): everything
    between ``://`` and the last ``@`` counts as user and password, because people paste passwords
    that hold an unescaped ``/`` or ``@``. Masking too much is the safe side.
    """
    head, separator, rest = url.partition("://")
    if separator and "@" in rest:
        userinfo, _, host = rest.rpartition("@")
        user, colon, _ = userinfo.partition(":")
        # A broker's URL has no user; whoever wrote one there wrote a key.
        named = colon and not head.lower().endswith(_KEYED)
        rest = f"{user}:{MASK}@{host}" if named else f"{MASK}@{host}"
    elif separator:
        # A forgotten host makes a port of the password.
        netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
        rest = _NO_PORT.sub(rf":{MASK}", netloc) + rest[len(netloc) :]
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", head + separator + rest)


def secret_parts(text: str, *, is_url: bool) -> tuple[str, ...]:
    """What of a secret setting must not be shown, to be registered with a :class:`Redactor`.

    Of an address (``is_url``) the passwords, decoded; of anything else all of it, and what it is a
    list of: an error may quote one key of ``kid:key,kid2:key2`` alone.
    """
    found = _url_secrets(text) if is_url else [text, *_long_parts(text)]
    return tuple(dict.fromkeys(one for one in found if one))


def _url_secrets(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        written = parts.password or ""
        asked = parse_qsl(parts.query)
    except ValueError:  # not a URL: whoever needs one says so
        return []
    password = unquote(written)
    # There is more than one way to write a character in a URL, and an error may quote this one.
    unusual = [] if written in _spellings(password) else [written]
    hidden = [value for name, value in asked if _SECRET_PARAMETER.match(f"?{name}={value}")]
    return [password, *unusual, *hidden]


def _long_parts(text: str) -> list[str]:
    pieces = re.split(r"[,;:=|\s]+", text)
    rests = [item.partition(":")[2] for item in re.split(r"[,;\s]+", text)]
    return [one for one in (*rests, *pieces) if len(one) >= LONG_ENOUGH]


def read_secret_file(variable: str, path: str) -> str:
    """The content of a secret's file, without surrounding whitespace.

    Args:
        variable: the setting that named the file, for the message.
        path: a regular file that others cannot read; symbolic links are followed, as Kubernetes
            mounts secrets through them.

    Raises:
        ConfigError: unreadable, empty, too large, not text, or open to every user.
    """
    try:
        content = _read(variable, path)
    except OSError as error:
        raise ConfigError(f"{variable}={path!r} cannot be read: {error.strerror}") from None
    except (ValueError, RuntimeError):  # a null byte; a home directory of nobody
        raise ConfigError(f"{variable}={path!r} cannot be read: not a path") from None
    if len(content) > SECRET_FILE_LIMIT:
        raise ConfigError(f"{variable}={path!r} holds more than {SECRET_FILE_LIMIT} bytes")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}={path!r} is not UTF-8 text") from None
    if not text:
        raise ConfigError(f"{variable}={path!r} is empty")
    return text


def _read(variable: str, path: str) -> bytes:
    # Permissions are read from the open file: a check by name could be raced. Non-blocking,
    # because opening a pipe would otherwise wait for a writer for ever.
    handle = os.open(Path(path).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{variable}={path!r} is not a regular file")
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigError(
                f"{variable}={path!r} is open to every user of this machine: chmod 600 it "
                "(Compose secrets: `mode: 0400`)"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(SECRET_FILE_LIMIT + 1)
    finally:
        os.close(handle)


class Redactor:
    """Replaces registered values, and the password of any URL, in a text.

    Safe to use from any thread. A value is also found percent-encoded, JSON-escaped and as
    ``repr`` writes it, because libraries quote what they complain about.
    """

    def __init__(self, values: Iterable[str | Secret] = ()) -> None:
        self._mutex = Lock()
        self._needles: tuple[str, ...] = ()
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self.version = 0
        """Grows with each registration, so that what was redacted before can be done anew."""
        self.add(*values)

    def add(self, *values: str | Secret) -> None:
        """Register more values; those below SHORTEST_REDACTED characters are passed over."""
        found: set[str] = set()
        quoted: set[str] = set()
        for value in values:
            text = value.reveal() if isinstance(value, Secret) else value
            found.update(_spellings(text))
            quoted.update(_any_depth(text))
        with self._mutex:
            needles = {text for text in found if len(text) >= SHORTEST_REDACTED}
            # Longest first: a value that contains another must not leave its rest behind.
            self._needles = tuple(sorted(needles.union(self._needles), key=len, reverse=True))
            self._patterns += tuple(map(re.compile, sorted(quoted, key=len, reverse=True)))
            self.version += 1

    def sweep(self, text: str) -> str:
        """The text without any registered value; structure such as JSON around it stays whole."""
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text

    def redact(self, text: str) -> str:
        """The text without any registered value and without the passwords of any URLs."""
        text = self.sweep(text)
        if "://" in text and "@" in text:
            text = _USERINFO.sub(rf"://\1:{MASK}@", text)
        return text

    def values(self, value: Any) -> Any:
        """A JSON value with every text in it, names included, redacted."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {self.redact(str(name)): self.values(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.values(one) for one in value]
        return value


def _spellings(text: str) -> set[str]:
    """The ways a library, or our own log, may write a value: once, and quoted in a quotation."""
    once = _written(text)
    return once.union(*(_written(spelling) for spelling in once))


def _any_depth(text: str) -> set[str]:
    """Patterns of a value that gets backslashes: each quotation of a quotation doubles them."""
    if len(text) < SHORTEST_REDACTED:
        return set()
    marks = {"\\": r"\\+", "'": r"\\*'", '"': r"\\*\""}
    odd = (spelling for spelling in _written(text) if not marks.keys().isdisjoint(spelling))
    return {"".join(marks.get(c) or re.escape(c) for c in spelling) for spelling in odd}


def _written(text: str) -> set[str]:
    plain = text.encode("utf-8", "backslashreplace").decode()  # what is left of lone surrogates
    quoted = {quote(plain), quote(plain, safe=""), quote_plus(plain)}
    escaped = {json.dumps(text)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
    # Whether repr() escapes a quotation mark depends on what else the text around it holds.
    shown = {repr(text)[1:-1], repr(f"\"'{text}")[4:-1], repr(plain.encode())[2:-1]}
    return {text, text.strip(), plain} | quoted | escaped | shown
