"""AlpacaAPIClient: each method's request, and what becomes of the answers."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from solution.alpaca_api_client import AlpacaAPIClient
from solution.clock import SystemClock
from solution.errors import (
    BrokerError,
    DuplicateOrder,
    LeaseLost,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.order_request import OrderRequest
from solution.security import MASK
from tests.helpers.clocks import eventually
from tests.helpers.fault_http_server import (
    Behaviour,
    Early,
    FaultHTTPServer,
    Talk,
    after,
    answer,
    cut_off,
    empty,
    hang_up,
    html,
    huge,
    paths,
    raw,
    reset_after_reading,
    reset_before_reading,
    silence,
)

KEY, SECRET = "PKCANARY51c2", "canary-7f3a9e51c2"
BODY = b'{"symbol":"NVDA","qty":"1"}'
Call = Callable[[AlpacaAPIClient], Any]
Make = Callable[..., AlpacaAPIClient]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxy settings must not decide these tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[FaultHTTPServer]:
    """A scripted server that is trading and data API at once."""
    with FaultHTTPServer() as running:
        yield running


@pytest.fixture
def make(server: FaultHTTPServer) -> Iterator[Make]:
    """Make clients of the server; all are closed after the test."""
    made: list[AlpacaAPIClient] = []

    def build(**options: Any) -> AlpacaAPIClient:
        settings = {"trading_url": server.url, "data_url": server.url + "/data", **options}
        made.append(AlpacaAPIClient(key_id=KEY, secret_key=SECRET, **settings))
        return made[-1]

    yield build
    for client in made:
        client.close()


@pytest.fixture
def client(make: Make) -> AlpacaAPIClient:
    """A client of the server."""
    return make()


OBJECTS: list[tuple[Call, str]] = [
    (lambda it: it.submit_order(BODY), "POST /v2/orders"),
    (lambda it: it.get_order("o1"), "GET /v2/orders/o1"),
    (lambda it: it.get_order("o1", nested=True), "GET /v2/orders/o1?nested=true"),
    (
        lambda it: it.get_order_by_client_id("sp-a b/c"),
        "GET /v2/orders:by_client_order_id?client_order_id=sp-a+b%2Fc",
    ),
    (lambda it: it.replace_order("o1", BODY), "PATCH /v2/orders/o1"),
    (lambda it: it.account(), "GET /v2/account"),
    (lambda it: it.clock(), "GET /v2/clock"),
    (lambda it: it.asset("BTC/USD"), "GET /v2/assets/BTC%2FUSD"),
    (lambda it: it.position("BRK.B"), "GET /v2/positions/BRK.B"),
    (lambda it: it.close_position("NVDA"), "DELETE /v2/positions/NVDA"),
    (
        lambda it: it.close_position("BTC/USD", qty=Decimal("1E-7")),
        "DELETE /v2/positions/BTC%2FUSD?qty=0.0000001",
    ),
    (
        lambda it: it.close_position("NVDA", percentage=Decimal("12.5")),
        "DELETE /v2/positions/NVDA?percentage=12.5",
    ),
]

LISTS: list[tuple[Call, str]] = [
    (lambda it: it.list_orders(), "GET /v2/orders?status=open&limit=500&direction=desc"),
    (
        lambda it: it.list_orders(
            status="all",
            after=datetime(2026, 11, 20, 15, tzinfo=UTC),
            until="2026-11-20T16:00:00.123456789Z",
            limit=10,
            direction="asc",
            symbols=["NVDA", "BTC/USD"],
            nested=True,
        ),
        (
            "GET /v2/orders?status=all&after=2026-11-20T15%3A00%3A00Z"
            "&until=2026-11-20T16%3A00%3A00.123456789Z&limit=10&direction=asc"
            "&symbols=NVDA%2CBTC%2FUSD&nested=true"
        ),
    ),
    (lambda it: it.cancel_all_orders(), "DELETE /v2/orders"),
    (lambda it: it.calendar(), "GET /v2/calendar"),
    (
        lambda it: it.calendar(date(2026, 11, 20), date(2026, 11, 27)),
        "GET /v2/calendar?start=2026-11-20&end=2026-11-27",
    ),
    (lambda it: it.assets(), "GET /v2/assets?status=active"),
    (
        lambda it: it.assets("inactive", "crypto"),
        "GET /v2/assets?status=inactive&asset_class=crypto",
    ),
    (lambda it: it.positions(), "GET /v2/positions"),
    (
        lambda it: it.close_all_positions(cancel_orders=True),
        "DELETE /v2/positions?cancel_orders=true",
    ),
    (
        lambda it: it.activities(),
        "GET /v2/account/activities/FILL?page_size=100&direction=asc",
    ),
    (
        lambda it: it.activities(after="2026-11-20", page_token="t::1", page_size=5),
        (
            "GET /v2/account/activities/FILL?after=2026-11-20&page_token=t%3A%3A1"
            "&page_size=5&direction=asc"
        ),
    ),
]


class TestEndpoints:
    @pytest.mark.parametrize(("call", "request_line"), OBJECTS)
    def test_endpoints_that_answer_with_an_object(
        self, server: FaultHTTPServer, client: AlpacaAPIClient, call: Call, request_line: str
    ) -> None:
        """One request, this one; the object comes back decoded."""
        server.script(answer({"id": "o1", "qty": "1.10"}))
        assert call(client) == {"id": "o1", "qty": "1.10"}
        assert paths(server.seen) == [request_line]

    @pytest.mark.parametrize(("call", "request_line"), LISTS)
    def test_endpoints_that_answer_with_a_list(
        self, server: FaultHTTPServer, client: AlpacaAPIClient, call: Call, request_line: str
    ) -> None:
        """One request, this one; the list comes back decoded, from 207 too."""
        server.script(answer([{"id": "o1"}], 207))
        assert call(client) == [{"id": "o1"}]
        assert paths(server.seen) == [request_line]

    def test_cancel_has_no_value(self, server: FaultHTTPServer, client: AlpacaAPIClient) -> None:
        """204: accepted for cancelling."""
        server.script(empty(204))
        client.cancel_order("o1")
        assert paths(server.seen) == ["DELETE /v2/orders/o1"]

    @pytest.mark.parametrize(
        "call",
        [
            lambda it: it.cancel_order(""),
            lambda it: it.get_order(""),
            lambda it: it.close_position(""),
            lambda it: it.close_position(".."),
        ],
    )
    def test_no_id_is_not_everything(
        self, server: FaultHTTPServer, client: AlpacaAPIClient, call: Call
    ) -> None:
        """An empty id would turn one cancel into all; nothing is sent."""
        with pytest.raises(ValueError, match="not an id"):
            call(client)
        assert server.connections == 0

    def test_keys_agent_and_body_are_sent_both_ways(
        self, server: FaultHTTPServer, make: Make
    ) -> None:
        """Over the order connection and over the transport alike."""
        client = make(user_agent="signalpaca/9")
        client.submit_order(BODY)
        client.replace_order("o1", BODY)
        for seen in server.seen:
            assert seen.headers["apca-api-key-id"] == KEY
            assert seen.headers["apca-api-secret-key"] == SECRET
            assert seen.headers["user-agent"] == "signalpaca/9"
            assert seen.headers["content-type"] == "application/json"
            assert seen.body == BODY

    def test_a_list_may_exceed_a_megabyte_and_an_order_may_not(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """500 orders with legs do; one answer to a POST never does."""
        server.script(answer([{"id": "x" * 2_000_000}]), huge(2_000_000))
        assert len(client.list_orders()) == 1
        with pytest.raises(OutcomeUnknown, match="exceeds"):
            client.submit_order(BODY)


class TestMarketData:
    def test_stock_prices_are_decimals_of_the_chosen_feed(
        self, server: FaultHTTPServer, make: Make
    ) -> None:
        """Prices keep the digits that were sent."""
        server.script(answer(b'{"trades":{"NVDA":{"p":190.10,"s":100}}}'))
        trades = make(data_feed="sip").latest_trades(["NVDA"])["trades"]
        assert str(trades["NVDA"]["p"]) == "190.10"
        assert isinstance(trades["NVDA"]["s"], Decimal)
        assert paths(server.seen) == ["GET /data/v2/stocks/trades/latest?symbols=NVDA&feed=sip"]

    def test_mixed_symbols_take_two_requests(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """Stocks and crypto pairs live at different paths; the result is one."""
        server.script(
            answer(b'{"quotes":{"NVDA":{"ap":1}}}'), answer(b'{"quotes":{"BTC/USD":{"ap":2}}}')
        )
        quotes = client.latest_quotes(["BTC/USD", "NVDA"])["quotes"]
        assert quotes == {"NVDA": {"ap": 1}, "BTC/USD": {"ap": 2}}
        assert paths(server.seen) == [
            "GET /data/v2/stocks/quotes/latest?symbols=NVDA&feed=iex",
            "GET /data/v1beta3/crypto/us/latest/quotes?symbols=BTC%2FUSD",
        ]

    def test_snapshots_are_flat_for_both_markets(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """Stocks come unwrapped, crypto wrapped; callers see one shape."""
        server.script(
            answer({"NVDA": {"latestTrade": {}}}), answer({"snapshots": {"BTC/USD": {"a": {}}}})
        )
        assert client.snapshots(["NVDA", "BTC/USD"]) == {
            "NVDA": {"latestTrade": {}},
            "BTC/USD": {"a": {}},
        }
        assert paths(server.seen) == [
            "GET /data/v2/stocks/snapshots?symbols=NVDA&feed=iex",
            "GET /data/v1beta3/crypto/us/snapshots?symbols=BTC%2FUSD",
        ]

    def test_no_symbols_ask_nothing(self, server: FaultHTTPServer, client: AlpacaAPIClient) -> None:
        """An empty list would be an error at the broker."""
        assert client.latest_trades([]) == {"trades": {}}
        assert client.snapshots([]) == {}
        assert server.connections == 0

    def test_a_missing_part_is_empty(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """`null` for no data is not a fault."""
        server.script(answer({"trades": None}))
        assert client.latest_trades(["NVDA"]) == {"trades": {}}


UNKNOWN: list[tuple[str, Behaviour | Early]] = [
    ("reset", reset_after_reading()),
    ("early reset", reset_before_reading()),
    ("no answer", hang_up()),
    ("cut off", cut_off(b'{"id":"1"}', 4)),
    ("html 502", html(502)),
    ("html 200", html(200)),
    ("empty 200", empty(200)),
    ("204", empty(204)),
    ("redirect", answer(b"", 307, headers={"Location": "/elsewhere"})),
    ("500", answer({"code": 50010000, "message": "internal"}, 500)),
    ("a list", answer([{"id": "1"}])),
    ("no HTTP", raw(b"hello\r\n\r\n")),
]

ANSWERS: list[tuple[Behaviour, type[Exception]]] = [
    (answer({"message": "unauthorized."}, 401), Unauthorized),
    (answer({"message": "forbidden."}, 403), Unauthorized),
    (answer({"code": 40310000, "message": "insufficient buying power"}, 403), Rejected),
    (answer({"code": 40410000, "message": "order not found"}, 404), NotFound),
    (answer({"code": 40010001, "message": "client_order_id must be unique"}, 422), DuplicateOrder),
    (answer({"message": "too many requests."}, 429), RateLimited),
]


class TestErrors:
    @pytest.mark.parametrize(
        "behaviour", [case[1] for case in UNKNOWN], ids=[c[0] for c in UNKNOWN]
    )
    def test_no_usable_answer_to_a_post_is_an_unknown_outcome(
        self, server: FaultHTTPServer, client: AlpacaAPIClient, behaviour: Behaviour | Early
    ) -> None:
        """Never an acceptance, never a rejection, never a second POST."""
        server.script(behaviour)
        with pytest.raises(OutcomeUnknown):
            client.submit_order(BODY)
        assert server.connections == 1
        assert len(server.seen) <= 1

    @pytest.mark.parametrize(("behaviour", "kind"), ANSWERS)
    def test_refusals_mean_the_same_on_both_ways(
        self,
        server: FaultHTTPServer,
        client: AlpacaAPIClient,
        behaviour: Behaviour,
        kind: type[Exception],
    ) -> None:
        """Order connection and transport share one judgement."""
        server.script(behaviour, behaviour)
        for call in (client.submit_order, lambda body: client.replace_order("o1", body)):
            with pytest.raises(kind) as caught:
                call(BODY)
            assert type(caught.value) is kind

    def test_the_wait_after_429_is_counted_from_our_clock(
        self, server: FaultHTTPServer, make: Make
    ) -> None:
        """X-RateLimit-Reset is an epoch time; the caller gets seconds from now."""
        now = datetime.now(UTC).timestamp()
        server.script(answer({}, 429, headers={"X-RateLimit-Reset": str(int(now) + 30)}))
        with pytest.raises(RateLimited) as caught:
            make().submit_order(BODY)
        assert caught.value.retry_after == pytest.approx(30, abs=5)

    def test_an_echoing_server_does_not_get_the_keys_into_errors(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """Neither repr nor message nor the kept body shows them."""
        server.script(answer({"code": 1, "message": f"bad key {KEY} {SECRET}"}, 422))
        with pytest.raises(Rejected) as caught:
            client.submit_order(BODY)
        shown = f"{caught.value} {caught.value!r} {caught.value.body} {client!r}"
        assert SECRET not in shown
        assert KEY not in shown
        assert f"bad key {MASK} {MASK}" in shown


class TestHeadersHook:
    def test_every_trading_answer_is_reported_and_no_other(
        self, server: FaultHTTPServer, make: Make
    ) -> None:
        """Good or bad, over both ways; market data has a limit of its own."""
        heard: list[tuple[int, str | None]] = []

        def hear(status: int, headers: Mapping[str, str]) -> None:
            heard.append((status, headers.get("x-ratelimit-remaining")))

        left = {"X-RateLimit-Remaining": "9"}
        server.script(
            answer({}, headers=left),
            answer({"message": "too many requests."}, 429),
            empty(204),
            answer({}, headers=left),
            answer([], headers=left),
            answer([], headers=left),
            answer({"trades": {}}),
        )
        client = make(on_headers=hear)
        client.submit_order(BODY)
        with pytest.raises(RateLimited):
            client.submit_order(BODY)
        client.cancel_order("o1")
        client.account()
        client.positions()
        client.assets()
        client.latest_trades(["NVDA"])
        assert heard == [(200, "9"), (429, None), (204, None), (200, "9"), (200, "9"), (200, "9")]

    def test_a_failing_hook_does_not_lose_the_order(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The answer counts; the failure is logged."""

        def fail(status: int, headers: Mapping[str, str]) -> None:
            raise RuntimeError("hook")

        with caplog.at_level(logging.ERROR):
            assert make(on_headers=fail).submit_order(BODY) == {}
        assert [record.message for record in caplog.records] == ["headers_hook_failed"]


