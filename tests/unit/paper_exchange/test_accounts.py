"""Money and shares: what is spent, held, free, and short."""

from decimal import Decimal

import pytest

from paper_exchange.books.accounts import Accounts
from tests.unit.paper_exchange.conftest import Make, World


def figures(world: World) -> dict[str, object]:
    """The account as the API shows it."""
    return world.account.render(world.market, world.clock.now_ns())


def test_buying_power_follows_exposure_and_holds(world: World) -> None:
    """Four times equity, less positions at market, less open purchases."""
    world.send(qty="100")
    world.rest("50", symbol="NVDA", qty="10")
    shown = figures(world)
    assert (shown["cash"], shown["equity"]) == ("89999", "99999")
    assert shown["long_market_value"] == "10000"
    assert Decimal(str(shown["buying_power"])) == 4 * Decimal(99999) - 10000 - 500


def test_short_sale_and_cover(world: World) -> None:
    """Proceeds are cash, the position is negative, covering needs no buying power."""
    world.send(side="sell", qty="100")
    shown = figures(world)
    assert (world.qty(), shown["short_market_value"]) == (Decimal(-100), "-10000")
    assert (shown["cash"], shown["equity"]) == ("109999", "99999")
    cover = world.rest("90", qty="100")
    assert (cover.position_intent, cover.reserved) == ("buy_to_close", Decimal(0))


def test_no_order_goes_through_zero(world: World) -> None:
    """Neither a sale of more than held nor a purchase of more than short."""
    world.send(qty="10")
    assert world.refusal(lambda: world.send(side="sell", qty="11"))["available"] == "10"
    world.send(side="sell", qty="10")
    world.send(side="sell", qty="5")
    refusal = world.refusal(lambda: world.send(qty="6"))
    assert (refusal["available"], refusal["existing_qty"]) == ("5", "-5")


def test_beyond_six_times_equity_only_closing_is_allowed(world: World) -> None:
    """Whatever the buying power: a fall of the price has eaten the equity."""
    world.send(qty="3900")
    world.price("80")
    refusal = world.refusal(lambda: world.send(symbol="NVDA", qty="1"))
    assert refusal["message"] == (
        "account is restricted to closing trades: positions exceed 600% of equity"
    )
    assert world.send(side="sell", qty="1").status == "filled"


def test_average_entry_price(world: World) -> None:
    """Averaged over purchases, untouched by sales, started anew after zero."""
    world.send(qty="10")
    world.price("120")
    world.send(qty="30")
    assert world.account.positions[next(iter(world.account.positions))].avg_entry_price == (
        Decimal("115.01")
    )
    world.send(side="sell", qty="39")
    (position,) = world.account.positions.values()
    assert (position.qty, position.avg_entry_price) == (Decimal(1), Decimal("115.01"))
    world.send(side="sell", qty="1")
    world.send(qty="1")
    (position,) = world.account.positions.values()
    assert position.avg_entry_price == Decimal("120.01")


def test_cash_is_exact_over_many_trades(world: World) -> None:
    """Cash is the sum of all executions to the last decimal."""
    world.send(qty="200")
    for step in range(60):
        world.price(100 + step % 7)
        world.send(side="buy" if step % 2 else "sell", qty=str(1 + step % 4))
    booked = sum(
        (fill.qty * fill.price * (1 if fill.side == "sell" else -1)) for fill in world.account.fills
    )
    assert world.account.cash == 100_000 + booked


def test_position_flip_is_booked_right(world: World) -> None:
    """Should two of the account's orders ever carry it through zero, the books stay right."""
    world.send(qty="10")
    (position,) = world.account.positions.values()
    position.apply(Decimal(-15), Decimal(90))
    assert (position.qty, position.avg_entry_price) == (Decimal(-5), Decimal(90))


def test_shares_on_offer_are_held(world: World) -> None:
    """Open sales hold shares until they end."""
    world.send(qty="10")
    offer = world.rest("120", side="sell", qty="8")
    refusal = world.refusal(lambda: world.send(side="sell", qty="3"))
    assert (refusal["available"], refusal["held_for_orders"]) == ("2", "8")
    bigger = world.replace(offer, qty="10")
    assert world.refusal(lambda: world.replace(bigger, qty="11"))["available"] == "10"
    world.engine.cancel(world.account, bigger)
    assert world.send(side="sell").status == "filled"


@pytest.mark.parametrize(
    ("resting", "sent", "refused"),
    [
        ({"limit": "110"}, {"type": "limit", "limit_price": "110"}, True),
        ({"limit": "110"}, {"type": "limit", "limit_price": "109.99"}, False),
        ({"limit": "110"}, {}, True),
        ({"limit": "110"}, {"type": "trailing_stop", "trail_price": "5"}, False),
        ({"limit": "90", "type": "stop_limit", "stop_price": "91"}, {}, True),
    ],
)
def test_wash_trades(
    world: World, resting: dict[str, str], sent: dict[str, str], *, refused: bool
) -> None:
    """Market and stop orders always collide, limits when they cross, trails never."""
    world.send(qty="10")
    offer = world.rest(side="sell", **resting)
    order = {"time_in_force": "gtc"} | sent
    if refused:
        body = world.refusal(lambda: world.send(**order))
        assert body["existing_order_id"] == offer.id
    else:
        assert world.send(**order).status in {"new", "filled"}


def test_wash_trade_against_a_purchase(world: World) -> None:
    """The rule holds in both directions and names what it met."""
    world.send(qty="10")
    world.rest("95")
    crossing = {"side": "sell", "type": "limit", "limit_price": "95", "time_in_force": "gtc"}
    assert world.refusal(lambda: world.send(**crossing))["reject_reason"] == (
        "opposite side limit order exists"
    )
    assert world.rest("95.01", side="sell", time_in_force="gtc").status == "filled"


