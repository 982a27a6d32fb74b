"""Every exception this service raises on purpose, named by what the caller may do next.

::

    SignalpacaError
    ├── ConfigError              a setting is wrong; the start stops (exit 2)
    ├── StartupError             the world does not fit the settings; the start stops (exit 1)
    ├── LedgerError              no durable row, so: no POST, no XACK
    │   ├── LedgerBusy           locked by somebody else for too long
    │   │   └── LedgerInUse      another instance has it: wait as its standby
    │   ├── LeaseLost            another instance trades now: send nothing more
    │   └── IdentityExists       this signal already has a row: read it
    ├── SignalError              bad input: dead-letter it with its reason
    ├── Refused                  a gate or the sizing said no: record the reason
    └── BrokerError
        ├── NotSent              nothing reached the broker: safe to send again
        │   └── NoBudget         the rate budget had no slot in time
        ├── OutcomeUnknown       may have been accepted: look up the client_order_id first
        ├── RateLimited          refused by the rate limit, nothing happened: wait
        └── Rejected             a definite no, with the broker's code and words
            ├── NotFound         404: the thing asked for does not exist (now)
            ├── Unauthorized     401: the keys are wrong
            └── DuplicateOrder   422: the client_order_id is taken, so the order exists
"""

from collections.abc import Mapping
from typing import Any


class SignalpacaError(Exception):
    """Base of all of them."""


class ConfigError(SignalpacaError):
    """A setting is missing, wrong, or names something that is not built yet."""


class StartupError(SignalpacaError):
    """The service cannot start in this world; the message is one clear line."""


class LedgerError(SignalpacaError):
    """The ledger cannot make a row durable: nothing may be sent or acknowledged."""


class LedgerBusy(LedgerError):
    """Another process holds the ledger."""


class LedgerInUse(LedgerBusy):
    """Another instance of this service trades on the ledger."""


class LeaseLost(LedgerError):
    """Another instance holds the ledger's lease now; nothing was written."""


class IdentityExists(LedgerError):
    """The signal's identity already has a row; whoever tried to insert must read it."""


class SignalError(SignalpacaError):
    """An entry that is no valid signal.

    Args:
        reason: a :class:`solution.domain.reasons.Reason` value (text).
        message: one sentence that names the field and the value.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Refused(SignalpacaError):
    """A valid signal that must not become an order now.

    Args:
        reason: a :class:`solution.domain.reasons.Reason` value (text).
        message: one sentence with the numbers that decided.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class BrokerError(SignalpacaError):
    """A request to the broker did not give the answer asked for."""


class NotSent(BrokerError):
    """The request never left this machine (refused connection, bad name): safe to repeat."""


class NoBudget(NotSent):
    """The rate budget had no slot in time; nothing was sent."""


class OutcomeUnknown(BrokerError):
    """Sent, but no usable answer came: it may or may not have taken effect.

    Timeouts, resets, 5xx, HTML instead of JSON and cut-off bodies all land here. For a POST the
    only permitted next step is to look the order up by its ``client_order_id``.
    """


class RateLimited(BrokerError):
    """HTTP 429: refused without effect.

    Args:
        retry_after: seconds the broker asks us to wait, or None when it does not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(BrokerError):
    """A definite no.

    Args:
        status: HTTP status.
        code: Alpaca's numeric code, 0 when absent.
        message: the broker's own words.
        body: the decoded error object, for the extras that tell causes of one code apart.
    """

    def __init__(
        self, status: int, code: int, message: str, body: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{message} (HTTP {status}, code {code})")
        self.status = status
        self.code = code
        self.message = message
        self.body: Mapping[str, Any] = body or {}


class NotFound(Rejected):
    """HTTP 404."""


class Unauthorized(Rejected):
    """HTTP 401, or 403 without a code: the key pair is not accepted."""


class DuplicateOrder(Rejected):
    """HTTP 422, ``client_order_id must be unique``: the order exists. A success path."""
