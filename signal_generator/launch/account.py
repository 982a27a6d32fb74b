"""Whose account it is: asked before anything is started, so that a wrong key costs no time."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from signal_generator.connection import Connection
from signal_generator.launch.options import LaunchError

TIMEOUT = (3.0, 10.0)
"""Seconds to connect, and for the answer."""
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


def ask(connection: Connection) -> Account:
    """The account behind the keys.

    Raises:
        LaunchError: no answer, or one without an account.
    """
    import requests

    url = connection.trading_url
    with requests.Session() as session:
        # A proxy is for the outside.
        session.trust_env = not is_loopback(url)
        try:
            answer = session.get(
                f"{url}/v2/account",
                headers={
                    "APCA-API-KEY-ID": connection.key,
                    "APCA-API-SECRET-KEY": connection.secret,
                },
                timeout=TIMEOUT,
                allow_redirects=False,  # the keys are for this host alone
            )
        except requests.RequestException as error:
            # Its text may repeat headers; its type says what went wrong.
            raise LaunchError(f"{url} does not answer ({type(error).__name__})") from None
    if answer.status_code in {401, 403}:
        raise LaunchError(f"{url} does not accept api_key and secret_key")
    try:
        found = answer.json() if answer.ok else {}
    except ValueError:
        found = {}
    if not (isinstance(found, dict) and found.get("id")):
        raise LaunchError(f"{url} does not answer as a broker (status {answer.status_code})")
    return Account(str(found["id"]), str(found.get("account_number") or found["id"]))
