"""A dry run beside the real service: which signals the two decided differently.

Both read the same streams, each with a group and a ledger of its own. A signal has the same
identity in both, so their rows are laid side by side. The dry run's book is the account's: it sees
the positions and the cash that the *real* orders made, never any of its own, because what it would
have sent is not filled by anybody. So a difference in one signal does not carry on into the next;
and a signal that the real service has traded already may find its work done.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from solution.domain.legs import is_leg
from solution.domain.reasons import Reason
from solution.domain.records import DeadLetter, Intent, State, entry_key

_NOTHING_SENT = frozenset({State.REFUSED, State.NOT_SENT})
_WORK_IS_DONE = frozenset({Reason.AT_TARGET, Reason.NOTHING_TO_SELL, Reason.NOTHING_TO_COVER})
OVERTAKEN = "overtaken"
KINDS = {
    "decision": "one sends what the other does not",
    "reason": "both send nothing, for different reasons",
    "side": "one buys what the other sells",
    "size": "both send, another quantity or amount",
    "price": "both send, with another limit price",
    OVERTAKEN: "the shadow looked when the real order had moved the account: no difference",
    "only real": "the shadow has not decided it",
    "only shadow": "the real service has not decided it",
}
"""How two rows can differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What one of the two made of a signal.

    Args:
        what: ``sent``, ``would send``, ``refused``, ``not sent`` or ``dead letter``.
        sends: whether there was, or would have been, an order.
        size: shares, or account currency where ``is_amount``.
        price: its limit, where it has one.
        assumed: the price that it was sized on, for purchases.
        paid: the average of what was filled.
        acted_ms: when the order was sent, or the signal's end was decided without one.
    """

    what: str
    sends: bool
    signal: str
    at_ms: int
    reason: str = ""
    message: str = ""
    symbol: str = ""
    side: str = ""
    size: Decimal | None = None
    is_amount: bool = False
    price: Decimal | None = None
    assumed: Decimal | None = None
    filled: Decimal = Decimal(0)
    paid: Decimal | None = None
    acted_ms: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """One signal in both ledgers; ``kinds`` are those of :data:`KINDS` that apply."""

    real: Decided | None
    shadow: Decided | None
    kinds: tuple[str, ...]

    @property
    def either(self) -> Decided:
        """Whichever there is, for what both share."""
        found = self.real or self.shadow
        assert found is not None  # noqa: S101 - a pair is made of at least one
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """Two ledgers laid side by side.

    Args:
        pairs: oldest first; signals that only one of them has count within the time that both
            cover.
        from_ms, to_ms: that time; 0 where there is none.
    """

    pairs: tuple[Pair, ...]
    from_ms: int = 0
    to_ms: int = 0

    @property
    def differing(self) -> tuple[Pair, ...]:
        """Those that the two decided differently."""
        return tuple(pair for pair in self.pairs if pair.kinds not in {(), (OVERTAKEN,)})

    def counts(self) -> dict[str, int]:
        """How many differ in which way."""
        found = Counter(kind for pair in self.pairs for kind in pair.kinds)
        return {kind: found[kind] for kind in KINDS if found[kind]}


class Rows(NamedTuple):
    """Of one ledger.

    Args:
        repeats: stream and entry of those that were told the outcome of a signal before them.
        began_ms: the service's first start with it; 0 where nobody knows.
    """

    intents: Iterable[Intent]
    letters: Iterable[DeadLetter] = ()
    repeats: Collection[tuple[str, str]] = ()
    began_ms: int = 0


def compare(
    real: Rows, shadow: Rows, *, since_ms: int = 0, tolerance: Decimal = Decimal(0)
) -> Difference:
    """Every signal published since then, and since both ledgers exist, that one has decided.

    The one that started later found a backlog, which the other had decided when it was fresh. What
    one of them took for a repeat is no decision of its own.

    Args:
        tolerance: fraction by which sizes and limit prices may differ and count as the same.
    """
    intents = [*shadow.intents], [*real.intents]
    names = {
        (row.stream, row.entry_id): row.identity for rows in intents for row in rows if row.entry_id
    }
    letters = [*shadow.letters], [*real.letters]
    repeats = _told_only(shadow, letters[0]) | _told_only(real, letters[1])
    theirs = _decided(intents[0], letters[0], names, repeats)
    ours = _decided(intents[1], letters[1], names, repeats)
    if not ours or not theirs:
        return Difference(())
    firsts = (min(d.at_ms for d in one.values()) for one in (ours, theirs))
    start = max(since_ms, real.began_ms, shadow.began_ms, *firsts)
    end = min(max(d.at_ms for d in one.values()) for one in (ours, theirs))
    pairs = []
    for name in {**ours, **theirs}:
        left, right = ours.get(name), theirs.get(name)
        pair = Pair(left, right, _kinds(left, right, tolerance))
        together = left is not None and right is not None
        oldest = min(one.at_ms for one in (left, right) if one is not None)
        if oldest >= start and (together or pair.either.at_ms <= end):
            pairs.append(pair)
    return Difference(tuple(sorted(pairs, key=lambda pair: pair.either.at_ms)), start, end)


def _told_only(one: Rows, letters: Iterable[DeadLetter]) -> frozenset[tuple[str, str]]:
    """Its repeats; a dead letter that was told an end before is a decision all the same."""
    return frozenset(one.repeats) - {(letter.stream, letter.entry_id) for letter in letters}


def _decided(
    rows: Iterable[Intent],
    letters: Iterable[DeadLetter],
    names: dict[tuple[str, str], str],
    repeats: Collection[tuple[str, str]],
) -> dict[str, Decided]:
    # A row whose signal is unknown is an order that no signal explains: the shadow cannot have it.
    found = {
        row.identity: _of_row(row)
        for row in rows
        if row.entry_id and not is_leg(row) and (row.stream, row.entry_id) not in repeats
    }
    for letter in letters:
        at = (letter.stream, letter.entry_id)
        if at not in repeats:
            found.setdefault(names.get(at, "|".join(at)), _of_letter(letter))
    return found


def _of_row(row: Intent) -> Decided:
    sends = row.state not in _NOTHING_SENT
    word = {State.DRY_RUN: "would send", State.REFUSED: "refused", State.NOT_SENT: "not sent"}
    bought = row.reserved_cash > 0 and row.qty
    return Decided(
        what=word.get(row.state, "sent"),
        sends=sends,
        signal=row.signal_id or row.entry_id,
        at_ms=row.published_ms,
        reason=row.reason,
        message=row.message,
        symbol=row.symbol,
        side=row.side,
        size=row.qty if row.notional is None else row.notional,
        is_amount=row.notional is not None,
        price=row.limit_price,
        assumed=row.reserved_cash / row.qty if bought and row.qty else None,
        filled=row.filled_qty,
        paid=row.filled_avg_price,
        acted_ms=row.submitted_ms or row.ended_ms,
    )


def _of_letter(letter: DeadLetter) -> Decided:
    return Decided(
        what="dead letter",
        sends=False,
        signal=letter.entry_id,
        at_ms=entry_key(letter.entry_id)[0],
        reason=letter.reason,
        message=letter.message,
    )


def _kinds(real: Decided | None, shadow: Decided | None, tolerance: Decimal) -> tuple[str, ...]:
    if real is None:
        return ("only shadow",)
    if shadow is None:
        return ("only real",)
    if real.sends != shadow.sends:
        late = shadow.acted_ms >= real.acted_ms and shadow.reason in _WORK_IS_DONE
        return (OVERTAKEN,) if late else ("decision",)
    if not real.sends:
        return ("reason",) if real.reason != shadow.reason else ()
    differs = {
        "side": real.side != shadow.side,
        "size": real.is_amount != shadow.is_amount or _apart(real.size, shadow.size, tolerance),
        "price": _apart(real.price, shadow.price, tolerance),
    }
    return tuple(kind for kind, apart in differs.items() if apart)


def _apart(one: Decimal | None, other: Decimal | None, tolerance: Decimal) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > tolerance * max(abs(one), abs(other))
