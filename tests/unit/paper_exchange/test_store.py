"""A state file: all of it comes back, and a wrong one is refused."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, get_type_hints

import pytest

from paper_exchange.assets import Asset, AssetBook
from paper_exchange.books.accounts import Account
from paper_exchange.books.fills import Fill
from paper_exchange.books.records import Codec, Unknown
from paper_exchange.clock import SECOND, to_ns
from paper_exchange.orders import Order
from paper_exchange.storage.database import FORMAT, StateError
from tests.unit.paper_exchange.asking import Asked, crashed
from tests.unit.paper_exchange.conftest import NOON

BOOK = AssetBook()
LIMIT = {"type": "limit", "limit_price": "90", "time_in_force": "gtc"}
#: To be sent as purchases; a sale of them is refused.
FAMILIES: list[dict[str, Any]] = [
    {
        "order_class": "bracket",
        "take_profit": {"limit_price": "130"},
        "stop_loss": {"stop_price": "70"},
    },
    {"order_class": "oto", "stop_loss": {"stop_price": "60", "limit_price": "59"}},
]
Start = Callable[..., Asked]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts applications on one state file, KO and NVDA standing at 100; ends them."""
    made: list[Asked] = []

    def begin(**settings: Any) -> Asked:
        made.append(Asked(state=tmp_path / "state.db", **settings))
        made[-1].hold(KO=100, NVDA=100)
        return made[-1]

    yield begin
    for asked in made:
        asked.close()


@pytest.fixture
def revive(tmp_path: Path) -> Iterator[Callable[..., Asked]]:
    """Starts an application from what a killed one has left."""
    made: list[Asked] = []

    def again(asked: Asked, **settings: Any) -> Asked:
        made.append(crashed(asked, tmp_path, **settings))
        return made[-1]

    yield again
    for asked in made:
        asked.close()


Revive = Callable[..., Asked]


def everything(asked: Asked) -> dict[str, Any]:
    """All that an exchange holds, down to each field of each order."""
    exchange = asked.app.exchange
    return {
        "prices": {s: exchange.market.quote(s, asked.clock.ns) for s in ("KO", "NVDA", "SPY")},
        "accounts": {
            account.id: {
                "plain": [
                    account.key_id, account.created_ns, account.cash, account.last_equity,
                    account.equity_day, account.reserved, account.configuration,
                ],
                "positions": list(account.positions.items()),
                "open": list(account.open_orders),
                "orders": [
                    [getattr(order, one.name) for one in fields(order)] for order in account.orders
                ],
                "fills": list(account.fills),
            }
            for account in exchange.accounts
        },
    }  # fmt: skip


# -- records -----------------------------------------------------------------------------------


def example(name: str, hint: Any) -> Any:
    """A value of a field's type that is no default."""
    text = str(hint)
    if "Decimal" in text:
        return Decimal(len(name)) + Decimal("0.125")
    if "Asset" in text:
        return BOOK.find("BTC/USD")
    if "bool" in text:
        return True
    if "tuple" in text or "list" in text:
        return hint((name, "b"))
    return len(name) if "int" in text else f"{name} é"


@pytest.mark.parametrize("kind", [Order, Fill])
def test_every_field_survives(kind: type[Any]) -> None:
    """Also the fields that somebody adds later: they are found by looking at the class."""
    codec: Codec[Any] = Codec(kind, BOOK)
    hints = get_type_hints(kind)
    one = kind(**{f.name: example(f.name, hints[f.name]) for f in fields(kind)})
    again = codec.decode(codec.encode(one))
    for field in fields(kind):
        assert getattr(again, field.name) == getattr(one, field.name), field.name


@dataclass
class Leg:
    """Something an order might carry."""

    price: Decimal


@dataclass
class Sample:
    """Types that orders do not have yet."""

    asset: Asset
    legs: tuple[str, ...] = ()
    amounts: list[Decimal] | None = None
    leg: Leg | None = None
    late: int = 5


def test_nested_and_repeated_values() -> None:
    """Lists, tuples and dataclasses within; what holds its default is not written."""
    codec = Codec(Sample, BOOK)
    ko = BOOK.find("KO")
    assert ko is not None
    full = Sample(ko, ("a", "b"), [Decimal("1.50")], Leg(Decimal(2)), 0)
    assert codec.decode(codec.encode(full)) == full
    assert codec.encode(Sample(ko)) == b'{"asset":"KO"}'


