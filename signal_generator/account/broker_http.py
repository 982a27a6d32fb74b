"""GET requests to the broker for generators that read the account: one place for all errors.

Only reads: this module knows no other method. Nothing is repeated here; who asks knows whether
the answer is still wanted.
"""

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests

from signal_generator.connection import Connection
from signal_generator.hosting import BrokerRefused, BrokerUnavailable

CONNECT_TIMEOUT = 2.0
"""Seconds."""
READ_TIMEOUT = 5.0
"""Seconds between two pieces of an answer."""
TOTAL_TIMEOUT = 10.0
"""Seconds for a whole answer: a server that drips never trips the read timeout."""
MAX_BODY = 8 * 1024 * 1024
"""Bytes, decoded: 500 orders with their legs are less than one MiB."""

_CHUNK = 65_536
_SHOWN = 200
"""Characters of a refusal that are repeated."""
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class BrokerHttp:
    """One kept-alive session; for one thread, since ``requests`` promises no more.

    Args:
        monotonic: seconds, for the total deadline.
    """

    def __init__(
        self, connection: Connection, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._secrets = tuple(s for s in (connection.secret, connection.key) if s)
        self._monotonic = monotonic
        self._session = requests.Session()
        self._session.headers.update(
            {
                "APCA-API-KEY-ID": connection.key,
                "APCA-API-SECRET-KEY": connection.secret,
                "Accept": "application/json",
            }
        )
        # Proxies and authorities come from the environment, as everywhere; a .netrc, which would
        # add an Authorization beside our keys, is read only where there is no `auth`.
        self._session.auth = _unchanged

    def get(self, base: str, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON that the broker answers with.

        Raises:
            BrokerRefused: the keys are wrong, or may not read this.
            BrokerUnavailable: no connection, no complete answer in time, one that is too long, a
                status other than 200, or no JSON.
        """
        what = f"GET {path}"
        deadline = self._monotonic() + TOTAL_TIMEOUT
        try:
            with self._session.get(
                f"{base}{path}",
                params=params,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                proxies=_past_proxies(base),
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = self._body(what, answer, deadline)
                status = answer.status_code
        except requests.RequestException as error:
            # Its text may hold the address with whatever stands in it; its class says enough.
            raise BrokerUnavailable(f"{what}: no answer ({type(error).__name__})") from None
        if status in _REFUSED:
            raise BrokerRefused(
                f"{what}: answered {status}, so check the keys: {self._clean(body)}", status
            )
        if status != 200:
            raise BrokerUnavailable(f"{what}: answered {status}: {self._clean(body)}", status)
        try:
            return json.loads(body)
        except ValueError:
            raise BrokerUnavailable(f"{what}: the answer is not JSON") from None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _body(self, what: str, answer: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        for piece in answer.iter_content(_CHUNK):
            body += piece
            if len(body) > MAX_BODY:
                raise BrokerUnavailable(f"{what}: the answer is longer than {MAX_BODY} bytes")
            if self._monotonic() > deadline:
                raise BrokerUnavailable(f"{what}: no whole answer in {TOTAL_TIMEOUT:g} s")
        return bytes(body)

    def _clean(self, body: bytes) -> str:
        """The beginning of a refusal in one line, without our keys."""
        text = body.decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text[:_SHOWN])


def _past_proxies(base: str) -> dict[str, str] | None:
    """A server on this machine, such as a simulator, is none of a proxy's."""
    host = urlsplit(base).hostname
    return {"no_proxy": host} if host in {"127.0.0.1", "localhost"} else None


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
