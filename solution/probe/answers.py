"""Probes that make no order: what answers look like, and how errors do."""

import uuid
from collections.abc import Iterator, Mapping

from solution.errors import BrokerError, NotFound, Rejected, Unauthorized
from solution.probe.bench import PREFIX, Bench
from solution.probe.finding import Finding
from solution.probe.judging import judge, words

RATE_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
ACCOUNT_FIELDS = ("id", "account_number", "equity", "cash", "buying_power")
LONE_BRACE = b"{"


def answers(bench: Bench, headers: Mapping[str, str]) -> Iterator[Finding]:
    """One account, and the headers that came with it.

    Args:
        headers: of the newest answer; lower-case names.
    """
    account = bench.client.account()
    missing = [name for name in ACCOUNT_FIELDS if not account.get(name)]
    seen = f"without {', '.join(missing)}" if missing else ", ".join(ACCOUNT_FIELDS)
    yield judge("account fields", holds=not missing, seen=seen)
    lacking = [name for name in RATE_HEADERS if name not in headers]
    limit = headers.get(RATE_HEADERS[0], "?")
    remaining = headers.get(RATE_HEADERS[1], "?")
    told = f"without {', '.join(lacking)}" if lacking else f"limit {limit}, {remaining} remaining"
    yield judge("rate headers", holds=not lacking, seen=told)


def unknown_orders(bench: Bench) -> Iterator[Finding]:
    """What is said of orders that never were."""
    try:
        bench.client.get_order_by_client_id(f"{PREFIX}{uuid.uuid4().hex}")
    except NotFound as e:
        yield judge("unknown order", holds=True, seen=words(e))
    except BrokerError as e:
        yield judge("unknown order", holds=False, seen=words(e))
    else:
        yield judge("unknown order", holds=False, seen="an order was found")
    try:
        bench.client.cancel_order(str(uuid.uuid4()))
    except Rejected as e:
        holds = e.status in {404, 422}
        yield judge("cancel of an unknown order", holds=holds, seen=words(e))
    else:
        yield judge("cancel of an unknown order", holds=False, seen="it was accepted")


def refusals(bench: Bench) -> Iterator[Finding]:
    """What cannot be an order."""
    name = "unknown time in force"
    try:
        placed = bench.place("never")
    except Rejected as e:
        yield judge(name, holds=e.status == 422 and e.code > 0, seen=words(e))
    else:
        bench.cancelled(placed)
        yield judge(name, holds=False, seen=f"it was accepted, {placed.status}")
    yield _malformed(bench)


def _malformed(bench: Bench) -> Finding:
    name = "malformed request"
    try:
        made = bench.adopt(bench.client.submit_order(LONE_BRACE))
    except Unauthorized:
        raise
    except Rejected as e:
        return judge(name, holds=e.status in {400, 422}, seen=words(e))
    except BrokerError as e:
        return judge(name, holds=False, seen=words(e))
    return judge(name, holds=False, seen=f"it was accepted, {made.status}")
