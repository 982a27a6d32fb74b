"""schemathesis set up over the documents: what is generated, what is checked, on which account."""

import os
import re
from functools import cache
from urllib.parse import parse_qsl

import requests
import schemathesis
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.contract.openapi import documents
from tests.contract.openapi.stock import SECRET, Stock, acquaint, stock_up

#: Known to the exchange, so that credentials which are not get their 401.
KEYS = {
    f"{method} {path}": f"CONTRACT{name}{number}"
    for name in documents.NAMES
    for number, (method, path) in enumerate(documents.operations(name))
}
#: The variable with which a campaign asks for more data than the normal run.
EXAMPLES = "CONTRACT_EXAMPLES"
_ORDER_REFUSALS = ["2xx", "401", "403", "404", "409", "422"]
#: For how many cases of an operation its answer to missing and wrong credentials is judged.
_CREDENTIALS_TRIED = 8
#: A well-formed request may still ask for what cannot be done: too dear, not held, not open,
#: after an order or an activity that does not exist.
_MAY_REFUSE = (
    "GET /v2/account/activities",
    "GET /v2/account/activities/{activity_type}",
    "GET /v2/account/portfolio/history",
    "GET /v2/orders",
    "POST /v2/orders",
    "PATCH /v2/orders/{order_id}",
    "DELETE /v2/orders/{order_id}",
    "DELETE /v2/positions/{symbol_or_asset_id}",
)


def options() -> tuple[str, ...]:
    """How the exchange under test is started."""
    keys = ",".join(f"{key}:{SECRET}" for key in KEYS.values())
    return ("--rate-limit", "0", "--seed", "11", "--keys", keys, "--volatility", "0")


def settings(max_examples: int) -> dict[str, object]:
    """schemathesis's configuration: ``max_examples`` that never change, or a campaign's many."""
    deterministic = EXAMPLES not in os.environ
    max_examples = int(os.environ.get(EXAMPLES, max_examples))
    return {
        "request-timeout": 5,
        "cache": {"enabled": False},
        "generation": {
            "deterministic": deterministic,
            "max-examples": max_examples,
            # Ours are sent with every request; the check of ignored credentials leaves them out.
            "with-security-parameters": False,
        },
        "operations": [
            {
                "include-name": label,
                "checks": {"positive_data_acceptance": {"expected-statuses": _ORDER_REFUSALS}},
            }
            for label in _MAY_REFUSE
        ],
    }


def make_schema(name: str, *, max_examples: int) -> OpenApiSchema:
    """A document's served operations, ready to be tested."""
    config = schemathesis.Config.from_dict(settings(max_examples))
    schema = schemathesis.openapi.from_dict(documents.amended(name), config=config)
    return schema.exclude(name=documents.documented_as_not_served())


@cache
def _account(url: str, label: str) -> Stock:
    return stock_up(url, KEYS[label])


def _leaves_a_parameter_empty(case: schemathesis.Case, url: str) -> bool:
    """Whether a broken request is broken by ``?name=`` (perhaps alone), which counts as absent.

    Clients write optional fields that nobody set so. The generator takes it for a violation.
    """
    if case.meta is None or case.meta.generation.mode.is_positive:
        return False
    kwargs = case.as_transport_kwargs(base_url=url)
    query = requests.Request(params=kwargs.get("params"), url=url).prepare().url or ""
    values = parse_qsl(query.partition("?")[2], keep_blank_values=True)
    return any(not value.strip(",") for _, value in values)


def checked(case: schemathesis.Case, url: str, session: requests.Session) -> None:
    """Send a case on its operation's own account and judge the answer."""
    if _leaves_a_parameter_empty(case, url):
        return
    label = case.operation.label
    stock = _account(url, label)
    acquaint(case, stock)
    stock.sent += 1
    # Two requests more per case, and credentials do not depend on the data.
    known = [schemathesis.checks.ignored_auth] if stock.sent > _CREDENTIALS_TRIED else []
    case.call_and_validate(
        base_url=url, headers=stock.headers, session=session, excluded_checks=known
    )


def _is_served(session: requests.Session, url: str, method: str, path: str) -> bool:
    """Whether a running exchange knows an operation; one that it does not is a 404 that says so."""
    filled = re.sub(r"\{(\w+)\}", lambda match: "us" if match[1] == "loc" else "X", path)
    headers = Stock(KEYS[f"{method} {path}"]).headers
    answer = session.request(method, url + filled, headers=headers, timeout=5)
    return answer.status_code != 404 or answer.json() != {
        "code": 40410000,
        "message": "endpoint not found",
    }


def not_served(url: str) -> list[str]:
    """``METHOD /path`` of every documented operation that a running exchange does not know."""
    with requests.Session() as session:
        return [
            f"{method} {path}"
            for name in documents.NAMES
            for method, path in documents.operations(name)
            if not _is_served(session, url, method, path)
        ]