def test_what_cannot_be_kept() -> None:
    """A type without a written form is refused when the exchange starts, not when it writes."""

    @dataclass
    class Bad:
        thing: complex

    with pytest.raises(TypeError, match=r"Bad\.thing is of a type that cannot be kept"):
        Codec(Bad, BOOK)
    with pytest.raises(Unknown):
        Codec(Sample, BOOK).decode(b'{"asset":"NONE"}')


# -- all of it ---------------------------------------------------------------------------------


def act(asked: Asked, draw: Random) -> None:
    """One random request, or time passing."""
    match draw.randrange(8):
        case 0:
            asked.hold(**{draw.choice(["KO", "NVDA"]): draw.randint(90, 110)})
        case 1:
            asked.later(draw.choice([0.1, 1, 60, 3600]))
        case 2:
            change_orders(asked, draw)
        case _:
            send(asked, draw)


def send(asked: Asked, draw: Random) -> None:
    """An order of some kind; many are refused, which is as well."""
    symbol = draw.choice(["KO", "KO", "NVDA", "BTC/USD"])
    kinds: list[dict[str, Any]] = [
        {"time_in_force": "ioc"},
        {"qty": "0.25", "time_in_force": "gtc" if "/" in symbol else "day"},
        {"type": "limit", "limit_price": str(draw.randint(80, 120)), "time_in_force": "gtc"},
        {"type": "limit", "limit_price": str(draw.randint(80, 120)), "time_in_force": "day"},
        {"type": "trailing_stop", "trail_percent": "2", "time_in_force": "gtc"},
        {"type": "stop", "stop_price": str(draw.randint(90, 110)), "time_in_force": "day"},
        {"time_in_force": draw.choice(["opg", "cls"])},
    ]
    entry = {"type": "limit", "limit_price": str(draw.randint(80, 105)), "time_in_force": "gtc"}
    kinds += [entry | family for family in FAMILIES]
    asked.order(
        draw.choice("kl"), symbol=symbol, side=draw.choice(["buy", "sell"]), **draw.choice(kinds)
    )


def change_orders(asked: Asked, draw: Random) -> None:
    """Replace one order, cancel two."""
    key = draw.choice("kl")
    found = asked("GET", "/v2/orders", key=key)[1]
    for order in found[:1]:
        asked("PATCH", f"/v2/orders/{order['id']}", {"qty": draw.randint(1, 9)}, key)
    for order in found[1:3]:
        asked("DELETE", f"/v2/orders/{order['id']}", key=key)


@pytest.mark.parametrize(
    "settings",
    [
        {"partial_fill_rate": 0.3},
        {"session": "nyse", "partial_fill_rate": 0.3},
        {"cancel_delay_ms": 1_000_000, "liquidity": "displayed"},
    ],
)
def test_a_crash_at_any_moment_loses_nothing(
    start: Start, revive: Revive, settings: dict[str, Any]
) -> None:
    """After every few requests, what is on disk is what is in memory."""
    asked = start(keep_closed=20, **settings)
    draw = Random(5)
    seen: set[tuple[bool, str]] = set()
    for _ in range(15):
        for _ in range(8):
            act(asked, draw)
        again = revive(asked)
        assert everything(again) == everything(asked)
        accounts = asked.app.exchange.accounts
        seen |= {(bool(one.parent_id), one.status) for who in accounts for one in who.orders}
        assert again.app.exchange.engine.sequence >= asked.app.exchange.engine.sequence
        again.close()
    assert len(everything(asked)["accounts"]) == 2
    assert {(False, "filled"), (False, "replaced"), (True, "held")} < seen


def outcome(account: Account) -> list[object]:
    """What became of each order, ids apart."""
    return [(one.number, one.side, one.status, one.filled_value) for one in account.orders]


