"""Orders as values: what we ask for, under which id, in exactly which bytes.

Quantities are shares, prices and amounts are account currency, all ``Decimal``. The request body
follows ``POST /v2/orders`` of Alpaca's Trading API v2 (OpenAPI document, ``PostOrder``).
"""

import hashlib
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import orjson

CLIENT_ORDER_ID_PREFIX = "sp"
"""First characters of every client_order_id of this product."""


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    OPG = "opg"
    CLS = "cls"


class OrderRequest(NamedTuple):
    """One order as it will be sent. Exactly one of ``qty`` and ``notional`` is set.

    Pass the fields by name. (A named tuple like the signal, and for the same reason.)
    """

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    client_order_id: str
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    extended_hours: bool = False

    def body(self) -> bytes:
        """The exact JSON that is stored in the ledger before it is sent, numbers as text."""
        out: dict[str, object] = {
            "symbol": self.symbol,
            "side": self.side.value,
            "type": self.order_type.value,
            "time_in_force": self.time_in_force.value,
            "client_order_id": self.client_order_id,
        }
        for name in ("qty", "notional", "limit_price", "stop_price", "trail_price"):
            value = getattr(self, name)
            if value is not None:
                out[name] = format(value, "f")
        if self.trail_percent is not None:
            out["trail_percent"] = format(self.trail_percent, "f")
        if self.extended_hours:
            out["extended_hours"] = True
        out.update(self._legs())
        return orjson.dumps(out)

    def _legs(self) -> dict[str, object]:
        """Bracket with both legs, OTO with one, nothing with none."""
        legs: dict[str, object] = {}
        if self.take_profit is not None:
            legs["take_profit"] = {"limit_price": format(self.take_profit, "f")}
        if self.stop_loss is not None:
            stop = {"stop_price": format(self.stop_loss, "f")}
            if self.stop_loss_limit is not None:
                stop["limit_price"] = format(self.stop_loss_limit, "f")
            legs["stop_loss"] = stop
        if legs:
            legs["order_class"] = "bracket" if len(legs) == 2 else "oto"
        return legs


def deployment_id(account_id: str, group: str) -> str:
    """Eight characters that tell this deployment's orders from any other's on the same account.

    A pure function of the broker account and the consumer group, so that a lost ledger does not
    change the ids of signals already sent.
    """
    return hashlib.sha256(f"{account_id}\0{group}".encode()).hexdigest()[:8]


def client_order_id(deployment: str, identity: str) -> str:
    """The one id an identity can ever have at the broker: 44 characters, 128 bits of SHA-256.

    Alpaca allows 128 characters, older documents say 48.
    """
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return f"{CLIENT_ORDER_ID_PREFIX}-{deployment}-{name}"
