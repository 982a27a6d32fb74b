"""What the key that signed a signal may do."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain.reasons import Reason
from solution.domain.signing import KeyLimit
from solution.trading.gates import intake_gates
from solution.trading.gates.view import Denial, GateRules, View
from tests.unit.solution.trading.gates.test_order_gates import BUY, COVER, SALE, SHORT, SIGNAL, VIEW

LIMITS = {
    "all": KeyLimit(),
    "few": KeyLimit(frozenset({"NVDA", "F"})),
    "other": KeyLimit(frozenset({"AAPL"})),
    "small": KeyLimit(max_notional=Decimal(1000)),
}


def view(kid: str, **changed: Any) -> View:
    """An order for ten shares of NVDA at 100, signed with this key."""
    rules = GateRules(key_limits=LIMITS)
    return replace(VIEW, rules=rules, signal=SIGNAL._replace(kid=kid), **changed)


def reason(denial: Denial | None) -> Reason | None:
    return None if denial is None else denial.reason


@pytest.mark.parametrize("kid", ["all", "few", "small"])
@pytest.mark.parametrize("plan", [BUY, SHORT, SALE, COVER])
def test_what_a_key_may_do(kid: str, plan: Any) -> None:
    """1000 of a limit of 1000 is within it."""
    assert intake_gates.key_symbols(view(kid, plan=plan)) is None
    assert intake_gates.key_limit(view(kid, plan=plan)) is None


@pytest.mark.parametrize("plan", [BUY, SHORT, SALE, COVER, None])
def test_a_symbol_that_is_not_the_keys(plan: Any) -> None:
    """Not even out: the position is somebody else's."""
    denial = intake_gates.key_symbols(view("other", plan=plan))
    assert denial == Denial(Reason.KEY_LIMIT, "key other may not trade NVDA")


@pytest.mark.parametrize(
    ("plan", "expected"),
    [(BUY, Reason.KEY_LIMIT), (SHORT, Reason.KEY_LIMIT), (SALE, None), (COVER, None), (None, None)],
)
def test_a_cent_too_much(plan: Any, expected: Reason | None) -> None:
    """For orders that open; an exit is never too large."""
    dearer = plan and plan._replace(price=Decimal("100.001"))
    assert reason(intake_gates.key_limit(view("small", plan=dearer))) == expected


@pytest.mark.parametrize("kid", ["gone", ""])
def test_a_key_that_is_gone(kid: str) -> None:
    """Its signals in hand do not trade under another's limits, nor under none."""
    assert reason(intake_gates.key_symbols(view(kid))) is Reason.KEY_LIMIT


def test_without_keys_nothing_is_asked() -> None:
    """Signals are not signed then."""
    assert intake_gates.key_symbols(VIEW) is None
    assert intake_gates.key_limit(VIEW) is None


MONEY = st.decimals(Decimal("0.01"), Decimal(10**6), places=2)


@given(st.integers(1, 10**6), MONEY, MONEY, st.booleans())
def test_no_order_that_opens_exceeds_the_limit(
    qty: int, price: Decimal, limit: Decimal, opens: bool
) -> None:
    """Whatever it is worth, and exits always pass."""
    plan = BUY._replace(qty=Decimal(qty), price=price, opens=opens)
    rules = GateRules(key_limits={"k": KeyLimit(max_notional=limit)})
    judged = replace(VIEW, rules=rules, signal=SIGNAL._replace(kid="k"), plan=plan)
    denied = intake_gates.key_limit(judged) is not None
    assert denied == (opens and qty * price > limit)
