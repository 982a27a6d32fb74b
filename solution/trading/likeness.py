"""Whether the broker's order under an id of ours is the one that was sent.

Compared before anything of it reaches our books, whoever brings the news: a lookup, the start, or
the order stream.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from solution.domain.order_state import decimal_or_none
from solution.domain.records import Intent

CREATED_SLACK_MS = 60_000


def differs(intent: Intent, order: Mapping[str, Any]) -> str:
    """Why the broker's order cannot be the one we sent under this id; "" when it is.

    Compares what was sent (symbol, side, type, size) with what is there.
    """
    sent: Mapping[str, Any] = orjson.loads(intent.body) if intent.body else {}
    for name in ("symbol", "side", "type"):
        if name in sent and not _same(str(order.get(name) or ""), sent[name]):
            return f"{name} at the broker is {order.get(name)!r}, sent was {sent[name]!r}"
    sizes = {name: decimal_or_none(order.get(name)) for name in ("qty", "notional")}
    for name, there in sizes.items():
        if name not in sent or not any(sizes.values()):
            continue
        if there != Decimal(sent[name]):
            return f"{name} at the broker is {there}, sent was {sent[name]}"
    return ""


def _same(there: str, sent: str) -> bool:
    """The broker knows a pair by two spellings, with the slash and without."""
    return there == sent or ("/" in sent and there == sent.replace("/", ""))


def is_older(intent: Intent, order: Mapping[str, Any]) -> bool:
    """Whether the broker's order was created before its signal was published.

    The two times are of two clocks, the broker's and Redis's; a minute between them is forgiven.
    """
    created = _epoch_ms(order.get("created_at"))
    return created is not None and created < intent.published_ms - CREATED_SLACK_MS


def _epoch_ms(text: object) -> int | None:
    """RFC 3339 to epoch milliseconds (beyond microseconds is cut); None when unreadable."""
    if not isinstance(text, str):
        return None
    try:
        whole = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(whole.timestamp() * 1000) if whole.tzinfo else None
