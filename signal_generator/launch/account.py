"""Whose account it is: asked before anything is started, so that a wrong key costs no time."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from signal_generator.connection import Connection
from signal_generator.hosting import BrokerUnavailable
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError

WINDOW = 70.0
"""Seconds after which all of a used-up rate limit is free again."""
PAUSE = 2.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Account:
    """The broker's own names of it."""

    id: str
    number: str


def host_of(url: str) -> str:
    """Its host, without a port."""
    return urlsplit(url).hostname or ""


def is_loopback(url: str) -> bool:
    """Whether it is a server on this machine."""
    return host_of(url) in _LOOPBACK


def ask(
    connection: Connection,
    within: Callable[[float], Deadline] = Deadline,
    report: Callable[[str], None] = lambda _: None,
) -> Account:
    """The account behind the keys.

    A run that ended a moment ago may have used up the rate limit: then it is asked again.

    Raises:
        LaunchError: no answer, or one without an account.
    """
    from signal_generator.account.broker_http import BrokerHttp

    deadline, told = within(WINDOW), False
    http = BrokerHttp(connection)
    try:
        while True:
            try:
                found = http.get(connection.trading_url, "/v2/account")
                break
            except BrokerUnavailable as error:
                if error.status != HTTPStatus.TOO_MANY_REQUESTS or deadline.passed():
                    raise LaunchError(_refusal(connection.trading_url, error)) from None
            if not told:
                report("the account's rate limit is used up: waiting up to a minute")
                told = True
            deadline.pause(PAUSE)
    finally:
        http.close()
    if not (isinstance(found, dict) and found.get("id")):
        raise LaunchError(f"{connection.trading_url} does not answer as a broker")
    return Account(str(found["id"]), str(found.get("account_number") or found["id"]))


def _refusal(url: str, error: BrokerUnavailable) -> str:
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"{url} does not accept api_key and secret_key"
    return f"the account at {url} cannot be read: {error}"
