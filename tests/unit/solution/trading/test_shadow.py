"""Two ledgers laid side by side: what counts as the same, and what each difference is called."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain.legs import identity_of
from solution.domain.reasons import Reason
from solution.domain.records import DeadLetter, Intent, State
from solution.trading.shadow import KINDS, Difference, Rows, compare
from tests.helpers.ledger_rows import make_dead_letter, make_intent

START = 1_700_000_000_000


def row(number: int, state: State = State.FILLED, **changed: Any) -> Intent:
    """A row of the nth signal, one a second."""
    at_ms = START + number * 1000
    values = {"identity": f"nvda|{number}", "entry_id": f"{at_ms}-0", "published_ms": at_ms}
    return make_intent(number, state=state, **(values | changed))


def dry(intent: Intent, **changed: Any) -> Intent:
    """The same decision in the shadow's ledger."""
    state = State.DRY_RUN if intent.state not in {State.REFUSED, State.NOT_SENT} else intent.state
    return replace(intent, state=state, filled_qty=Decimal(0), filled_avg_price=None, **changed)


def letter(number: int, **changed: Any) -> DeadLetter:
    """A dead letter of the nth signal's entry."""
    return make_dead_letter(number, entry_id=f"{START + number * 1000}-0", **changed)


def between(real: list[Intent], shadow: list[Intent], **options: Any) -> Difference:
    """Without dead letters."""
    return compare(Rows(real), Rows(shadow), **options)


SENT = [State.SUBMITTING, State.UNKNOWN, State.OPEN, State.FILLED, State.CANCELED, State.REJECTED]


@given(states=st.lists(st.sampled_from([*SENT, State.REFUSED, State.NOT_SENT]), min_size=1))
def test_the_same_decisions_are_no_difference(states: list[State]) -> None:
    """Whatever became of the orders: a dry run cannot know it."""
    real = [row(n, state, reason="X") for n, state in enumerate(states)]
    found = between(real, [dry(one) for one in reversed(real)])
    assert [pair.either.at_ms for pair in found.pairs] == [one.published_ms for one in real]
    assert found.differing == ()
    assert found.counts() == {}


@pytest.mark.parametrize(
    ("real", "changed", "kinds"),
    [
        (row(5, State.REFUSED, reason="X"), {"state": State.DRY_RUN}, ("decision",)),
        (row(5), {"state": State.REFUSED}, ("decision",)),
        (row(5, State.REFUSED, reason="X"), {"reason": "Y"}, ("reason",)),
        (row(5), {"side": "sell"}, ("side",)),
        (row(5), {"qty": Decimal(9)}, ("size",)),
        (row(5), {"qty": None, "notional": Decimal("12.5")}, ("size",)),
        (row(5), {"limit_price": Decimal(9)}, ("price",)),
        (
            row(5, limit_price=Decimal(1)),
            {"limit_price": Decimal(9), "qty": Decimal(9), "side": "sell"},
            ("side", "size", "price"),
        ),
    ],
)
def test_each_difference_has_its_name(
    real: Intent, changed: dict[str, Any], kinds: tuple[str, ...]
) -> None:
    """And no other signal is told to differ."""
    others = [row(n) for n in (4, 6)]
    shadow = [*(dry(one) for one in others), replace(dry(real), **changed)]
    found = between([*others, real], shadow)
    assert [pair.kinds for pair in found.pairs] == [(), kinds, ()]
    assert set(kinds) <= set(KINDS)
    assert found.counts() == dict.fromkeys(kinds, 1)


@pytest.mark.parametrize(
    ("reason", "acted", "kind"),
    [
        (Reason.NOTHING_TO_SELL, 20, "overtaken"),
        (Reason.AT_TARGET, 10, "overtaken"),
        (Reason.NOTHING_TO_SELL, 9, "decision"),
        (Reason.POSITION_CAP, 20, "decision"),
    ],
)
def test_work_that_the_real_order_has_done_is_no_difference(
    reason: Reason, acted: int, kind: str
) -> None:
    """Only if it was sent before the shadow looked, and only where nothing was left to do."""
    real = row(1, submitted_ms=START + 10)
    late = replace(dry(real), state=State.REFUSED, reason=reason, submitted_ms=0)
    found = between([real], [replace(late, ended_ms=START + acted)])
    assert found.counts() == {kind: 1}
    assert bool(found.differing) is (kind == "decision")


