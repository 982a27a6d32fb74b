"""Where Alpaca, or what speaks like it, is reached: keys, addresses and feed.

The names are those of the service (docs/reference/configuration.md), so that one environment or
``.env`` serves both. A generator only reads: it asks for bars, quotes, positions and orders.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from signal_generator.secret_files import read_secret_file

FEEDS = ("iex", "sip")
_CRYPTO_PATH = "/v1beta3/crypto/us"
_HOSTS = {True: "https://paper-api.alpaca.markets", False: "https://api.alpaca.markets"}
_DATA = "https://data.alpaca.markets"
_DATA_STREAM = "wss://stream.data.alpaca.markets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whom to ask, as whom; neither key nor secret is in its repr.

    Args:
        trading_url, data_url: without ``/v2`` and without a slash at the end.
        data_stream_url: the whole address of the websocket for shares.
        feed: ``iex`` or ``sip``, of history and websocket alike.
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)
    trading_url: str = _HOSTS[True]
    data_url: str = _DATA
    data_stream_url: str = f"{_DATA_STREAM}/v2/iex"
    feed: str = "iex"

    @property
    def crypto_stream_url(self) -> str:
        """The address of the websocket for crypto, on the same server as that for shares."""
        return re.sub(r"/v2/[a-z_]+$", "", self.data_stream_url) + _CRYPTO_PATH

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Connection":
        """From the environment, read by its caller.

        Raises:
            ValueError: a key is missing or a value is wrong; one sentence that names it.
        """
        feed = _feed(environ)
        trading = _HOSTS[_paper(environ)]
        data = _url(environ, ("https", "http"), "ALPACA_DATA_URL", "APCA_API_DATA_URL")
        stream = _url(environ, ("wss", "ws"), "ALPACA_DATA_STREAM_URL")
        if not stream:
            # Of another server the websocket is where its data API is.
            stream = f"{'ws' + data.removeprefix('http') if data else _DATA_STREAM}/v2/{feed}"
        return cls(
            key=_secret(environ, "ALPACA_API_KEY", "APCA_API_KEY_ID"),
            secret=_secret(environ, "ALPACA_SECRET_KEY", "APCA_API_SECRET_KEY"),
            trading_url=_url(environ, ("https", "http"), "ALPACA_TRADING_URL", "APCA_API_BASE_URL")
            or trading,
            data_url=data or _DATA,
            data_stream_url=stream,
            feed=feed,
        )


def _given(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Name and text of a setting, two empty ones where it is unset.

    Empty means unset, because Compose passes unset variables on as empty ones.
    """
    found = [(name, environ.get(name, "").strip()) for name in names]
    found = [(name, text) for name, text in found if text]
    for name, text in found[1:]:
        if text != found[0][1]:
            raise ValueError(f"{found[0][0]} and {name} mean the same setting and differ; keep one")
    return found[0] if found else ("", "")


def _secret(environ: Mapping[str, str], *names: str) -> str:
    name, text = _given(environ, *names)
    file_name, file = _given(environ, *(f"{name}_FILE" for name in names))
    if text and file:
        raise ValueError(f"{name} and {file_name} are both set; keep one")
    if file:
        name = file_name
        try:
            text = read_secret_file(file)
        except ValueError as error:
            raise ValueError(f"{file_name}: {error}") from None
    if not text:
        raise ValueError(
            f"{names[0]} is not set; market data needs Alpaca's keys (also {names[1]}, or a file "
            f"in {names[0]}_FILE)"
        )
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"{name} holds a space or a character that is not printable ASCII")
    return text


def _feed(environ: Mapping[str, str]) -> str:
    name, text = _given(environ, "DATA_FEED", "STREAM_FEED")
    feed = text.lower() or "iex"
    if feed not in FEEDS:
        raise ValueError(f"{name} must be iex or sip, not {text!r}")
    return feed


def _paper(environ: Mapping[str, str]) -> bool:
    _, text = _given(environ, "ALPACA_PAPER")
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return known[text.lower() or "true"]
    except KeyError:
        raise ValueError(f"ALPACA_PAPER must be true or false, not {text!r}") from None


def _url(environ: Mapping[str, str], schemes: tuple[str, str], *names: str) -> str:
    """A checked address without ``/v2`` and slash at its end; empty where it is unset.

    What is wrong with it is said without quoting it: people put passwords into addresses.
    """
    name, text = _given(environ, *names)
    if not text:
        return ""
    try:
        if re.search(r"[^!-~]|\\", text):
            raise ValueError("it holds a space, a backslash or a character that is not ASCII")
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{name} is not a valid address: {error}") from None
    if parts.scheme not in schemes or not host:
        raise ValueError(f"{name} must be {schemes[0]}://HOST[:PORT] or {schemes[1]}://HOST[:PORT]")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{name} must not hold a user, a query or a fragment")
    if parts.scheme == schemes[1] and not _is_local(host):
        raise ValueError(f"{name} would send the keys in the clear: use {schemes[0]}://")
    path = parts.path.rstrip("/")
    # Alpaca's dashboard shows the address with /v2; every client adds it itself.
    path = path.removesuffix("/v2") if schemes[0] == "https" else path
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_local(host: str) -> bool:
    """Whether the host is on this machine or a private network, as the service judges it."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))
