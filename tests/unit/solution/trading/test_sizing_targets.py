"""A position that is wanted, instead of a trade."""

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from solution.book.positions import Holdings
from solution.domain.orders import Side, TimeInForce
from solution.domain.reasons import Reason
from solution.domain.signal import SizeKind
from solution.errors import Refused
from solution.trading.sizing import size
from tests.helpers.sizing import ZERO, holdings, quote, refusal, request, sized, target


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [
        ("10", holdings("0"), ("buy", "10")),
        ("10", holdings("4"), ("buy", "6")),
        ("10", holdings("4", pending="3", buys="3"), ("buy", "3")),
        ("10", holdings("15"), ("sell", "5")),
        ("0", holdings("15"), ("sell", "15")),
        ("10.5", holdings("10"), ("buy", "0.5")),
        ("5", holdings("15", available="4", pending="-6"), ("sell", "4")),
        ("0", holdings("-10"), ("buy", "10")),
        ("5", holdings("-10"), ("buy", "10")),
        ("5", holdings("-10", pending="4", buys="4"), ("buy", "6")),
        ("5", holdings("-10", pending="-5"), ("buy", "10")),
        ("5", holdings("0", pending="-10"), ("buy", "5")),
    ],
)
def test_a_target_trades_the_difference(
    wanted: str, held: Holdings, expected: tuple[str, str]
) -> None:
    """To what is held and pending; a short is closed first, and only closed."""
    assert sized(target(wanted), held) == expected


@pytest.mark.parametrize(
    ("wanted", "held", "reason"),
    [
        ("10", holdings("10"), Reason.AT_TARGET),
        ("10", holdings("4", pending="6", buys="6"), Reason.AT_TARGET),
        ("0", holdings("0"), Reason.AT_TARGET),
        ("0", holdings("0", pending="-10"), Reason.AT_TARGET),
        ("0", holdings("-10", pending="10", buys="10"), Reason.AT_TARGET),
        ("5", holdings("-10", pending="10", buys="10"), Reason.NOTHING_TO_COVER),
        ("0", holdings("-10", pending="15", buys="15"), Reason.NOTHING_TO_SELL),
        ("0", holdings("10", available="0"), Reason.NOTHING_TO_SELL),
    ],
)
def test_a_target_without_a_trade(wanted: str, held: Holdings, reason: Reason) -> None:
    """Reached already, or not reachable now."""
    assert refusal(target(wanted), held) == reason


def test_crossing_zero_is_told() -> None:
    """The note says why the target is not reached yet."""
    plan = size(request(target("5"), holdings("-10")))
    assert (plan.opens, plan.note[:22]) == (False, "TARGET_CLAMPED_AT_ZERO")
    assert size(request(target("0"), holdings("-10"))).note == ""


def test_a_target_weight_is_in_whole_shares() -> None:
    """5 % of 100,000 at 100.01 is 49 shares; of a fraction above it, only the fraction goes."""
    wanted = target("0.05", SizeKind.TARGET_WEIGHT)
    market = quote(ask=Decimal("100.01"))
    assert sized(wanted, market=market) == ("buy", "49")
    assert sized(wanted, holdings("49.5"), market=market) == ("sell", "0.5")


@pytest.mark.parametrize(
    ("limit", "held", "expected"),
    [("1", "80", ("sell", "30")), ("120", "80", ("sell", "39")), ("120", "30", ("buy", "11"))],
)
def test_a_limit_below_the_market_does_not_turn_a_target_weight_round(
    limit: str, held: str, expected: tuple[str, str]
) -> None:
    """5 % of equity are 50 shares at the ask of 100, not 5,000 at a limit of 1."""
    wanted = target("0.05", SizeKind.TARGET_WEIGHT)._replace(limit_price=Decimal(limit))
    assert sized(wanted, holdings(held)) == expected


@pytest.mark.parametrize("held", ["10.5", "9.5"])
def test_a_fraction_away_is_there_where_fractions_are_refused(held: str) -> None:
    """ioc: half a share can be neither bought nor sold so."""
    signal = target("10")._replace(time_in_force=TimeInForce.IOC)
    assert refusal(signal, holdings(held)) == Reason.AT_TARGET


def test_a_target_is_stated() -> None:
    """Beyond a cap it is refused by the gates, not silently made smaller."""
    plan = size(request(target("5000"), max_order_qty=Decimal(1)))
    assert (plan.qty, plan.stated, plan.opens) == (Decimal(5000), True, True)


def test_no_difference_to_a_position_in_doubt() -> None:
    """Executions may be missing in it; only "nothing at all" can be approached safely."""
    doubtful = holdings("10", available="4", uncertain=True)
    assert refusal(target("12"), doubtful) == Reason.EXPOSURE_UNCONFIRMED
    assert refusal(target("5"), doubtful) == Reason.EXPOSURE_UNCONFIRMED
    assert sized(target("0"), doubtful) == ("sell", "4")


SHARES = st.integers(-50, 50).map(lambda n: Decimal(n) / 2)


@settings(deadline=None, derandomize=True)
@given(
    st.integers(0, 60).map(lambda n: Decimal(n) / 2),
    SHARES,
    st.integers(0, 20).map(Decimal),
    st.booleans(),
)
def test_a_target_published_twice_trades_once(
    wanted: Decimal, held: Decimal, coming: Decimal, filled: bool
) -> None:
    """After its order, resting or filled, the same target has nothing more to do."""
    before = holdings(str(held), pending=str(coming), buys=str(coming))
    try:
        plan = size(request(target(str(wanted)), before))
    except Refused:
        assume(False)
    signed = plan.qty if plan.side is Side.BUY else -plan.qty
    # A target that was only closed on the way through zero continues when the close has filled.
    assume(not plan.note)
    assume(plan.qty == abs(wanted - held - coming))
    if filled:
        after = holdings(str(held + signed), pending=str(coming), buys=str(coming))
    else:
        buys = coming + max(ZERO, signed)
        free = str(max(ZERO, max(ZERO, held) + min(ZERO, signed)))
        after = holdings(str(held), available=free, pending=str(coming + signed), buys=str(buys))
    reason = refusal(target(str(wanted)), after)
    assert reason in {Reason.AT_TARGET, Reason.NOTHING_TO_COVER}