def test_a_revived_exchange_goes_on_alike(start: Start, revive: Revive) -> None:
    """The same requests to both have the same effects on money and orders."""
    asked = start(session="nyse", keep_closed=5, cancel_delay_ms=2_000)
    draw = Random(8)
    for _ in range(60):
        act(asked, draw)
    again = revive(asked)
    for _ in range(40):
        state = draw.getstate()
        act(asked, draw)
        draw.setstate(state)
        act(again, draw)
    accounts = zip(asked.app.exchange.accounts, again.app.exchange.accounts, strict=True)
    for mine, theirs in accounts:
        assert (mine.cash, mine.reserved) == (theirs.cash, theirs.reserved)
        assert outcome(mine) == outcome(theirs)


# -- what a client relies on -------------------------------------------------------------------


def test_accounts_and_configuration(start: Start, revive: Revive) -> None:
    """The pair finds its account again, as it was configured, without its secret on disk."""
    asked = start()
    asked.order()
    asked("PATCH", "/v2/account/configurations", {"no_shorting": True})
    before = asked("GET", "/v2/account")
    again = revive(asked)
    assert again("GET", "/v2/account") == before
    assert again("GET", "/v2/account/configurations")[1]["no_shorting"] is True
    assert again("GET", "/v2/positions") == asked("GET", "/v2/positions")
    assert again("GET", "/v2/account", key="other")[1]["cash"] == "100000"


def test_a_new_day_is_noted(start: Start, revive: Revive) -> None:
    """Yesterday's equity is fixed by the first look of a day, and stays so."""
    asked = start()
    asked.order(qty="100")
    asked("GET", "/v2/account")
    asked.hold(KO=120)
    asked.later(24 * 3600)
    assert asked("GET", "/v2/account")[1]["last_equity"] == "101999"
    asked.hold(KO=140)
    assert revive(asked)("GET", "/v2/account")[1]["last_equity"] == "101999"


def test_memory_is_bounded_after_a_restart_too(start: Start, revive: Revive) -> None:
    """The newest closed orders are read, and leave memory for newer ones."""
    asked = start(keep_closed=5)
    for n in range(20):
        asked.order(client_order_id=f"n{n}")
    again = revive(asked)
    (account,) = again.app.exchange.accounts
    assert [order.client_order_id for order in account.orders._kept.values()] == [
        f"n{n}" for n in range(15, 20)
    ]
    for _ in range(20):
        again.order()
        assert len(account.orders._kept) <= 7
        assert len(account.fills._recent) <= 7
    assert len(again("GET", "/v2/orders?status=closed&limit=500")[1]) == 40


def test_client_order_ids_stay_taken(start: Start, revive: Revive) -> None:
    """Whatever became of the order."""
    asked = start(keep_closed=0)
    for name in "abc":
        assert asked.order(client_order_id=name)[0] == 200
    asked.order(client_order_id="open", **LIMIT)
    again = revive(asked)
    for name in ("a", "b", "c", "open"):
        status, body = again.order(client_order_id=name)
        assert (status, body["message"]) == (422, "client_order_id must be unique")


def test_reservations_and_resting_orders(start: Start, revive: Revive) -> None:
    """An open order holds its money again, is filled when the price comes, and frees it."""
    asked = start()
    asked.order(**LIMIT, qty="100")
    again = revive(asked)
    (account,) = again.app.exchange.accounts
    assert account.reserved == 9000
    assert again.order(**LIMIT, qty="4400")[0] == 403
    again.hold(KO=89)
    again.later(0.1)
    assert (account.reserved, account.position_qty(BOOK.find("KO") or pytest.fail())) == (0, 100)


def test_expiry(start: Start, revive: Revive) -> None:
    """A DAY order ends at its hour, also when that came while nobody was there."""
    asked = start(session="nyse")
    asked.order(**LIMIT | {"time_in_force": "day"})
    for pause in (4 * 3600, 5 * 86_400):
        again = revive(asked)
        again.later(pause)
        # Nobody has asked: the tick itself has written what it did.
        for one in (again, revive(again)):
            (order,) = one("GET", "/v2/orders?status=all")[1]
            assert (order["status"], order["expired_at"] is None) == ("expired", False)
            one.close()


def test_orders_that_wait_for_the_bell(start: Start, revive: Revive) -> None:
    """They are still accepted, and enter at the open."""
    asked = start(session="nyse")
    asked.later(6 * 3600)
    asked.order(time_in_force="day")
    again = revive(asked)
    again.later(0)
    assert again("GET", "/v2/orders")[1][0]["status"] == "accepted"
    again.later(66 * 3600)
    (order,) = again("GET", "/v2/orders?status=all")[1]
    assert (order["status"], order["filled_at"][:10]) == ("filled", "2026-11-23")


