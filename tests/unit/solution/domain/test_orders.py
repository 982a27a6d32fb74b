"""Orders as values: identities and exact request bodies."""

import string
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.orders import (
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
    client_order_id,
    deployment_id,
)

MARKET = OrderRequest(
    symbol="NVDA",
    side=Side.BUY,
    order_type=OrderType.MARKET,
    time_in_force=TimeInForce.IOC,
    client_order_id="sp-abcdefgh-x",
    qty=Decimal(10),
)
BASE = {
    "symbol": "NVDA",
    "side": "buy",
    "type": "market",
    "time_in_force": "ioc",
    "client_order_id": "sp-abcdefgh-x",
    "qty": "10",
}


def body(**changed: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(MARKET._replace(**changed).body())
    return decoded


def test_a_plain_order_has_exactly_its_fields() -> None:
    """Nothing optional is sent unless it was asked for; the bytes never vary."""
    assert body() == BASE
    assert MARKET.body() == MARKET.body()


def test_an_amount_of_money_takes_the_place_of_the_quantity() -> None:
    """A notional order names no shares."""
    sent = body(qty=None, notional=Decimal("100.50"))
    assert sent["notional"] == "100.50"
    assert "qty" not in sent


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E+3", "1000"), ("0.000000001", "0.000000001"), ("1E-9", "0.000000001"), ("10.50", "10.50")],
)
def test_numbers_are_plain_text(value: str, text: str) -> None:
    """No exponent and no float: the broker reads what we meant, to the ninth decimal."""
    assert body(qty=Decimal(value))["qty"] == text


def test_every_price_goes_out_under_the_api_s_name() -> None:
    """Limit, stop and both kinds of trail."""
    sent = body(
        limit_price=Decimal("1.01"),
        stop_price=Decimal("1.02"),
        trail_price=Decimal("0.50"),
        trail_percent=Decimal("1.5"),
        extended_hours=True,
    )
    assert sent == BASE | {
        "limit_price": "1.01",
        "stop_price": "1.02",
        "trail_price": "0.50",
        "trail_percent": "1.5",
        "extended_hours": True,
    }


def test_two_legs_are_a_bracket() -> None:
    """Both legs, and the stop's limit inside the stop."""
    sent = body(take_profit=Decimal(110), stop_loss=Decimal(90), stop_loss_limit=Decimal("89.50"))
    assert sent["order_class"] == "bracket"
    assert sent["take_profit"] == {"limit_price": "110"}
    assert sent["stop_loss"] == {"stop_price": "90", "limit_price": "89.50"}


@pytest.mark.parametrize(
    ("leg", "other"), [("take_profit", "stop_loss"), ("stop_loss", "take_profit")]
)
def test_one_leg_is_an_oto(leg: str, other: str) -> None:
    """A bracket needs both legs; with one the class is another."""
    sent = body(**{leg: Decimal(90)})
    assert sent["order_class"] == "oto"
    assert leg in sent
    assert other not in sent


def test_no_legs_name_no_class() -> None:
    """A simple order carries no order_class at all."""
    assert "order_class" not in body()


def test_the_id_of_an_identity_never_changes() -> None:
    """Frozen: a changed digest would send every signal of an upgrade's morning twice."""
    deployment = deployment_id("904837e3-3b76-47ec-b432-046db621571b", "solution")
    assert deployment == "c6c95c3e"
    assert (
        client_order_id(deployment, "nvda|entry:1-0:ab")
        == f"sp-{deployment}-2ffefb14724d33f2c01bbe5a9921edcc"
    )


@settings(deadline=None, derandomize=True)
@given(st.text(), st.text())
def test_two_identities_have_two_ids(one: str, other: str) -> None:
    """Equal exactly when the identities are; short enough for the older limit of 48."""
    ids = [client_order_id("abcdefgh", identity) for identity in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)
    assert {len(coid) for coid in ids} == {44}
    assert set(ids[0]) <= set(string.hexdigits + "spgh-")


def test_two_groups_on_one_account_have_two_deployments() -> None:
    """Nor does moving a character from one part to the other make them meet."""
    made = {
        deployment_id("acc", "solution"),
        deployment_id("acc", "other"),
        deployment_id("acc2", "solution"),
        deployment_id("accs", "olution"),
    }
    assert len(made) == 4
