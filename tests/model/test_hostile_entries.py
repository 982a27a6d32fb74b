"""Any bytes in any field, the whole way: Redis, listener, lanes, pipeline, ledger, outbox, XACK.

The service is the product's own wiring; only sockets, threads and time are replaced. The oracle
looks at every acknowledgement, and at the end for one final event of each entry.
"""

import json
import random
from unittest import mock

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from solution.domain.signal_fields import READERS
from torture.simulation.instance import GROUP, STREAMS
from torture.simulation.oracle import Oracle, Published
from torture.simulation.world import World

Pairs = list[tuple[bytes, bytes]]

GOOD: dict[str, list[str]] = {
    "ticker": ["NVDA", "AAPL", "nvda", "BTC/USD", "ZZZZ"],
    "direction": ["b", "s", "BUY", "Sell"],
    "action": ["buy_long", "sell_long", "short_sell", "liquidate", "cover_short"],
    "qty": ["1", "2", "0.5", "1e308", "NaN", "-1", "\u0661", "99999999999999999999"],
    "notional": ["100", "0.000000001", "Infinity"],
    "weight": ["0.1", "1", "0.3333333333333333"],
    "target_qty": ["0", "3"],
    "target_weight": ["0.05", "0"],
    "order_type": ["market", "limit", "stop", "stop_limit", "trailing_stop"],
    "limit_price": ["100", "100.01", "0.000000001", "99999999999999999999"],
    "stop_price": ["90"],
    "trail_price": ["1"],
    "trail_percent": ["1.5", "100"],
    "time_in_force": ["ioc", "day", "gtc", "fok", "opg", "cls"],
    "take_profit": ["120"],
    "stop_loss": ["80"],
    "stop_loss_limit": ["79"],
    "extended_hours": ["true", "false"],
    "cancel_after": ["1", "0.000000001"],
    "max_age": ["5", "0.000000001"],
    "signal_id": ["a", "b", "\u682a", "x" * 128, "x" * 129, "1772656800007-0"],
    "ts": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1772656800000", "9999999999999"],
    "strategy": ["sma", "\u202e"],
    "sig": ["00"],
    "kid": ["k"],
    "x_a": ["1", "", "\U0001f600", "a" * 4096],
    "X_B": ["2", "a" * 4097],
}
"""Values that are good, or nearly."""
HOSTILE = [
    b"\xff\xfe", b"\0", b"", b" ", b"a\0b", b"\r\n*1\r\n", b"\x1b[2J", b"{}", b"[" * 999,
    b'{"ticker":"NVDA","direction":"b"}', b'{"a":{"b":[null]}}', b"1" * 1_000_000,
]  # fmt: skip
NAMES = [*READERS, "json", "x_a", "X_A", "x_", "event_id", "final", "stream", "entry_id"]

values = st.binary(max_size=12) | st.sampled_from(HOSTILE)
names = st.sampled_from(NAMES).map(str.encode) | st.binary(max_size=12)
more = st.lists(st.sampled_from(sorted(GOOD)), max_size=4, unique=True)


def encoded(content: dict[str, str]) -> Pairs:
    """The fields of an entry."""
    return [(name.encode(), text.encode()) for name, text in content.items()]


@st.composite
def entries(draw: st.DrawFn) -> Pairs:
    """A signal that may be a good one, then changed: a field lost, added, spoilt, given twice."""
    content = {"ticker": "NVDA", "direction": draw(st.sampled_from("bs"))}
    content |= {name: draw(st.sampled_from(GOOD[name])) for name in draw(more)}
    if draw(st.booleans()):
        content["signal_id"] = draw(st.sampled_from("ab"))  # often another entry's as well
    if draw(st.integers(0, 4)) == 0:
        whole = json.dumps(content).encode()
        pairs: Pairs = [(b"json", whole[: len(whole) - draw(st.sampled_from((0, 0, 1)))])]
    else:
        pairs = encoded(content)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        pairs.insert(draw(st.integers(0, len(pairs))), (draw(names), draw(values)))
    if draw(st.integers(0, 4)) == 0:
        del pairs[draw(st.integers(0, len(pairs) - 1))]
    return pairs or [(b"", b"")]


class Path:
    """One service, what is published to it, and what it says."""

    def __init__(self, world: World) -> None:
        self.world = world

    def publish(self, fields: Pairs) -> str:
        """An entry of whatever content; the oracle wants one end of it."""
        world = self.world
        entry_id = world.store.add(STREAMS[0], fields)
        now = world.clock.monotonic()
        world.oracle.add(Published(STREAMS[0], entry_id, "hostile", {}, 0.0, now))
        return entry_id

    def live(self) -> None:
        """Everything runs for a few seconds; whatever rests at the exchange trades."""
        world = self.world
        for _ in range(6):
            for _ in range(3):
                world.round()
            while world.exchange.events:
                world.hear()
            for order in world.exchange.open_list():
                world.exchange.fill(order, order.qty - order.filled)
            world.tick(0.3)

    def pending(self) -> list[str]:
        """Entries that are not acknowledged."""
        return self.world.store.pending(STREAMS[0], GROUP)

    def ends(self, entry_id: str) -> list[str]:
        """The final events of an entry, as the stream of executions tells them."""
        found = []
        for flat in self.world.store.streams["executions"].entries.values():
            event = dict(zip(flat[::2], flat[1::2], strict=True))
            if (event.get(b"entry_id"), event.get(b"final")) == (entry_id.encode(), b"1"):
                found.append(event[b"event"].decode())
        return found


PLAIN = encoded({"ticker": "AMD", "direction": "s", "qty": "1"})


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(entries(), min_size=1, max_size=4), st.sampled_from(("", "read", "work")))
@example([[(b"ticker", b"\xff")], [(b"ticker", b"NVDA"), (b"direction", b"b")]], "read")
def test_no_bytes_stop_the_service_or_leave_an_entry_unaccounted(
    published: list[Pairs], dies_after: str
) -> None:
    """Each entry has one end and is acknowledged, also over a crash; then a plain signal trades."""
    # The oracle knows a signal at the exchange by its limit price, which these do not promise.
    with mock.patch.object(Oracle, "_check_posts"), World(random.Random(1)) as world:
        path = Path(world)
        sent = [path.publish(fields) for fields in published]
        for step in ("read", "work"):
            getattr(world, step)()
            (world.crash if step == dies_after else world.look)()
        path.live()
        sent.append(path.publish(PLAIN))
        path.live()
        assert path.pending() == []
        assert [len(path.ends(entry)) for entry in sent] == [1] * len(sent)
        assert path.ends(sent[-1]) == ["fill"]
        world.settle()