def test_fill_delay(start: Start, revive: Revive) -> None:
    """An order that was about to be filled is filled when its time has come, not before."""
    asked = start(fill_delay_ms=500)
    asked.order()
    again = revive(asked)
    again.later(0.4)
    assert again("GET", "/v2/orders")[1][0]["status"] == "new"
    again.later(0.1)
    assert again("GET", "/v2/orders?status=all")[1][0]["status"] == "filled"


def test_trailing_stop_keeps_its_mark(start: Start, revive: Revive) -> None:
    """The high-water mark moves without an event, and is on disk all the same."""
    asked = start()
    asked.order()
    asked.order(side="sell", type="trailing_stop", trail_price="5", time_in_force="gtc")
    asked.hold(KO=130)
    again = revive(asked)
    assert again("GET", "/v2/orders")[1][0]["hwm"] == "130"


def test_events_go_on_growing(start: Start, revive: Revive) -> None:
    """An event after the restart sorts behind all that were told before it."""
    asked = start()
    told: list[str] = []
    for one in (asked, asked, None):
        site = one or revive(asked)
        site.app.feed.subscribe(lambda event: told.append(str(event.render()["event_id"])))
        site.order()
    assert told == sorted(told)
    assert len(told) > 4


def test_prices_go_on(start: Start, revive: Revive) -> None:
    """Prices held by hand are held, one let go walks on, the others are those of the same walk."""
    asked = start()
    asked.hold(NVDA=250)
    asked("POST", "/admin/prices", {"NVDA": None})
    again = revive(asked)
    for symbol in ("KO", "NVDA", "SPY"):
        for seconds in (0, 3600, 5 * 86_400):
            at = asked.clock.ns + seconds * 10**9
            assert again.app.exchange.market.quote(symbol, at) == (
                asked.app.exchange.market.quote(symbol, at)
            )


def test_time_does_not_run_backwards(start: Start, revive: Revive, tmp_path: Path) -> None:
    """A machine whose clock was set back goes on from the last moment told."""
    asked = start()
    asked.later(7200)
    asked.order()
    then = asked.clock.ns
    asked.close()
    again = Asked(state=tmp_path / "state.db")
    assert again.clock.ns == then
    again.close()


