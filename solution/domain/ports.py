"""What the layers ask of each other; ``assembly.py`` joins them."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from solution.domain.records import Change, DeadLetter, EntryRef, Intent


class Lease(Protocol):
    """Which instance may write; part of the ledger, safe from any thread.

    Once :meth:`acquire_lease` has succeeded every write of this object is a compare-and-set on
    the epoch it returned, and raises :class:`~solution.errors.LeaseLost` after a takeover.
    """

    @property
    def epoch(self) -> int:
        """The epoch we write under; 0 before the first :meth:`acquire_lease` (no check)."""
        ...

    def acquire_lease(self, holder: str, ttl: float) -> int | None:
        """Take the lease for ``ttl`` seconds.

        Args:
            holder: a name no other process has; a process that asks again gets it at once.

        Returns:
            the new epoch, or None while another holder's lease is valid.
        """
        ...

    def renew_lease(self, ttl: float) -> None:
        """Hold it ``ttl`` seconds from now.

        Raises:
            LeaseLost: another instance has taken it.
            LedgerError: nobody knows; try again before it expires.
        """
        ...

    def release_lease(self) -> None:
        """Let another instance have it at once; to be called when the last write is done."""
        ...


class Ledger(Lease, Protocol):
    """The durable record. Every method is safe to call from any thread."""

    def find(self, identity: str, client_order_id: str = "") -> Intent | None:
        """The row of a signal: the one of its identity, else the one that has its id, or None.

        The two differ for an order that was at the broker before anybody knew of its signal.
        """
        ...

    def find_by_client_order_id(self, client_order_id: str) -> Intent | None: ...

    def find_dead_letter(self, ref: EntryRef) -> DeadLetter | None: ...

    def open_intents(self) -> list[Intent]:
        """Every row that is not in a terminal state, oldest first."""
        ...

    def begin(self, intent: Intent) -> None:
        """Commit a SUBMITTING row, inline, before its POST.

        Raises:
            IdentityExists: the identity has a row.
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing is durable; the order must not be sent.
        """
        ...

    def begin_again(self, client_order_id: str) -> bool:
        """Commit, inline, that a row's body is about to be sent once more: SUBMITTING again.

        Returns:
            False when the row is not SUBMITTING or UNKNOWN (any more): nothing is written.

        Raises:
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing may be sent.
        """
        ...

    def apply(self, changes: Sequence[Change]) -> list[tuple[int, Mapping[str, str]]]:
        """Commit many changes in one transaction and make them durable (fsync).

        Returns:
            per event, in order: its ``event_id`` and its fields as they are published.

        Raises:
            LeaseLost: another instance holds the lease; nothing was written.
            LedgerError: nothing of the batch is durable.
        """
        ...

    def send_times(self, since_ms: int) -> list[int]:
        """When orders were sent (epoch ms), for rebuilding the rate window after a restart."""
        ...

    def sent_since(self, since_ms: int) -> list[tuple[str, str, str]]:
        """(stream, asset id, entry id) of every signal sent since (epoch ms)."""
        ...

    def last_sent_ms(self) -> int:
        """When the newest order was sent (epoch ms); 0 when none was."""
        ...

    def get_state(self, key: str) -> str | None: ...

    def set_state(self, key: str, value: str, *, sync: bool = True) -> None:
        """Keep a value; without ``sync`` it survives ``kill -9``, and a power loss maybe."""
        ...

    def delete_state(self, key: str, *, sync: bool = True) -> None: ...

    def states(self, prefix: str) -> dict[str, str]:
        """Every kept value whose key begins so."""
        ...

    def mark_start(self, ref: EntryRef) -> int:
        """Count that work on an entry begins; survives ``kill -9``.

        Returns:
            how often it began and did not end, this time included.
        """
        ...

    def clear_start(self, ref: EntryRef) -> None:
        """The entry ended cleanly; forgotten with the next commit."""
        ...

    def open_starts(self) -> dict[EntryRef, int]:
        """Every entry that began and did not end, and how often."""
        ...

    def add_equity(self, at_ms: int, equity: Decimal, daily_pnl: Decimal) -> None:
        """Add one point (epoch ms, account currency) to the equity curve."""
        ...


class Outbox(Protocol):
    """The ledger's events on their way to the ``executions`` stream; safe from any thread."""

    def last_event_id(self) -> int:
        """The highest ``event_id`` committed so far; for none, the one below the first."""
        ...

    def unpublished(self, limit: int, after: int = 0) -> list[tuple[int, Mapping[str, str]]]:
        """Events not marked as published, ascending, with an id above ``after``.

        Raises:
            LedgerError: they cannot be read.
        """
        ...

    def mark_published(self, event_ids: Iterable[int]) -> None:
        """Forget these with the next commit; a crash before that publishes them again."""
        ...


class Outcomes(Protocol):
    """Where decided changes go; returns at once, commits in batches, then acknowledges."""

    def put(self, change: Change) -> None: ...


class AssetView(Protocol):
    """What gates and sizing need to know of an asset."""

    @property
    def id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def asset_class(self) -> str: ...
    @property
    def tradable(self) -> bool: ...
    @property
    def shortable(self) -> bool: ...
    @property
    def fractionable(self) -> bool: ...
    @property
    def is_crypto(self) -> bool: ...
    @property
    def min_order_size(self) -> Decimal | None: ...
    @property
    def min_trade_increment(self) -> Decimal | None: ...
    @property
    def price_increment(self) -> Decimal | None: ...


class Assets(Protocol):
    def find(self, ticker: str) -> AssetView | None:
        """The asset by any spelling of its symbol, from memory, or None."""
        ...


class AccountView(Protocol):
    """Numbers of the account as gates and sizing see them."""

    equity: Decimal
    cash: Decimal
    buying_power: Decimal


class OrderUpdate(Protocol):
    """One ``trade_updates`` message, as :class:`solution.feeds.trade_updates.Update` holds it."""

    @property
    def event(self) -> str: ...
    @property
    def client_order_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def order(self) -> Mapping[str, Any]: ...
    @property
    def qty(self) -> Decimal | None: ...
    @property
    def price(self) -> Decimal | None: ...
    @property
    def position_qty(self) -> Decimal | None: ...
    @property
    def execution_id(self) -> str: ...
    @property
    def previous_execution_id(self) -> str: ...
    @property
    def at(self) -> str: ...
