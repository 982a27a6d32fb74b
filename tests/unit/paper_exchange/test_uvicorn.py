"""What the exchange's protocols rest on in uvicorn, which promises none of it.

Most of it is private there. When one of these fails after an upgrade, read what
has become of the method in uvicorn before changing the range in pyproject.toml.
"""

import asyncio
import inspect
from typing import Any

import pytest
import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from paper_exchange.network.http_protocol import ExchangeHttp
from paper_exchange.network.line import Patience
from paper_exchange.network.websocket_protocol import ExchangeWebSocket

#: Methods that uvicorn or asyncio calls, and that ours replace or extend.
_HOOKS = {
    ExchangeHttp: {
        "connection_made", "connection_lost", "shutdown", "pause_writing", "resume_writing",
        "data_received", "on_message_begin", "on_headers_complete", "on_message_complete",
        "_start_asgi_task",
    },
    ExchangeWebSocket: {
        "connection_made", "connection_lost", "handle_connect", "data_received",
        "send_receive_event_to_app", "keepalive_timeout", "shutdown", "pause_writing",
        "resume_writing",
    },
}  # fmt: skip
#: What ours use of a new connection.
_HTTP = {
    "pipeline", "cycle", "flow", "timeout_keep_alive", "timeout_keep_alive_task", "transport",
    "loop", "parser", "expect_100_continue", "headers", "url", "_unset_keepalive_if_required",
    "_should_upgrade", "handle_websocket_upgrade",
}  # fmt: skip
_WEBSOCKET = {
    "conn", "close_sent", "handshake_initiated", "curr_msg_data_type", "frames", "loop",
    "handle_parser_exception",
}  # fmt: skip


def _parameters(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)


@pytest.mark.parametrize("ours", _HOOKS)
def test_what_is_overridden_exists(ours: type[Any]) -> None:
    """With the same parameters; a hook that uvicorn no longer has would silently do nothing."""
    base = ours.__bases__[-1]
    parts = vars(Patience) | vars(ours)
    own = {name for name, value in parts.items() if inspect.isfunction(value)}
    assert own & set(dir(base)) - {"__init__"} == _HOOKS[ours]
    for name in _HOOKS[ours]:
        assert _parameters(getattr(ours, name)) == _parameters(getattr(base, name)), name


def test_what_is_used_exists() -> None:
    """Of a connection that has just been made."""

    async def names() -> tuple[set[str], set[str]]:
        config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        http = HttpToolsProtocol(config, state, {})
        socket = WebSocketsSansIOProtocol(config, state, {})
        return set(dir(http)), set(dir(socket))

    http, socket = asyncio.run(names())
    # Parsing a request sets these.
    assert _HTTP - http <= {"headers", "url", "expect_100_continue"}
    assert socket >= _WEBSOCKET
    for name in ("headers", "url", "expect_100_continue"):
        assert f"self.{name}" in inspect.getsource(HttpToolsProtocol)


def test_parts_of_a_request() -> None:
    """Its cycle says how far it is, and its flow whether reading has paused."""
    source = inspect.getsource(RequestResponseCycle)
    for name in (
        "response_complete", "response_started", "more_body", "disconnected", "message_event",
        "keep_alive",
    ):  # fmt: skip
        assert f"self.{name}" in source
    assert {"pause_reading", "resume_reading"} <= set(dir(FlowControl))
    assert "self.read_paused" in inspect.getsource(FlowControl)


def test_parts_of_the_server() -> None:
    """Signals, start and the state that the TLS listener shares."""
    assert _parameters(uvicorn.Server.startup) == ["self", "sockets"]
    assert "capture_signals" in dir(uvicorn.Server)
    made = uvicorn.Server(uvicorn.Config(lambda: None, log_config=None))
    assert {"server_state", "started"} <= set(vars(made))
    assert "self.servers" in inspect.getsource(uvicorn.Server.startup)
    assert "state" in inspect.getsource(LifespanOn.__init__)