def test_signals_that_one_has_alone_count_while_both_ran() -> None:
    """Not from before the shadow began, nor what it has not come to yet."""
    real = [row(n) for n in range(8)]
    shadow = [dry(real[n]) for n in (2, 3, 5)] + [dry(row(4, identity="other"))]
    found = between(real, shadow)
    kinds = sorted((pair.kinds, pair.either.at_ms) for pair in found.differing)
    at_ms = real[4].published_ms
    assert kinds == [(("only real",), at_ms), (("only shadow",), at_ms)]
    assert len(found.pairs) == 5
    assert (found.from_ms, found.to_ms) == (real[2].published_ms, real[5].published_ms)


def test_dead_letters_are_decisions_too() -> None:
    """By their entry: beside a row, beside another letter, and alone."""
    real = Rows(
        [row(1), row(2), row(9)], [letter(3, reason="EXPIRED"), letter(4, reason="EXPIRED")]
    )
    shadow = Rows(
        [dry(row(1)), dry(row(9))],
        [letter(2, reason="EXPIRED"), letter(3, reason="EXPIRED"), letter(4, reason="POISON")],
    )
    found = compare(real, shadow)
    kinds = [pair.kinds for pair in found.pairs]
    assert kinds == [(), ("decision",), (), ("reason",), ()]


def test_orders_that_no_signal_made_are_left_out() -> None:
    """A bracket's legs, and what no signal explains: a dry run has neither."""
    leg = row(2, identity=identity_of("sp-test-1", "tp"))
    orphan = row(3, identity="orphan:x", entry_id="")
    found = between([row(1), leg, orphan, row(4)], [dry(row(1)), dry(row(4))])
    assert len(found.pairs) == 2
    assert found.differing == ()


@pytest.mark.parametrize(("percent", "differs"), [("0", True), ("0.01", True), ("0.05", False)])
def test_a_tolerance_for_prices_that_move(percent: str, differs: bool) -> None:
    """Two services look at the market at two moments."""
    real = row(1, qty=Decimal(100), limit_price=Decimal("135.00"))
    near = dry(real, qty=Decimal(97), limit_price=Decimal("135.50"))
    found = between([real], [near], tolerance=Decimal(percent))
    assert bool(found.differing) is differs


def test_a_time_to_begin_with() -> None:
    """What was published before does not count."""
    real = [row(n) for n in range(4)]
    shadow = [dry(one, qty=Decimal(1)) for one in real]
    found = between(real, shadow, since_ms=real[2].published_ms)
    assert len(found.pairs) == len(found.differing) == 2


@pytest.mark.parametrize(("real", "shadow"), [([], []), ([row(1)], []), ([], [row(1)])])
def test_nothing_to_compare(real: list[Intent], shadow: list[Intent]) -> None:
    """One of them has decided nothing: that is no agreement."""
    assert between(real, shadow).pairs == ()


@pytest.mark.parametrize("later", ["real", "shadow"])
def test_a_backlog_from_before_both_existed_is_left_out(later: str) -> None:
    """The later one finds it too old, or decides otherwise: that tells nothing of its settings."""
    decided = Rows([row(n) for n in range(8)], began_ms=START)
    backlog = Rows(
        [dry(row(3), qty=Decimal(1)), *(dry(row(n)) for n in range(5, 8))],
        [letter(n, reason="EXPIRED") for n in range(3)],
        began_ms=START + 4_500,
    )
    sides = {"shadow": (decided, backlog), "real": (backlog, decided)}
    found = compare(*sides[later])
    assert (found.counts(), len(found.pairs)) == ({}, 3)
    assert found.from_ms == START + 4_500


def test_a_repeat_is_no_decision() -> None:
    """Told the outcome by one, decided for itself by the other, which has lost the first."""
    real = Rows([row(1), row(4)], repeats={("nvda", f"{START + 2000}-0")})
    shadow = Rows([dry(row(1)), dry(row(4))], [letter(2, reason="EXPIRED")])
    assert compare(real, shadow).counts() == {}
    late = dry(row(2, identity="nvda|1"), qty=Decimal(1))
    assert compare(real, Rows([dry(row(0)), late, dry(row(4))])).counts() == {"only real": 1}
    again = Rows([row(1), row(4)], [letter(2, reason="EXPIRED")], {("nvda", f"{START + 2000}-0")})
    assert compare(again, Rows([dry(row(1)), dry(row(4))])).counts() == {"only real": 1}