class TestConnections:
    def test_one_connection_serves_all_threads_one_after_the_other(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """Kept alive, and never shared at one time."""
        client.submit_order(BODY)
        client.get_order("o1")
        worker = threading.Thread(target=client.submit_order, args=(BODY,))
        worker.start()
        worker.join(5.0)
        assert [seen.connection for seen in server.seen] == [1, 1, 1]

    def test_after_close_nothing_is_sent(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """All connections end, and late callers learn that nothing went out."""
        client.submit_order(BODY)
        client.account()
        client.close()
        server.wait_until(lambda it: it.ended == 2)
        with pytest.raises(NotSent):
            client.submit_order(BODY)
        with pytest.raises(NotSent):
            client.account()
        assert len(server.seen) == 2

    def test_a_proxy_in_the_environment_carries_orders_too(
        self, server: FaultHTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a direct connection is not possible, orders take the transport."""
        monkeypatch.setenv("HTTP_PROXY", server.url)
        client = make(trading_url="http://broker.invalid")
        assert client.submit_order(BODY) == {}
        assert paths(server.seen) == ["POST http://broker.invalid/v2/orders"]
        assert server.seen[0].body == BODY

    def test_a_refused_port_is_not_sent(self, make: Make) -> None:
        """Nobody listens, on either way."""
        client = make(trading_url="http://127.0.0.1:1")
        with pytest.raises(NotSent):
            client.submit_order(BODY)
        with pytest.raises(NotSent):
            client.account()


class AheadClock(SystemClock):
    """The machine's clock, moved ahead by hand."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def order(talk: Talk) -> bool:
    """The order that was sent, taken."""
    assert talk.seen is not None
    return answer({"id": talk.seen.body.decode()}, headers={"X-Body": talk.seen.body.decode()})(
        talk
    )


def by_body(behaviours: Mapping[bytes, Behaviour]) -> Behaviour:
    """Which behaviour a request meets is in its body: threads of the server come in any order."""

    def run(talk: Talk) -> bool:
        assert talk.seen is not None
        return behaviours.get(talk.seen.body, order)(talk)

    return run


class TestManyUnderWay:
    def test_answers_come_in_another_order_than_the_orders_were_sent(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """All are at the broker before the first answer; each gets its own, none is repeated."""
        bodies = [b"a", b"b", b"c"]
        go = {body: threading.Event() for body in bodies}
        server.default = by_body({body: after(go[body], order) for body in bodies})
        sent = {body: client.send_order(body) for body in bodies}
        server.wait_until(lambda it: len(it.seen) == 3)
        for body in (b"c", b"a", b"b"):
            assert not any(request.answering for request in sent.values())
            go[body].set()
            assert eventually(lambda body=body: sent[body].answering)  # type: ignore[misc]
            assert sent[body].order() == {"id": body.decode()}
        assert sorted(seen.body for seen in server.seen) == bodies
        self.check_the_pool(server, client, connections=3)

    def test_each_has_its_own_outcome_whatever_becomes_of_the_others(
        self, server: FaultHTTPServer, make: Make
    ) -> None:
        """Dropped, cut off, silent, refused and good ones at one time, read in another order."""
        faults: dict[bytes, tuple[Behaviour, type[Exception]]] = {
            b"reset": (reset_after_reading(), OutcomeUnknown),
            b"ended": (hang_up(), OutcomeUnknown),
            b"cut off": (cut_off(b'{"id":"1"}', 4), OutcomeUnknown),
            b"silent": (silence(), OutcomeUnknown),
            b"html": (html(502), OutcomeUnknown),
            b"429": (answer({"message": "too many requests."}, 429), RateLimited),
            b"403": (answer({"code": 40310000, "message": "no power"}, 403), Rejected),
            b"422": (
                answer({"code": 40010001, "message": "client_order_id must be unique"}, 422),
                DuplicateOrder,
            ),
        }
        good = [b"one", b"two", b"three"]
        server.default = by_body({body: fault[0] for body, fault in faults.items()})
        clock = AheadClock()
        heard: list[tuple[int, str | None]] = []
        client = make(
            clock=clock, on_headers=lambda code, lines: heard.append((code, lines.get("x-body")))
        )
        bodies = [good[0], *list(faults)[:4], good[1], *list(faults)[4:], good[2]]
        sent = {body: client.send_order(body) for body in bodies}
        assert eventually(lambda: all(sent[body].answering for body in bodies if body != b"silent"))
        assert not sent[b"silent"].answering
        clock.ahead += 6.0
        outcomes = {body: self.outcome_of(sent[body]) for body in bodies[::2] + bodies[1::2]}
        assert outcomes == {
            **{body: {"id": body.decode()} for body in good},
            **{body: fault[1] for body, fault in faults.items()},
        }
        assert sorted(seen.body for seen in server.seen) == sorted(bodies)
        answered = [(200, body.decode()) for body in good]
        assert sorted(heard, key=str) == sorted(
            [*answered, (403, None), (422, None), (429, None), (502, None)], key=str
        )
        # Four were of no use any more, and the other seven are kept.
        self.check_the_pool(server, client, connections=11)
        assert client.send_order(b"good").order() == {"id": "good"}

    def test_a_connection_that_ends_while_it_is_free_costs_no_order(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """One of three: the next three orders go out once each."""
        server.default = by_body({b"b": answer({"id": "b"}, close=True, announce_close=False)})
        sent = [client.send_order(body) for body in (b"a", b"b", b"c")]
        assert [request.order()["id"] for request in sent] == ["a", "b", "c"]
        server.wait_until(lambda it: it.ended == 1)
        self.check_the_pool(server, client, connections=3)
        assert server.connections == 4

    @pytest.mark.parametrize("error", [LeaseLost("another trades"), NotSent("the switch is on")])
    def test_one_that_is_stopped_at_the_last_look_leaves_no_mark(
        self, server: FaultHTTPServer, client: AlpacaAPIClient, error: Exception
    ) -> None:
        """Beside another under way: nothing of it left, and its connection is not in use."""
        under_way = client.send_order(b"a")

        def stop() -> None:
            raise error

        with pytest.raises(type(error)):
            client.send_order(b"b", before_send=stop)
        assert under_way.order() == {}
        client.connect()
        assert client.may_send_more(1)
        assert [seen.body for seen in server.seen] == [b"a"]

    def test_how_many_more_may_leave(self, server: FaultHTTPServer, make: Make) -> None:
        """As many as there are open connections, below the number that the caller names."""
        clock = AheadClock()
        client = make(clock=clock)
        assert not client.may_send_more(9)
        client.connect()
        assert client.may_send_more(1)
        first = client.send_order(BODY)
        assert not client.may_send_more(9)
        second = client.send_order(BODY)
        first.receive()
        assert not client.may_send_more(1)
        assert client.may_send_more(2)
        second.receive()
        assert client.may_send_more(1)
        clock.ahead += 21.0
        assert not client.may_send_more(9)
        client.connect()
        assert client.may_send_more(1)
        server.wait_until(lambda it: it.connections == 3)

    def test_no_more_may_leave_while_the_broker_is_out_of_reach(self, make: Make) -> None:
        """What failed to connect is not in use, and not ready."""
        client = make(trading_url="http://127.0.0.1:1")
        with pytest.raises(NotSent):
            client.connect()
        assert not client.may_send_more(9)

    def test_an_order_under_way_at_the_close_still_has_its_answer(
        self, server: FaultHTTPServer, client: AlpacaAPIClient
    ) -> None:
        """Its outcome is not thrown away, and its connection ends with it."""
        go = threading.Event()
        server.default = after(go, order)
        request = client.send_order(b"a")
        client.close()
        go.set()
        assert request.order() == {"id": "a"}
        server.wait_until(lambda it: it.ended == 1)
        with pytest.raises(NotSent):
            client.connect()

    def test_over_a_proxy_the_answer_is_there_at_once(
        self, server: FaultHTTPServer, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is no socket to wait on; the hook hears of it in its turn, with the others."""
        monkeypatch.setenv("HTTP_PROXY", server.url)
        heard: list[int] = []
        client = make(
            trading_url="http://broker.invalid", on_headers=lambda code, _: heard.append(code)
        )
        client.connect()
        assert not client.may_send_more(9)
        assert server.connections == 0
        request = client.send_order(BODY)
        assert (request.answering, request.fileno(), heard) == (True, -1, [])
        request.receive()
        assert (request.answering, heard) == (False, [200])
        assert request.order() == {}
        assert heard == [200]

    @staticmethod
    def outcome_of(request: OrderRequest) -> object:
        try:
            return request.order()
        except BrokerError as error:
            return type(error)

    @staticmethod
    def check_the_pool(
        server: FaultHTTPServer, client: AlpacaAPIClient, *, connections: int
    ) -> None:
        """So many orders at one time find their connections, and each has its own answer."""
        before = len(server.seen)
        bodies = [f"next {number}".encode() for number in range(connections)]
        sent = [client.send_order(body) for body in bodies]
        assert [request.order()["id"] for request in sent] == [body.decode() for body in bodies]
        assert sorted(seen.body for seen in server.seen[before:]) == sorted(bodies)
