"""What the page shows of an exchange, and that it stays small and keeps secrets."""

import time
from decimal import Decimal

import pytest

from paper_exchange.network.connections import Arrival, Connection
from paper_exchange.page.document import document
from paper_exchange.page.facts import facts_of
from paper_exchange.page.fault_rules import FaultRules
from paper_exchange.page.live import picture_of
from paper_exchange.page.model import Panel
from paper_exchange.page.panels import panels_of
from paper_exchange.page.photographer import EXAMPLES, LIMIT, SAMPLE, Photographer
from paper_exchange.page.recent import Recent
from paper_exchange.page.snapshot import Snapshot
from tests.unit.paper_exchange.conftest import NOON, Make, World


class Clients:
    """A hub with made-up clients."""

    def __init__(self) -> None:
        self.open: list[Connection] = []

    def connected(self) -> list[Connection]:
        """All of them."""
        return self.open

    def add(self, account_id: str | None, subjects: tuple[str, ...] = (), agent: str = "") -> None:
        """One more, which has not taken three messages."""
        arrival = Arrival(len(self.open) + 1, 0, agent)
        self.open.append(Connection(arrival, "trade_updates", account_id, subjects, 3))


class Studio:
    """A photographer of a world, who hears everything."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients = Clients()
        self.recent = Recent(LIMIT)
        world.sinks.append(self.recent.hear)
        self._photographer = Photographer(
            world.exchange,
            self.recent,
            FaultRules(world.exchange),
            (self.clients,),
            monotonic=lambda: 1000.0,
        )

    def take(self) -> Snapshot:
        """The world now."""
        return self._photographer.take()

    def panel(self, name: str) -> Panel:
        """One table."""
        return next(panel for panel in panels_of(self.take()) if panel.id == name)

    def texts(self, name: str) -> list[list[str]]:
        """The cells of one table."""
        return [[cell.text for cell in row.cells] for row in self.panel(name).rows]

    def ask(self, *, arrived: float = 999.0, status: int = 200, **fields: object) -> None:
        """A request that the witness saw."""
        seen: dict[str, object] = {
            "at_ns": self.world.clock.ns,
            "key_id": "key",
            "method": "POST",
            "path": "/v2/orders",
            "client_order_id": None,
        } | fields
        self.world.exchange.witness.note(arrived=arrived, status=status, **seen)  # type: ignore[arg-type]


@pytest.fixture
def studio(world: World) -> Studio:
    """Of a world with four prices held by hand and one account."""
    return Studio(world)


def test_a_new_exchange_shows_example_prices(studio: Studio) -> None:
    """Prices move before anybody trades; what they are of is said to be examples."""
    for symbol in studio.world.market.held():
        studio.world.market.set_price(symbol, None, studio.world.clock.ns)
    shown = studio.take()
    assert [line.quote.symbol for line in shown.quotes] == list(EXAMPLES)
    assert "examples" in studio.panel("book").note


def test_empty_tables_say_what_would_fill_them(studio: Studio) -> None:
    """Each in a sentence."""
    empty = {panel.id: panel.empty for panel in panels_of(studio.take()) if not panel.rows}
    assert set(empty) == {
        "positions", "open-orders", "ended-orders", "executions", "streams", "requests", "faults",
    }  # fmt: skip
    assert all(text.endswith(".") for text in empty.values())


def test_held_prices_have_a_switch(studio: Studio) -> None:
    """The book marks them, and a button lets each go."""
    rows = {row.key: row.cells for row in studio.panel("book").rows}
    assert rows["KO"][-1].text == "held"
    action = rows["KO"][-1].action
    assert action is not None
    assert dict(action.fields) == {"symbol": "KO", "price": ""}
    assert [cell.text for cell in rows["KO"]][2:6:3] == ["99.99", "100.00"]


def test_the_book_lists_what_is_traded(studio: Studio) -> None:
    """Positions and open orders bring their symbols along, without a button."""
    studio.world.send(symbol="SPY", qty="1")
    rows = {row.key: row.cells for row in studio.panel("book").rows}
    assert rows["SPY"][-1].action is None


def test_orders_go_from_open_to_ended(studio: Studio) -> None:
    """With price, terms, status and whose they are."""
    order = studio.world.rest(90, client_order_id="mine")
    (row,) = studio.texts("open-orders")
    expected = ["KO", "buy", "10", "0", "90.00", "limit gtc", "new", "17:00:00.000", "key", "mine"]
    assert row == expected
    assert studio.texts("ended-orders") == []
    studio.world.engine.cancel(studio.world.account, order)
    assert studio.texts("open-orders") == []
    (row,) = studio.texts("ended-orders")
    assert row[4:7] == ["–", "limit gtc", "canceled"]


def test_a_stop_and_a_trail_show_what_they_wait_for(studio: Studio) -> None:
    """Both prices of a stop-limit order, stop and distance of a trailing one."""
    studio.world.rest(120, type="stop_limit", stop_price="110")
    studio.world.send(
        type="trailing_stop", trail_percent="5", time_in_force="gtc", symbol="NVDA", qty="1"
    )
    prices = [row[4] for row in studio.texts("open-orders")]
    assert prices == ["105.00 / 5 %", "110.00 / 120.00"]


def test_notional_orders_show_dollars(studio: Studio) -> None:
    """They have no quantity of their own."""
    studio.world.send(qty=None, notional="250.5", time_in_force="day")
    assert studio.texts("ended-orders")[0][2:4] == ["$250.50", "2.504749525"]


def test_executions_and_positions(studio: Studio) -> None:
    """A purchase is an execution and becomes a position, marked to the last trade."""
    studio.world.send(qty="4")
    studio.world.price(110)
    assert studio.texts("executions") == [
        ["KO", "buy", "4", "100.01", "400.04", "17:00:00.000", "key"]
    ]
    assert studio.texts("positions") == [["KO", "4", "100.01", "110.00", "440.00", "+39.96", "key"]]
    (account,) = studio.texts("accounts")
    assert account == ["key", "100,039.96", "+39.96", "99,599.96", "399,719.84", "0", "1"]


def test_newest_first(studio: Studio) -> None:
    """In every table that has an order in time."""
    for number in range(3):
        studio.world.clock.advance(1)
        studio.world.send(client_order_id=f"ended-{number}", qty="1")
        studio.world.rest(50, client_order_id=f"open-{number}", qty="1")
        studio.ask(client_order_id=f"asked-{number}")
    for panel, word in (("ended-orders", "ended"), ("open-orders", "open"), ("requests", "asked")):
        assert [row[-1] for row in studio.texts(panel)] == [f"{word}-{n}" for n in (2, 1, 0)]
    assert [row[5] for row in studio.texts("executions")] == [f"17:00:0{n}.000" for n in (3, 2, 1)]


def test_stream_clients(studio: Studio) -> None:
    """Who they are, what they listen to, and how far behind they are."""
    studio.clients.add(None)
    studio.clients.add(studio.world.account.id, ("trade_updates",), "alpaca-py")
    first, second = studio.texts("streams")
    assert first[:4] == ["trade_updates", "key", "trade_updates", "3"]
    assert second[1:3] == ["not signed in", "nothing"]
    facts = facts_of(studio.take())
    assert (facts["n-streams"], facts["n-streams-more"]) == ("2", "1 listening")


def test_requests_are_counted_by_outcome(studio: Studio) -> None:
    """Those that a fault struck apart from those that failed by themselves."""
    for status in (200, 201, 404, 422, 429, 500):
        studio.ask(status=status)
    studio.ask(status=0, outcome="reset_after", taken=True)
    note = studio.panel("requests").note
    assert note == "2 fine, 2 refused, 1 over the limit, 1 failed, 1 struck by faults"
    struck = studio.panel("requests").rows[0].cells
    assert (struck[1].text, struck[4].text, struck[4].title) == ("–", "reset after", "carried out")


def test_the_rate_is_that_of_the_last_ten_seconds(studio: Studio) -> None:
    """What is older does not count."""
    studio.ask(arrived=900)
    for _ in range(5):
        studio.ask(arrived=995)
    assert studio.take().traffic.per_second == 0.5


def test_the_rate_of_many_requests_is_that_of_the_sample(studio: Studio) -> None:
    """A thousand requests within two seconds are 500 a second, however many came before."""
    for _ in range(SAMPLE + 5):
        studio.ask(arrived=998)
    assert studio.take().traffic.per_second == 500
    assert studio.panel("requests").note == "last 1,000: 1,000 fine"


@pytest.mark.parametrize(
    ("hour", "phase", "coming"),
    [
        (17, "open", "closes 16:00 New York"),
        (12, "extended hours", "opens 09:30 New York"),
        (5, "closed", "opens 09:30 New York"),
    ],
)
def test_session(make: Make, hour: int, phase: str, coming: str) -> None:
    """What the exchange is now, and what comes next."""
    facts = facts_of(Studio(make(session="nyse", start=NOON.replace(hour=hour))).take())
    assert (facts["phase"], facts["phase-next"]) == (phase, coming)


def test_round_the_clock(studio: Studio) -> None:
    """An exchange that never closes."""
    facts = facts_of(studio.take())
    assert (facts["phase"], facts["phase-next"]) == ("open", "round the clock")
    assert facts["clock"] == "Fri 20 Nov 2026, 12:00:00"
    assert (facts["clock-utc"], facts["pace"]) == ("17:00:00", "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stepped": True}, "stands still until it is stepped"),
        ({"speed": 60.0}, "runs 60 times as fast"),
    ],
)
def test_a_clock_that_is_not_the_worlds(make: Make, settings: dict[str, object], said: str) -> None:
    """The page says so beside the time."""
    assert facts_of(Studio(make(**settings)).take())["pace"] == said


def test_fault_rules(studio: Studio) -> None:
    """What strikes, how often it has, and a button to end it."""
    rules = FaultRules(studio.world.exchange)
    rules.add("POST /v2/orders: latency ms=100-200 p=0.5")
    (row,) = studio.panel("faults").rows
    texts = [cell.text for cell in row.cells]
    assert texts == ["latency", "POST /v2/orders", "p=0.5 ms=100-200 when=before", "0 / 0", ""]
    action = row.cells[-1].action
    assert action is not None
    rules.remove(dict(action.fields)["id"])
    assert studio.panel("faults").rows == ()


def test_every_kind_takes_the_options_that_the_page_calls_common(studio: Studio) -> None:
    """The form's help does not promise what a rule would be refused for."""
    rules = FaultRules(studio.world.exchange)
    values = {"p": "0.5", "next": "1", "skip": "1", "key": "k", "ms": "5", "status": "503"}
    targets = {"request": "POST /v2/orders", "stream": "stream", "data": "data", "orders": "orders"}
    state = rules.state()
    assert state.kinds
    for kind in state.kinds:
        needed = {*state.common, *kind.options[: kind.required]}
        options = {name: values[name] for name in needed}
        if kind.name == "storm":
            options["ms"] = "5"
        line = " ".join(f"{name}={value}" for name, value in options.items())
        rules.add(f"{targets[kind.place.split(' ')[-1]]}: {kind.name} {line}")
    assert len(rules.state().rules) == len(state.kinds)