def test_an_answer_waits_for_the_disk(
    start: Start, revive: Revive, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be written is a 500, and is written as soon as that is possible."""
    asked = start()
    store = asked.app.exchange.store
    connection = store.connection()
    connection.execute("ALTER TABLE progress RENAME TO hidden")
    with caplog.at_level(logging.ERROR):
        status, body = asked.order(client_order_id="a")
        with pytest.raises(sqlite3.OperationalError):
            asked.later(0)
    assert (status, body["code"]) == (500, 50010000)
    assert "state_not_written" in caplog.text
    connection.execute("ALTER TABLE hidden RENAME TO progress")
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert asked.order(client_order_id="b")[0] == 200
    again = revive(asked)
    assert everything(again) == everything(asked)
    assert len(again("GET", "/v2/orders?status=all")[1]) == 2
    rows = again.app.exchange.store.connection().execute("SELECT symbol FROM traded").fetchall()
    assert rows == [("KO",)]


def test_what_could_not_be_written_is_tried_again(start: Start, revive: Revive) -> None:
    """By the matcher, although nothing rests and nobody asks for anything more."""
    asked = start()
    connection = asked.app.exchange.store.connection()
    connection.execute("ALTER TABLE progress RENAME TO hidden")

    async def scene() -> None:
        matcher = asked.app.matcher
        matcher.start()
        await asyncio.sleep(0)
        assert asked.app.exchange.journal.pending
        connection.execute("ALTER TABLE hidden RENAME TO progress")
        matcher.retry()
        while asked.app.exchange.journal.pending:
            await asyncio.sleep(0.001)
        await matcher.stop()

    assert asked.order(client_order_id="a")[0] == 500
    asyncio.run(asyncio.wait_for(scene(), 5))
    assert len(revive(asked)("GET", "/v2/orders?status=all")[1]) == 1


def test_changes_that_are_lost_at_the_end_are_not_passed_over(tmp_path: Path) -> None:
    """The exchange ends, and knows that its file lacks something."""
    asked = Asked(state=tmp_path / "state.db")
    asked("GET", "/v2/account")
    asyncio.run(asked.app._stop())
    assert asked.app.lost is None

    asked = Asked(state=tmp_path / "state.db")
    connection = asked.app.exchange.store.connection()
    connection.execute("DROP TABLE progress")
    assert asked.order()[0] == 500
    asyncio.run(asked.app._stop())
    assert asked.app.lost == "no such table: progress"
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


# -- refused files -----------------------------------------------------------------------------


def refusal(path: Path, **settings: Any) -> str:
    """Why an exchange does not start on a file."""
    with pytest.raises(StateError) as caught:
        Asked(state=path, **settings)
    return str(caught.value)


def test_another_seed(start: Start, tmp_path: Path) -> None:
    """Prices would jump; both seeds are named."""
    start().close()
    path = tmp_path / "state.db"
    assert refusal(path, seed=4) == (
        f"the state file {path} was written with seed 1, not 4: "
        "start with that seed, or with another file"
    )


def test_another_format(start: Start, tmp_path: Path) -> None:
    """A file of a later version is not touched."""
    start().close()
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value=? WHERE name='format'", (FORMAT + 1,))
    connection.close()
    assert refusal(path) == (
        f"the state file {path} has format {FORMAT + 1}, this exchange reads {FORMAT}"
    )


def test_a_file_in_use(start: Start, tmp_path: Path) -> None:
    """Two exchanges never share a file; it is free again when the first has ended."""
    first = start()
    path = tmp_path / "state.db"
    assert refusal(path) == f"the state file {path} is in use by another exchange"
    first.close()
    start()


def test_other_files(tmp_path: Path) -> None:
    """Neither text nor a stranger's database is taken, or changed."""
    text, stranger = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("dear diary, " * 100)
    with sqlite3.connect(stranger) as connection:
        connection.execute("CREATE TABLE orders (id)")
    connection.close()
    for path in (text, stranger):
        before = path.read_bytes()
        assert refusal(path) == f"{path} is not a state file of paper_exchange"
        assert path.read_bytes() == before
    nowhere = tmp_path / "none" / "state.db"
    assert refusal(nowhere).startswith(f"cannot open the state file {nowhere}: ")


def test_a_symbol_that_is_gone(start: Start, tmp_path: Path) -> None:
    """The message says with which option to start."""
    asked = start(symbols=("ZZZZ",))
    asked.order(symbol="ZZZZ")
    asked.close()
    path = tmp_path / "state.db"
    assert refusal(path) == (
        f"the state file {path} holds ZZZZ, which is not listed here: start with --symbols ZZZZ"
    )


def test_a_damaged_record(start: Start, tmp_path: Path) -> None:
    """A field that nobody knows is a sentence, not a traceback."""
    asked = start()
    asked.order()
    asked.close()
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE orders SET body='{\"strange\":1}'")
    connection.close()
    assert refusal(path) == f"the state file {path} cannot be read: 'strange'"


def test_ids_on_a_stepped_clock_after_restarts(tmp_path: Path) -> None:
    """They follow from the seed and from what happened, and none of them comes a second time."""

    def ids_of(name: str) -> list[str]:
        found: list[str] = []
        for _ in range(3):
            # Its order has no event yet when it ends.
            asked = Asked(ids=None, state=tmp_path / name, stepped=True, fill_delay_ms=1_000)
            status, order = asked.order(type="limit", limit_price="1", time_in_force="gtc")
            assert status == 200, order
            found += (order["id"], order["client_order_id"])
            asked.close()
        return found

    ids = ids_of("one.db")
    assert len(set(ids)) == 6
    assert ids_of("other.db") == ids


def test_a_stepped_clock_goes_on_where_it_was(start: Start, revive: Revive) -> None:
    """Also when nothing happened on the way, and the next exchange would begin earlier."""
    asked = start()
    assert asked("POST", "/admin/clock", {"advance": 86_400})[0] == 200
    now = asked.clock.ns
    asked.clock.ns = to_ns(NOON)
    assert revive(asked).clock.ns == now == to_ns(NOON) + 86_400 * SECOND
