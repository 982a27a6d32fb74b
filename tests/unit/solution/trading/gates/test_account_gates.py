"""Gates over the day's loss."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.positions import Account
from solution.domain.day import Day
from solution.trading.gates import account_gates
from solution.trading.gates.view import Gate, GateRules
from tests.unit.solution.trading.gates.test_order_gates import COVER, SALE, SHORT, VIEW, verdict

FIVE = Decimal("0.05")
DAY = Day(Decimal(100_000), Decimal(102_000))
LOSS = GateRules(max_daily_loss_pct=FIVE)
FALL = GateRules(max_drawdown_pct=FIVE)
BOTH = [
    (account_gates.daily_loss, LOSS, "DAILY_LOSS"),
    (account_gates.drawdown, FALL, "DRAWDOWN"),
]


def account(equity: str) -> Account:
    return Account("acc", Decimal(equity), Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("gate", "rules", "equity", "reason"),
    [
        (account_gates.daily_loss, LOSS, "95000.01", None),
        (account_gates.daily_loss, LOSS, "95000", "DAILY_LOSS"),
        (account_gates.drawdown, FALL, "97000.01", None),
        (account_gates.drawdown, FALL, "97000", "DRAWDOWN"),
    ],
)
def test_the_limit_itself_is_refused(
    gate: Gate, rules: GateRules, equity: str, reason: str | None
) -> None:
    """A cent above it is not; a short sale opens as well."""
    seen: dict[str, Any] = {"rules": rules, "account": account(equity), "day": DAY}
    assert verdict(gate, **seen) == reason
    assert verdict(gate, **seen, plan=SHORT) == reason


@pytest.mark.parametrize(("gate", "rules", "reason"), BOTH)
@pytest.mark.parametrize("missing", ["account", "day"])
def test_a_number_that_is_missing_refuses(
    gate: Gate, rules: GateRules, reason: str, missing: str
) -> None:
    """Nobody guesses that nothing was lost."""
    seen: dict[str, Any] = {"rules": rules, "account": account("100000"), "day": DAY}
    assert verdict(gate, **seen) is None
    assert verdict(gate, **seen | {missing: None}) == reason


@pytest.mark.parametrize(("gate", "rules", "reason"), BOTH)
@pytest.mark.parametrize("plan", [SALE, COVER, None])
def test_exits_pass(gate: Gate, rules: GateRules, reason: str, plan: Any) -> None:
    """However much was lost, and whether or not it is known."""
    assert verdict(gate, rules=rules, account=account("1"), day=DAY) == reason
    assert verdict(gate, rules=rules, account=account("1"), day=DAY, plan=plan) is None
    assert verdict(gate, rules=rules, plan=plan) is None


@given(st.decimals("0", "200000", places=2))
def test_without_limits_nothing_is_refused(equity: Decimal) -> None:
    """0 in the settings, None here."""
    view = replace(VIEW, rules=GateRules(), account=account(str(equity)), day=DAY)
    assert account_gates.daily_loss(view) is None
    assert account_gates.drawdown(view) is None