# -- secrets -------------------------------------------------------------------------------------


def test_secrets_are_not_shown(studio: Studio) -> None:
    """Neither an account's secret, nor a bearer token, nor what was sent as an unknown key."""
    accounts, now = studio.world.exchange.accounts, studio.world.clock.ns
    accounts.authenticate("PKVISIBLE", "undercover-secret", now)
    accounts.authenticate("tokenABCDEFG", "", now)
    studio.ask(key_id="tokenABCDEFG")
    studio.ask(key_id="undercover-by-mistake", status=401)
    text = document(studio.take(), [])
    assert "PKVISIBLE" in text
    assert "token toke…" in text
    assert "unknown key" in text
    for secret in ("undercover", "tokenABC"):
        assert secret not in text


# -- size ----------------------------------------------------------------------------------------


def test_a_hundred_thousand_orders(make: Make) -> None:
    """The page shows the newest fifty and takes milliseconds, whatever there is."""
    world = make(cash=Decimal(10) ** 12)
    studio = Studio(world)
    example = world.rest(50, client_order_id="first", qty="1")
    account = world.account
    for number in range(100_000):
        account.open_orders[str(number)] = example
    for number in range(300):
        world.exchange.accounts.authenticate(f"k{number}", "s", 0)
        studio.ask()
        studio.clients.add(None)
    for _ in range(60):
        world.send(qty="1")
    begun = time.process_time()
    shown = studio.take()
    picture = picture_of(shown)
    took = time.process_time() - begun
    assert took < 0.5  # some 10 ms on an idle core
    assert shown.open_orders.total == 100_001
    assert all(len(rows) <= LIMIT for rows in picture.panels.values())
    assert picture.notes["open-orders"] == "newest 50 of 100,001"
    assert picture.notes["accounts"] == "newest 50 of 301"
    assert facts_of(shown)["n-streams-more"] == "0+ listening"
    assert len(document(shown, [])) < 400_000


# -- an earlier run ------------------------------------------------------------------------------


def test_what_accounts_bring_along_is_recalled(world: World) -> None:
    """Ended orders and executions of before are there at once, and nothing twice."""
    world.send(client_order_id="before", qty="1")
    kept_open = world.rest(50, qty="1")
    studio = Studio(world)
    world.clock.advance(1)
    world.send(client_order_id="since", qty="2")
    assert [row[-1] for row in studio.texts("ended-orders")] == ["since", "before"]
    assert [row[2] for row in studio.texts("executions")] == ["2", "1"]
    assert kept_open.is_open
