"""Faults as they are written, and what is said about those that cannot be understood."""

from typing import Any

import pytest

from paper_exchange.faults.spec import KINDS, parse_json, parse_text
from paper_exchange.faults.values import BadFault

TEXTS = [
    "POST /v2/orders: reset_after p=0.1",
    "GET /v2/orders:by_client_order_id: cut",
    "*: latency ms=10-20 when=after skip=4",
    "DELETE /v2/orders/*: late ms=100 answer=reset next=2",
    "* /v2/*: storm ms=5000 limit_headers=false",
    "* *: storm requests=20 client='APCA-PY/0.44.0 Python'",
    "POST *: status status=429 body='slow down' headers='Retry-After: 3' headers='X-A: b'",
    "*: html status=504 taken=true",
    "stream: duplicate next=3",
    "stream: disconnect when=after how=reset event=fill",
    "data: silence symbol=NVDA ms=100",
    "data: refuse status=503",
    "orders: stuck_cancel key=abc symbol=BTC/USD",
]


@pytest.mark.parametrize("text", TEXTS)
def test_round_trips(text: str) -> None:
    """Text and JSON are two forms of one thing."""
    spec = parse_text(text)
    assert parse_json(spec.render()) == spec
    assert parse_text(spec.text()) == spec


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_shown(kind: str) -> None:
    """What was not said is in the rendering as it will be used."""
    place = min(KINDS[kind].places).replace("request", "*")
    needed = {"ms": 5, "status": 500, "requests": 2}
    options = {name: needed[name] for name in KINDS[kind].required}
    if kind == "storm":
        options["requests"] = 2
    row = parse_json({"target": place, "kind": kind, **options}).render()
    assert row.items() >= options.items()
    assert row.keys() >= KINDS[kind].defaults.keys()


def test_json_nulls_are_absent() -> None:
    """Null is no value."""
    spec = parse_json({"target": "stream", "kind": "drop", "p": None, "headers": None})
    assert spec == parse_text("stream: drop")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "fault must be TARGET: KIND [name=value ...], not ''"),
        ("stream drop", "fault must be TARGET: KIND [name=value ...], not 'stream drop'"),
        ("stream: ", "fault must be TARGET: KIND [name=value ...], not 'stream: '"),
        ("*: cut 'x", 'fault "*: cut \'x" cannot be read: No closing quotation'),
        ("*: cut p", "option 'p' must be name=value"),
        ("*: cut p=1 p=0", "p is given twice, the second time as '0'"),
        ("GET orders: cut", "target must be METHOD PATH, stream, data or orders, not 'GET orders'"),
        ("FROB /v2/x: cut", "target must be METHOD PATH, stream, data or orders, not 'FROB /v2/x'"),
        ("GET /a /b: cut", "target must be METHOD PATH, stream, data or orders, not 'GET /a /b'"),
        ("stream: cut", "cut is for request, not for 'stream'"),
        ("*: drop", "drop is for data and stream, not for '*'"),
        ("orders: latency ms=1", "latency is for request, not for 'orders'"),
        ("*: latency", "latency requires ms"),
        ("*: status", "status requires status"),
        ("*: storm", "storm requires ms or requests"),
        ("*: cut p=1.5", "p must be a number from 0 to 1, not '1.5'"),
        ("*: cut p=nan", "p must be a number from 0 to 1, not 'nan'"),
        ("*: cut next=0", "next must be a whole number from 1 to 1000000000, not '0'"),
        ("*: cut skip=-1", "skip must be a whole number from 0 to 1000000000, not '-1'"),
        ("*: cut key=", "key must be text, not ''"),
        ("*: html status=200", "status must be a whole number from 400 to 599, not '200'"),
        ("*: html taken=yes", "taken must be true or false, not 'yes'"),
        ("*: latency ms=1 when=later", "when must be before or after, not 'later'"),
        (
            "*: late ms=1 answer=200",
            "answer must be none, reset or a status from 400 to 599, not '200'",
        ),
        (
            "stream: disconnect code=1006",
            "code must be a close code such as 1001, 1011 or 4000, not '1006'",
        ),
        ("*: status status=500 headers=x", "headers must be 'Name: value', not 'x'"),
        (
            "*: status status=500 headers='A b: c'",
            "headers 'A b' cannot be sent with the value 'c'",
        ),
        (
            "*: status status=500 headers='Content-Length: 1'",
            "headers 'Content-Length' cannot be sent with the value '1'",
        ),
    ],
)
def test_what_is_not_understood(text: str, complaint: str) -> None:
    """One sentence with the field and its value."""
    with pytest.raises(BadFault) as bad:
        parse_text(text)
    assert str(bad.value) == complaint


@pytest.mark.parametrize("ms", ["x", "5-1", "1-2-3", "-1", "700000", "٣"])
def test_durations(ms: str) -> None:
    """A number of milliseconds or a range, within ten minutes."""
    with pytest.raises(BadFault, match="ms must be milliseconds from 0 to 600000"):
        parse_text(f"*: latency ms={ms}")


def test_unknown_names() -> None:
    """A kind or an option that does not exist is answered with those that do."""
    with pytest.raises(BadFault, match=r"kind must be one of latency, status, html, .*, not 'x'"):
        parse_text("*: x")
    with pytest.raises(BadFault, match="symbol 'A' is not an option of cut on request, which take"):
        parse_text("*: cut symbol=A")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({}, "target must be METHOD PATH, stream, data or orders, not None"),
        ({"target": ["*"]}, "target must be METHOD PATH, stream, data or orders, not a list"),
        ({"target": "*", "kind": {}}, "not a dict"),
        ({"target": "*", "kind": "cut", "p": True}, "p must be a number from 0 to 1, not True"),
        ({"target": "*", "kind": "cut", "next": 1.0}, "not 1.0"),
        (
            {"target": "*", "kind": "status", "status": 500, "headers": ["a", 1]},
            "headers must be an object of header names and values, not a list",
        ),
        (
            {"target": "*", "kind": "status", "status": 500, "headers": {"A": 1}},
            "headers 'A' cannot be sent with the value 1",
        ),
    ],
)
def test_json_of_wrong_types(row: dict[str, Any], complaint: str) -> None:
    """Types are checked as strictly as text."""
    with pytest.raises(BadFault) as bad:
        parse_json(row)
    assert complaint in str(bad.value)
