"""Takes a strategy's blocks of orders and makes signals of them."""

import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from signal_generator.blocks.orders import WrongOrder, read_order
from signal_generator.blocks.register import OrderRecord, OrderRegister, malformed, record_of

Fields = Mapping[str, str]


class OrderDesk:
    """Safe from any thread.

    Args:
        publish: takes the signals of a block; they have their identity.
        failed: told of orders that are none; the others of their block go out all the same.
        max_age: seconds that an order may wait before the service first looks at it.
        sign: completes a signal's fields where the service wants signatures.
    """

    def __init__(  # noqa: PLR0913  # each is one seam
        self,
        register: OrderRegister,
        publish: Callable[[Sequence[Fields]], None],
        failed: Callable[[Sequence[OrderRecord]], None],
        *,
        label: str,
        now: Callable[[], datetime],
        max_age: Callable[[], float],
        sign: Callable[[Fields], Fields] = lambda fields: fields,
        run: str | None = None,
    ) -> None:
        self._register = register
        self._publish = publish
        self._failed = failed
        self._label = label
        self._now = now
        self._max_age = max_age
        self._sign = sign
        self._run = run or uuid.uuid4().hex
        self._process = os.getpid()
        # next() of a count is atomic: two threads never get one number.
        self._numbers = itertools.count(1)

    def submit(self, payload: Any) -> list[str]:
        """Send one order (a dict) or a block (a list), in its order; returns their identities.

        Raises:
            RuntimeError: in a process that the strategy has forked.
        """
        if os.getpid() != self._process:
            # Its numbers are those that the run itself gives next: of two orders one would be lost.
            raise RuntimeError("orders are sent by the process that called run_trading alone")
        common = self._common()
        records: list[OrderRecord] = []
        signals: list[Fields] = []
        wrong: list[OrderRecord] = []
        try:
            for written in _orders_in(payload):
                signal_id = f"{self._run}-{next(self._numbers)}"
                try:
                    order = read_order(written)
                except WrongOrder as error:
                    wrong.append(malformed(written, signal_id, str(error)))
                    records.append(wrong[-1])
                    continue
                records.append(record_of(order, signal_id))
                signals.append(self._sign(order.fields(signal_id, common)))
        finally:
            # A generator may fail in between: what it had yielded by then is ordered.
            self._send(records, signals, wrong)
        return [record.signal_id for record in records]

    def _send(
        self,
        records: Sequence[OrderRecord],
        signals: Sequence[Fields],
        wrong: Sequence[OrderRecord],
    ) -> None:
        self._register.add(records)
        if signals:
            self._publish(signals)
        if wrong:
            self._failed(wrong)

    def _common(self) -> dict[str, str]:
        """What the signals of a block share."""
        return {
            "strategy": self._label,
            "ts": self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "max_age": str(max(1, round(self._max_age()))),
        }


def is_given(payload: Any) -> bool:
    """Whether a strategy has returned something; an array of numpy's will not say that it has."""
    try:
        return bool(payload)
    except Exception:  # noqa: BLE001  # the user's own object
        return True


def _orders_in(payload: Any) -> Iterable[Any]:
    """A dict is one order; what is neither it nor a sequence is one that is malformed."""
    if isinstance(payload, Iterable) and not isinstance(payload, (Mapping, str, bytes)):
        return payload
    return (payload,)
