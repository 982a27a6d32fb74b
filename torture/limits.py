"""Checks of what the service may ask for, by the broker's books alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from torture.book import Book, Lookup, Post
from torture.budget import Budget
from torture.violation import Violation

ENOUGH_LOOKUPS, ENOUGH_SECONDS = 3, 2.0
"""What lies between an unclear POST and a second one, at the least."""
ON_ITS_WAY = 0.5
"""Seconds for what had left when a 429 said how long to wait."""
_ROUNDED = 0.05


def looked_up_before_sent_again(
    book: Book, began: Sequence[float], forgotten: AbstractSet[str]
) -> Iterator[Violation]:
    """I2: whatever became of the first POST, who sends a second one has asked for it.

    Args:
        began: when each life began, in their order.
        forgotten: client_order_ids whose rows a power loss took.
    """
    before: dict[str, Post] = {}
    lookups = list(book.lookups)
    for post in list(book.posts):
        earlier = before.get(post.client_order_id)
        before[post.client_order_id] = post
        if earlier is None or earlier.fault == "429" or post.client_order_id in forgotten:
            continue
        own = began[post.by - 1] if 0 < post.by <= len(began) else 0.0
        since = max(earlier.at, own)
        asked = sum(_asks_for(post, each, since) for each in lookups)
        if asked < ENOUGH_LOOKUPS or post.at - since < ENOUGH_SECONDS:
            yield Violation(
                "sent again too soon",
                f"{post.order!r} {post.client_order_id} after {asked} lookups in "
                f"{post.at - since:.2f} s; before: {earlier.fault}",
            )


def _asks_for(post: Post, lookup: Lookup, since: float) -> bool:
    about_it = lookup.about in {"", post.client_order_id} and lookup.by == post.by
    return about_it and lookup.answered and since <= lookup.at <= post.at


def covered(book: Book, forgotten: AbstractSet[str]) -> Iterator[Violation]:
    """I5: what an order may still need is promised to no other one."""
    for beyond in list(book.beyond):
        if not forgotten & {beyond.client_order_id, *beyond.holding}:
            yield Violation(
                "beyond what is left",
                f"{beyond.order!r} {beyond.client_order_id} asks for more {beyond.what} than "
                f"{len(beyond.holding)} open orders leave",
            )


def budget_kept(budget: Budget) -> Iterator[Violation]:
    """No life asks more than the limit of a window, or while it is told to wait.

    All lives together may: of what a dead one asked, the ledger has the POSTs only, and the next
    life learns the rest from its first answers.
    """
    own: dict[int, list[float]] = defaultdict(list)
    waits: dict[int, tuple[float, float]] = {}
    for asked in list(budget.asked):
        times = own[asked.by]
        times.append(asked.at)
        if len(times) > budget.limit and asked.at - times[-1 - budget.limit] < budget.window:
            yield Violation(
                "beyond the limit",
                f"life {asked.by}: {budget.limit + 1} requests within {budget.window} s",
            )
        told, until = waits.get(asked.by, (0.0, 0.0))
        if told + ON_ITS_WAY < asked.at < until - _ROUNDED:
            yield Violation(
                "does not wait",
                f"life {asked.by} asks {asked.at - told:.2f} s after a 429 that says "
                f"{until - told:.0f} s",
            )
        if asked.wait:
            waits[asked.by] = asked.at, asked.at + asked.wait
