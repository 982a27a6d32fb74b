"""The user's own sizing function."""

from asyncio import CancelledError
from decimal import Decimal, getcontext, localcontext
from typing import Any

import pytest

from solution.book.positions import Holdings
from solution.book.prices import Quote
from solution.domain.reasons import Reason
from solution.domain.signal import Signal
from solution.errors import Refused
from solution.trading.plan import CustomSize
from solution.trading.sizing import size
from tests.helpers.clocks import ManualClock
from tests.helpers.sizing import BUY, holdings, quote, refusal, request, sized


def custom(function: CustomSize, **more: Any) -> dict[str, Any]:
    return {"policy": "mine:size", "custom": function, **more}


def test_a_custom_function_sees_signal_holdings_and_quote() -> None:
    """The same three things that our own policies look at."""
    seen: list[object] = []

    def mine(signal: Signal, held: Holdings, market: Quote) -> Decimal:
        seen.extend([signal, held, market])
        return Decimal(3)

    held, market = holdings("1"), quote()
    assert sized(BUY, held, market=market, **custom(mine)) == ("buy", "3")
    assert seen == [BUY, held, market]


@pytest.mark.parametrize(
    ("answer", "shares"),
    [
        (3, "3"),
        (Decimal("2.5"), "2.5"),
        (10.1, "10.1"),
        ("4", "4"),
        (True, "1"),
        (1 / 3, "0.333333333"),
    ],
)
def test_a_custom_answer_may_be_any_number(answer: Any, shares: str) -> None:
    """A float counts as its text; more than the broker's nine decimals are cut."""
    assert sized(**custom(lambda *_: answer)) == ("buy", shares)


@pytest.mark.parametrize("answer", [None, 0, Decimal(0), 0.0])
def test_a_custom_function_may_stand_aside(answer: Any) -> None:
    """None and zero are no trade, and no error."""
    assert refusal(**custom(lambda *_: answer)) == Reason.SIZE_TOO_SMALL


@pytest.mark.parametrize(
    "answer",
    [-1, Decimal("-0.5"), "ten", "", float("nan"), float("inf"), Decimal("sNaN"), [], object()],
)
def test_nonsense_of_a_custom_function_costs_one_signal(answer: Any) -> None:
    """Whatever it returns: refused, nothing sent."""
    assert refusal(**custom(lambda *_: answer)) == Reason.SIZING_FAILED


@pytest.mark.parametrize(
    "answer", [Decimal("1e80"), 1e300, 10**5000], ids=["Decimal", "float", "int"]
)
def test_an_absurd_number_of_a_custom_function_costs_one_signal(answer: Any) -> None:
    """And is called its mistake, not an error of the service."""
    assert refusal(**custom(lambda *_: answer)) == Reason.SIZING_FAILED


def test_a_custom_function_keeps_its_precision_to_itself() -> None:
    """Two digits would let every later size of this worker exceed its cap."""

    def mine(*_: object) -> Decimal:
        getcontext().prec = 2
        return Decimal(1_000_000)

    cap = Decimal(12_345)
    with localcontext() as context:
        assert sized(max_order_notional=cap, **custom(mine)) == ("buy", "123")
        assert getcontext() is context
        assert context.prec == 28


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        ZeroDivisionError(),
        KeyError("x"),
        MemoryError(),
        SystemExit(1),
        KeyboardInterrupt(),
        CancelledError(),
    ],
)
def test_an_error_of_a_custom_function_costs_one_signal(error: BaseException) -> None:
    """The service goes on, and the reason names the error."""

    def mine(*_: object) -> Decimal:
        raise error

    with pytest.raises(Refused, match=type(error).__name__) as caught:
        size(request(**custom(mine)))
    assert caught.value.reason == Reason.SIZING_FAILED


@pytest.mark.parametrize(("seconds", "in_time"), [(0.25, True), (0.4, False)])
def test_a_custom_function_that_takes_too_long_costs_one_signal(
    seconds: float, *, in_time: bool
) -> None:
    """Its decision could not be sent any more; the reason names both times."""
    clock = ManualClock()

    def mine(*_: object) -> int:
        clock.advance(seconds)
        return 3

    slow = custom(mine, clock=clock)
    if in_time:
        assert sized(**slow) == ("buy", "3")
    else:
        with pytest.raises(Refused, match=r"took 0.40 s, the limit is 0.25 s") as caught:
            size(request(**slow))
        assert caught.value.reason == Reason.SIZING_FAILED


def test_a_custom_size_is_clamped_like_ours() -> None:
    """It is computed, so it is brought under the caps."""
    mine = custom(lambda *_: 10_000, max_position_pct=Decimal("0.1"))
    assert sized(**mine) == ("buy", "100")


def test_a_policy_without_its_function_is_refused() -> None:
    """Misconfigured: no order, and a reason."""
    assert refusal(policy="nonsense") == Reason.SIZING_FAILED
