"""What the account holds and what it has ordered, for strategies that must know at their start."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from signal_generator.account.broker_http import BrokerHttp
from signal_generator.connection import Connection
from signal_generator.hosting import BrokerUnavailable, OpenOrder, Position

PAGE = 500
"""Orders in one answer, Alpaca's maximum."""

_T = TypeVar("_T")
_TICK = timedelta(microseconds=1)


class AccountReader:
    """A :class:`signal_generator.hosting.BrokerReader`; for one thread.

    Args:
        connection: keys and addresses.
        http: made from them where not given.
    """

    def __init__(self, connection: Connection, http: BrokerHttp | None = None) -> None:
        self._connection = connection
        self._http = BrokerHttp(connection) if http is None else http

    def positions(self) -> Sequence[Position]:
        """All positions; pairs of coins stand in them without the slash, as the broker has it."""
        path = "/v2/positions"
        return _read(path, self._http.get(self._connection.trading_url, path), _position)

    def open_orders(self) -> Sequence[OpenOrder]:
        """All orders that are not at their end, legs as orders of their own, oldest first."""
        path = "/v2/orders"
        found: dict[str, OpenOrder] = {}
        after: datetime | None = None
        while True:
            params = {"status": "open", "limit": str(PAGE), "direction": "asc", "nested": "false"}
            if after is not None:
                params["after"] = after.isoformat().replace("+00:00", "Z")
            rows = _read(path, self._http.get(self._connection.trading_url, path, params), _order)
            fresh = [row for row in rows if row.order_id not in found]
            found |= {row.order_id: row for row in fresh}
            if len(rows) < PAGE:
                return list(found.values())
            if not fresh:
                raise BrokerUnavailable(f"GET {path}: {PAGE} orders of one moment, no way past")
            # `after` is exclusive and our moments are cut to microseconds: one step back, so that
            # orders of the same moment on the next page are not passed over.
            after = rows[-1].submitted_at - _TICK

    def last_trade(self, symbol: str) -> Decimal:
        """The price of the last trade."""
        if "/" in symbol:
            path, params = "/v1beta3/crypto/us/latest/trades", {"symbols": symbol}
        else:
            path = "/v2/stocks/trades/latest"
            params = {"symbols": symbol, "feed": self._connection.feed}
        answer = self._http.get(self._connection.data_url, path, params)
        return _translated(path, lambda: _price(answer["trades"][symbol]["p"]))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _read(path: str, answer: Any, one: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    if not isinstance(answer, list):
        raise BrokerUnavailable(f"GET {path}: the answer is not a list")
    return _translated(path, lambda: [one(row) for row in answer])


def _translated(path: str, read: Callable[[], _T]) -> _T:
    """What `read` finds in an answer, or one error for all that may be wrong with it."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError) as error:
        raise BrokerUnavailable(f"GET {path}: not understood: {error!r}") from None


def _position(row: Mapping[str, Any]) -> Position:
    return Position(str(row["symbol"]), _number(row["qty"]), _number(row["avg_entry_price"]))


def _order(row: Mapping[str, Any]) -> OpenOrder:
    limit = row.get("limit_price")
    return OpenOrder(
        symbol=str(row["symbol"]),
        order_id=str(row["id"]),
        client_order_id=str(row["client_order_id"]),
        side=str(row["side"]),
        order_type=str(row["type"]),
        # An order by amount has no quantity; none of ours is one.
        qty=_number(row["qty"] or "0"),
        filled_qty=_number(row["filled_qty"] or "0"),
        limit_price=None if limit is None else _number(limit),
        submitted_at=_moment(row.get("submitted_at") or row["created_at"]),
    )


def _number(value: object) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _price(value: object) -> Decimal:
    price = _number(value)
    if price <= 0:
        raise ValueError(f"{value!r} is not a price")
    return price


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def of_symbol(rows: Iterable[_T], symbol: str) -> list[_T]:
    """Those of one asset: ``BTC/USD`` is ``BTCUSD`` among positions."""
    wanted = symbol.replace("/", "")
    return [row for row in rows if str(getattr(row, "symbol", "")).replace("/", "") == wanted]