def test_opposite_openings(world: World) -> None:
    """A flat account cannot wait for both directions."""
    world.rest("120", side="sell")
    assert world.refusal(lambda: world.rest("90"))["message"] == (
        "cannot open a long buy while a short sell order is open"
    )


def test_short_sales_need_permission_equity_and_margin(make: Make) -> None:
    """Each missing one refuses."""
    world = make(cash=Decimal(1999))
    assert world.refusal(lambda: world.send(side="sell", qty="1"))["message"] == (
        "account is not allowed to short"
    )
    world = make()
    refusal = world.refusal(lambda: world.send(side="sell", qty="3900"))
    assert refusal["cost_basis"] == str(round(Decimal("100.01") * Decimal("1.03") * 3900, 2))
    world.account.configuration.no_shorting = True
    assert world.refusal(lambda: world.send(side="sell"))["message"] == (
        "account is not allowed to short"
    )


def test_account_configurations_bind(world: World) -> None:
    """Suspended trading, no fractions, and a smaller multiplier."""
    config = world.account.configuration
    config.fractional_trading = False
    assert "fractional" in str(
        world.refusal(lambda: world.send(qty="1.5", time_in_force="day"))["message"]
    )
    config.max_margin_multiplier = "1"
    assert world.refusal(lambda: world.send(qty="1000"))["buying_power"] == "100000"
    config.suspend_trade = True
    assert world.refusal(world.send)["code"] == 40310000


def test_position_intent_must_agree(world: World) -> None:
    """An intent that the position contradicts is refused with both named."""
    body = world.refusal(lambda: world.send(side="sell", position_intent="sell_to_close"))
    assert body["message"] == (
        "position intent mismatch, inferred: sell_to_open, specified: sell_to_close"
    )
    assert world.send(position_intent="buy_to_open").status == "filled"


def test_notional_round_trip(world: World) -> None:
    """Dollars become a quantity of nine decimals at the fill; sales are checked in shares."""
    order = world.send(qty=None, notional="250", time_in_force="day")
    assert order.filled_qty == Decimal("2.499750024")
    assert order.filled_value <= 250
    assert (
        world.refusal(
            lambda: world.send(qty=None, notional="300", side="sell", time_in_force="day")
        )["existing_qty"]
        == "2.499750024"
    )
    world.send(qty=None, notional="100", side="sell", time_in_force="day")
    assert Decimal("1.49") < world.qty() < Decimal("1.51")


def test_crypto_is_paid_in_cash_and_never_short(world: World) -> None:
    """No margin, no short, a minimum, and the fee on what is received."""
    coin = {"symbol": "BTC/USD"}
    assert world.refusal(lambda: world.send(**coin, qty="1001"))["buying_power"] == "100000"
    assert world.refusal(lambda: world.send(**coin, side="sell"))["message"] == (
        "insufficient balance for BTC (requested: 10, available: 0)"
    )
    world.send(**coin, qty="1")
    world.send(**coin, side="sell", qty="0.9975")
    gone = Decimal("100.01") - Decimal("0.9975") * Decimal("99.99") * Decimal("0.9975")
    assert world.account.cash == 100_000 - gone
    assert world.refusal(lambda: world.send(**coin, qty="0.01"))["message"] == (
        "cost basis must be >= minimal amount of order 10"
    )


def test_coins_have_nine_decimals(world: World) -> None:
    """The fee is rounded up, so nothing is left that could not be sold."""
    coin = {"symbol": "BTC/USD"}
    world.send(**coin, qty="0.123456789")
    assert world.qty("BTC/USD") == Decimal("0.123148147")
    world.send(**coin, side="sell", qty="0.123148147")
    assert world.account.positions == {}


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_pair_has_a_smallest_order(world: World, side: str) -> None:
    """For an exit too (observed), so dust stays."""
    world.send(symbol="ETH/USD", qty="1")
    little = {"symbol": "ETH/USD", "side": side, "qty": "0.00039"}
    assert world.refusal(lambda: world.send(**little))["message"] == (
        "order qty must be >= minimal qty of order 0.0004"
    )
    world.send(symbol="ETH/USD", side="sell", qty="0.0004")


def test_crypto_beyond_the_balance(world: World) -> None:
    """Selling more than held names the coin and both amounts."""
    world.send(symbol="BTC/USD", qty="1")
    body = world.refusal(lambda: world.send(symbol="BTC/USD", side="sell", qty="1"))
    assert body["message"] == "insufficient balance for BTC (requested: 1, available: 0.9975)"


def test_last_equity_rolls_at_midnight_in_new_york(world: World) -> None:
    """Yesterday's equity is what today is compared with."""
    world.send(qty="100")
    assert figures(world)["last_equity"] == "100000"
    world.price("110")
    world.clock.advance(12 * 3600 + 1)
    assert figures(world)["last_equity"] == "100999"


def test_key_pairs() -> None:
    """A pair is an account, the same one across restarts; with a list, others are refused."""
    first, second = Accounts(Decimal(5)), Accounts(Decimal(5))
    account = first.authenticate("k", "s", 1)
    again, other = second.authenticate("k", "s", 2), second.authenticate("k", "t", 2)
    assert account is not None
    assert again is not None
    assert other is not None
    assert account.id == again.id != other.id
    assert first.authenticate("", "", 1) is None
    closed = Accounts(Decimal(5), (("k", "s"),))
    assert closed.authenticate("k", "wrong", 1) is None
    assert closed.authenticate("k", "s", 1) is not None
