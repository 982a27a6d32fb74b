"""Market data requests through the ASGI application: paging, parameters, refusals."""

import base64
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paper_exchange.api import history
from paper_exchange.instants import parse_instant
from tests.unit.paper_exchange.test_api import Site

MINUTES = "/v2/stocks/bars?symbols=KO,F,NVDA&timeframe=1Min&start=2026-11-20T16:00:00Z"


@pytest.fixture(scope="module")
def site() -> Site:
    """One application that stands still at noon in New York."""
    made = Site()
    made.clock.advance(37.5)
    return made


def pages(site: Site, target: str) -> tuple[list[tuple[str, Any]], int]:
    """All rows of all pages, each with its symbol, and the number of pages."""
    rows: list[tuple[str, Any]] = []
    token, count = "", 0
    while token is not None:
        status, body = site.ask("GET", target + (token and f"&page_token={token}"))
        assert status == 200
        [found] = [body[kind] for kind in ("bars", "trades", "quotes") if kind in body]
        if isinstance(found, list):
            found = {body["symbol"]: found}
        rows += [(symbol, row) for symbol, some in found.items() for row in some]
        token, count = body["next_page_token"], count + 1
    return rows, count


@given(
    st.sampled_from(["bars", "trades", "quotes"]),
    st.sampled_from(["asc", "desc"]),
    st.sampled_from([7, 60, 61, 239, 240, 241, 1000]),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pages_are_one_large_request(site: Site, kind: str, sort: str, limit: int) -> None:
    """Whatever the limit: by symbol, then by time, nothing twice and nothing left out."""
    length = "16:00" if kind == "bars" else "16:59"
    target = (
        f"/v2/stocks/{kind}?symbols=NVDA,F,KO&timeframe=1Min&sort={sort}"
        f"&start=2026-11-20T{length}:00Z&end=2026-11-20T16:59:40.25Z"
    )
    whole, one = pages(site, f"{target}&limit=10000")
    rows, count = pages(site, f"{target}&limit={limit}")
    assert (rows, one) == (whole, 1)
    assert count == -(-len(whole) // limit)
    symbols = [symbol for symbol, _ in rows]
    assert symbols == sorted(symbols)
    assert set(symbols) == {"F", "KO", "NVDA"}
    for (symbol, row), (following, later) in pairwise(rows):
        if symbol == following:
            before, after = parse_instant(row["t"]), parse_instant(later["t"])
            assert (before < after) is (sort == "asc")


def test_a_costly_page_ends_early(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of a request is bounded; with the token nothing is missing."""
    target = "/v2/stocks/bars?symbols=F,KO&timeframe=15Min&start=2026-11-18&limit=10000"
    whole, one = pages(site, target)
    monkeypatch.setattr(history, "BUDGET", 500)
    rows, count = pages(site, target)
    assert (rows, one) == (whole, 1)
    assert count > 5


def test_defaults(site: Site) -> None:
    """Today until now, a thousand rows, ascending; New York's day for stocks, UTC's for crypto."""
    body = site.ask("GET", "/v2/stocks/F/bars?timeframe=1Min")[1]
    assert (body["symbol"], body["bars"][0]["t"]) == ("F", "2026-11-20T05:00:00Z")
    assert (len(body["bars"]), body["bars"][-1]["t"]) == (720, "2026-11-20T16:59:00Z")
    assert "currency" not in body
    body = site.ask("GET", "/v1beta3/crypto/us/bars?symbols=BTC/USD,DOGEUSD,F,X/Y&timeframe=1T")[1]
    assert list(body["bars"]) == ["BTC/USD"]
    assert (len(body["bars"]["BTC/USD"]), body["next_page_token"] is None) == (1000, False)
    assert body["bars"]["BTC/USD"][0]["t"] == "2026-11-20T00:00:00Z"


def test_dates_are_days(site: Site) -> None:
    """A start is its midnight, an end all of its day."""
    target = "/v2/stocks/F/bars?start=2026-11-18&end=2026-11-19&timeframe="
    days = site.ask("GET", f"{target}1Day")[1]["bars"]
    assert [day["t"] for day in days] == ["2026-11-18T05:00:00Z", "2026-11-19T05:00:00Z"]
    hours = site.ask("GET", f"{target}1Hour")[1]["bars"]
    assert (hours[0]["t"], len(hours)) == ("2026-11-18T05:00:00Z", 48)
    plus = site.ask(
        "GET", "/v2/stocks/F/bars?timeframe=1Min&start=2026-11-20T11:58:00-05:00&end="
        "2026-11-20T16:58:00 00:00",
    )[1]  # fmt: skip
    assert [bar["t"] for bar in plus["bars"]] == ["2026-11-20T16:58:00Z"]


def test_options_that_change_nothing(site: Site) -> None:
    """Feeds, adjustments and symbol mapping are checked; every one tells the same."""
    plain = site.ask("GET", f"{MINUTES}&limit=3")[1]
    for more in (
        "feed=sip", "feed=iex", "feed=otc", "feed=boats", "adjustment=raw", "adjustment=all",
        "adjustment=split,dividend", "asof=2024-01-02", "asof=-", "sort=asc",
    ):  # fmt: skip
        assert site.ask("GET", f"{MINUTES}&limit=3&{more}")[1] == plain
    told = site.ask("GET", f"{MINUTES}&limit=3&currency=USD")[1]
    assert told == plain | {"currency": "USD"}
    for loc in ("us-1", "us-2", "eu-1", "bs-1"):
        target = "/v1beta3/crypto/{}/latest/orderbooks?symbols=BTC/USD"
        assert site.ask("GET", target.format(loc)) == site.ask("GET", target.format("us"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("timeframe=7Foo", "invalid timeframe: 7Foo"),
        ("timeframe=0Min", "invalid timeframe: 0Min"),
        ("limit=0", "invalid limit: 0 (1 to 10000)"),
        ("limit=10001", "invalid limit: 10001 (1 to 10000)"),
        ("limit=ten", "invalid limit: ten (1 to 10000)"),
        ("limit=-1", "invalid limit: -1 (1 to 10000)"),
        ("limit=1e3", "invalid limit: 1e3 (1 to 10000)"),
        ("start=yesterday", "invalid start: yesterday (RFC 3339 or YYYY-MM-DD)"),
        ("end=2026-13-01", "invalid end: 2026-13-01 (RFC 3339 or YYYY-MM-DD)"),
        ("end=9999-12-31", "invalid end: 9999-12-31 (RFC 3339 or YYYY-MM-DD)"),
        ("start=1.0000000001Z", "invalid start: 1.0000000001Z (RFC 3339 or YYYY-MM-DD)"),
        ("end=2026-11-19", "invalid end: 2026-11-19 (end should not be before start)"),
        ("sort=up", "invalid sort: up (asc or desc)"),
        ("feed=delayed_sip", "invalid feed: delayed_sip"),
        ("feed=SIP", "invalid feed: SIP"),
        ("adjustment=raw,none", "invalid adjustment: raw,none"),
        ("asof=today", "invalid asof: today (YYYY-MM-DD or -)"),
        ("asof=2026-02-30", "invalid asof: 2026-02-30 (YYYY-MM-DD or -)"),
        ("currency=EUR", "invalid currency: EUR (prices are in USD here)"),
        ("page_token=x", "invalid page_token: x"),
        ("page_token=" + "Q" * 5000, "invalid page_token: " + "Q" * 100 + "..."),
    ],
)  # fmt: skip
def test_bad_parameters(site: Site, more: str, message: str) -> None:
    """400 with the parameter and its value."""
    answer = site.ask("GET", f"{MINUTES}&{more}")
    assert answer == (400, {"code": 40010000, "message": message})


def token(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode()


@pytest.mark.parametrize(
    "plain",
    ["", "F", "F|B|1", "F|T|1|0", "AAPL|B|1|0", "F|B|x|0", "F|B|-1|0", "F|B|1|0|0",
     "F|B|99999999999999999999|0", "\u0661|B|1|0", "F|B|\u0661|0", "F|B|1|0\n"],
)  # fmt: skip
def test_tokens_of_others(site: Site, plain: str) -> None:
    """Another endpoint's, another symbol's, and everything that was never given out."""
    text = token(plain) or "="
    answer = site.ask("GET", f"{MINUTES}&page_token={text}")
    assert answer == (400, {"code": 40010000, "message": f"invalid page_token: {text}"})


@given(st.text(max_size=40), st.sampled_from(["bars", "trades", "quotes"]))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_tokens_of_nonsense(site: Site, plain: str, kind: str) -> None:
    """Never more than a 400."""
    target = f"/v2/stocks/F/{kind}?timeframe=1Min&page_token={token(plain) or 'x'}"
    assert site.ask("GET", target)[0] == 400


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.sampled_from("BTQ"))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_tokens_of_any_place(site: Site, at_ns: int, rank: int, letter: str) -> None:
    """A well-formed token from anywhere gives rows of the window, or none."""
    kind = {"B": "bars", "T": "trades", "Q": "quotes"}[letter]
    start = "2026-11-20T17:00:00Z"
    target = f"/v2/stocks/F/{kind}?timeframe=1Min&start={start}&page_token="
    status, body = site.ask("GET", target + token(f"F|{letter}|{at_ns}|{rank}"))
    assert status == 200
    assert all(parse_instant(row["t"]) >= parse_instant(start) for row in body[kind])


def test_what_is_missing(site: Site) -> None:
    """Symbols and timeframe are required; unknown places and paths are named so."""
    assert site.ask("GET", "/v2/stocks/bars?timeframe=1Min")[1]["message"] == "symbols is required"
    assert site.ask("GET", "/v2/stocks/F/bars")[1]["message"] == "timeframe is required"
    assert site.ask("GET", "/v2/stocks/NOPE/trades")[0] == 404
    assert site.ask("GET", "/v2/stocks/BTCUSD/trades")[0] == 404
    assert site.ask("GET", "/v2/stocks/trades?symbols=NOPE") == (
        200,
        {"trades": {}, "next_page_token": None},
    )
    for path in ("bars", "latest/bars", "snapshots"):
        answer = site.ask("GET", f"/v1beta3/crypto/mars/{path}?symbols=BTC/USD&timeframe=1Min")
        assert answer == (400, {"code": 40010000, "message": "invalid loc: mars"})
    assert site.ask("GET", "/v1beta3/crypto/us/x/bars?symbols=BTC/USD&timeframe=1T")[0] == 404
    assert site.ask("GET", "/v2/stocks/F/quotes/latest?feed=x")[1]["message"] == "invalid feed: x"
    assert site.ask("GET", "/v2/stocks/F/quotes/latest?feed=delayed_sip")[0] == 200


def test_latest_is_the_end_of_history(site: Site) -> None:
    """Snapshots show the last rows that history has, to the last field."""
    snapshots = site.ask("GET", "/v2/stocks/snapshots?symbols=F,NVDA")[1]
    snapshots |= site.ask("GET", "/v1beta3/crypto/us/snapshots?symbols=BTC/USD")[1]["snapshots"]
    for symbol, shown in snapshots.items():
        base = "/v1beta3/crypto/us" if "/" in symbol else "/v2/stocks"

        def last(kind: str, more: str, base: str = base, symbol: str = symbol) -> Any:
            target = f"{base}/{kind}?symbols={symbol}&sort=desc&start=2026-11-10&{more}"
            return site.ask("GET", target)[1][kind][symbol]

        assert shown == {
            "latestTrade": last("trades", "limit=1")[0],
            "latestQuote": last("quotes", "limit=1")[0],
            "minuteBar": last("bars", "timeframe=1Min&limit=1")[0],
            "dailyBar": last("bars", "timeframe=1Day&limit=2")[0],
            "prevDailyBar": last("bars", "timeframe=1Day&limit=2")[1],
        }


def test_fields(site: Site) -> None:
    """Those of the published schemas; the tape is that of the listing exchange."""
    window = "start=2026-11-20T16:58:00Z"
    trade = site.ask("GET", f"/v2/stocks/F/trades?{window}")[1]["trades"][0]
    assert set(trade) == {"t", "x", "p", "s", "c", "i", "z"}
    quote = site.ask("GET", f"/v2/stocks/NVDA/quotes?{window}")[1]["quotes"][1]
    assert set(quote) == {"t", "ax", "ap", "as", "bx", "bp", "bs", "c", "z"}
    assert (trade["z"], quote["z"], quote["t"]) == ("A", "C", "2026-11-20T16:58:00.25Z")
    bar = site.ask("GET", f"/v2/stocks/F/bars?timeframe=1Min&{window}")[1]["bars"][0]
    assert set(bar) == {"t", "o", "h", "l", "c", "v", "n", "vw"}
    for kind, fields in {
        "trades": {"t", "p", "s", "i", "tks"},
        "quotes": {"t", "bp", "bs", "ap", "as"},
    }.items():
        target = f"/v1beta3/crypto/us/{kind}?symbols=BTC/USD&{window}"
        assert set(site.ask("GET", target)[1][kind]["BTC/USD"][0]) == fields


def test_orderbooks(site: Site) -> None:
    """Ten levels on each side, around the quote that stands."""
    book = site.ask("GET", "/v1beta3/crypto/us/latest/orderbooks?symbols=ETH/USD")[1]["orderbooks"]
    quote = site.ask("GET", "/v1beta3/crypto/us/latest/quotes?symbols=ETH/USD")[1]["quotes"]
    one, top = book["ETH/USD"], quote["ETH/USD"]
    assert one["a"][0] == {"p": top["ap"], "s": top["as"]}
    assert one["b"][0] == {"p": top["bp"], "s": top["bs"]}
    assert [len(one[side]) for side in "ab"] == [10, 10]
    assert [level["p"] for level in one["b"]] == sorted(
        (level["p"] for level in one["b"]), reverse=True
    )
    for side in "ab":
        first = Decimal(str(one[side][0]["s"]))
        sizes = [Decimal(str(level["s"])) for level in one[side]]
        assert sizes == [first * n for n in range(1, 11)], "no digits that floats have added"


def test_before_the_first_bar(site: Site) -> None:
    """A replay that has just begun has no bars: they are missing, or null."""
    del site
    early = Site(session="nyse")
    early.clock.ns -= 12 * 365 * 86_400 * 10**9
    assert early.ask("GET", "/v2/stocks/bars/latest?symbols=F")[1] == {"bars": {}}
    snapshot = early.ask("GET", "/v2/stocks/F/snapshot")[1]
    assert (snapshot["minuteBar"], snapshot["dailyBar"]) == (None, None)
    assert snapshot["latestTrade"]["p"] > 0
