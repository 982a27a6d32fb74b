"""What a request does, whoever carries it: authentication, limits, handlers, the witness.

Plain dictionaries instead of Starlette's routing and middleware: an order costs
the engine some tens of microseconds, and the layers in between would cost more.
"""

import logging
from collections.abc import Callable

from starlette.types import Scope

from paper_exchange.api import (
    account,
    activities,
    admin,
    data,
    faults,
    history,
    orders,
    portfolio,
    positions,
)
from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.api.refusals import too_many_requests, unauthorized
from paper_exchange.books.accounts import Account
from paper_exchange.engine.matcher import Matcher
from paper_exchange.errors import ApiError, endpoint_not_found, malformed_body, unprocessable
from paper_exchange.exchange import Exchange
from paper_exchange.network.credentials import credentials
from paper_exchange.network.guard import Guard
from paper_exchange.network.http_faults import named_order
from paper_exchange.network.http_io import Answer, Headers, Request, request_id
from paper_exchange.rate_limit import Standing
from paper_exchange.sessions import OutsideTableError

log = logging.getLogger(__name__)

DATA_PREFIXES = ("/v2/stocks/", "/v1beta3/")
TRADING_PREFIXES = ("/v2/", "/v2beta1/", "/v3/")
_NOT_ANSWERED = 0


class Desk:
    """Answers requests; what it does not know, the page for instance, is added to ``admin``.

    Args:
        moved: called after a request to ``/admin``, which may have moved the clock or a price.
    """

    def __init__(self, exchange: Exchange, matcher: Matcher, moved: Callable[[], None]) -> None:
        self.exchange = exchange
        self._matcher = matcher
        self._moved = moved
        self._guard = Guard(exchange.settings.host)
        self.trading, self.data, self.admin = Router(), Router(), Router()
        for module in (orders, positions, account, activities, portfolio):
            module.add_routes(self.trading)
        for module in (data, history):
            module.add_routes(self.data)
        for module in (admin, faults):
            module.add_routes(self.admin)

    def carry_out(self, request: Request) -> Answer:
        """Do what a request asks."""
        path: str = request.scope["path"]
        if path.startswith(DATA_PREFIXES):
            return self._answer_data(request)
        if path.startswith(TRADING_PREFIXES):
            return self._answer_trading(request)
        if path.startswith("/admin/") or path == "/":
            return self._answer_admin(request)
        error = endpoint_not_found()
        return Answer(Reply(error.body, error.status), [])

    def record(
        self, request: Request, answer: Answer | None, outcome: str, status: int | None = None
    ) -> int:
        """Tell the witness of a request; without an answer it was not carried out.

        ``status`` is what the client is told if that is not the answer, 0 for
        nothing. Returns the entry's index.
        """
        scope = request.scope
        if answer is None:
            pair = credentials(dict(scope["headers"]))
            key_id, order_id = pair[0] if pair else "", named_order(request)
        else:
            key_id, order_id = answer.key_id, answer.client_order_id
        if status is None:
            status = answer.reply.status if answer else _NOT_ANSWERED
        return self.exchange.witness.note(
            arrived=request.arrived,
            at_ns=self.exchange.clock.now_ns(),
            key_id=key_id,
            method=scope["method"],
            path=scope["path"],
            status=status,
            client_order_id=order_id,
            outcome=outcome,
            taken=answer is not None and answer.reply.status < 300,
        )

    def amend(self, index: int, answer: Answer) -> None:
        """Tell the witness that a recorded request was carried out after all."""
        self.exchange.witness.amend(
            index, taken=answer.reply.status < 300, client_order_id=answer.client_order_id
        )

    def authenticate(self, key_id: str, secret: str) -> Account | None:
        """The account of a key pair, None for one that is not known."""
        now = self.exchange.clock.now_ns()
        return self.exchange.accounts.authenticate(key_id, secret, now)

    def refused(self, scope: Scope) -> Reply | None:
        """The answer to whoever must not come near ``/admin``, None to all others."""
        reason = self._guard.refusal(scope)
        return None if reason is None else Reply({"code": 40310000, "message": reason}, 403)

    def _who(self, scope: Scope) -> tuple[tuple[str, str] | None, Account | None]:
        pair = credentials(dict(scope["headers"]))
        return pair, self.authenticate(*pair) if pair else None

    def _answer_trading(self, request: Request) -> Answer:
        scope = request.scope
        pair, who = self._who(scope)
        call = Call(self.exchange, scope, {}, request.body, who)
        key_id = pair[0] if pair else ""
        standing = self.exchange.limiter.take(key_id) if who else None
        if standing is None:
            reply = unauthorized(pair)
        elif not standing.allowed:
            reply = too_many_requests()
        else:
            reply = self._run(self.trading, call)
        self._matcher.look()
        headers = _trading_headers(standing)
        return Answer(reply, headers, True, key_id, call.client_order_id)  # noqa: FBT003  -- hot path

    def _answer_data(self, request: Request) -> Answer:
        """Crypto data is open to all, but a wrong key is refused even there (observed)."""
        scope = request.scope
        pair, who = self._who(scope)
        open_to_all = scope["path"].startswith("/v1beta3/crypto/") and pair is None
        if who is None and not open_to_all:
            reply = unauthorized(pair)
        else:
            reply = self._run(self.data, Call(self.exchange, scope, {}, request.body, who))
        return Answer(reply, [request_id()], witnessed=True, key_id=pair[0] if pair else "")

    def _answer_admin(self, request: Request) -> Answer:
        if (refused := self.refused(request.scope)) is not None:
            return Answer(refused, [])
        reply = self._run(self.admin, Call(self.exchange, request.scope, {}, request.body, None))
        self._matcher.look()
        self._moved()
        return Answer(reply, [])

    def _run(self, router: Router, call: Call) -> Reply:
        """The answer, which leaves only after everything behind it has been written."""
        reply = _handle(router, call)
        try:
            self.exchange.store.settle()
        except Exception:  # the client must not believe what a restart would have forgotten
            log.exception("state_not_written")
            self._matcher.retry()
            return _defect()
        return reply


def _handle(router: Router, call: Call) -> Reply:
    try:
        handler, call.params = router.find(call.scope["method"], call.scope["path"])
        return handler(call)
    except ApiError as refusal:
        return Reply(refusal.body, refusal.status, refusal.headers)
    except RecursionError:
        # JSON may be nested more deeply than Python can walk (or quote) it.
        error = malformed_body()
        return Reply(error.body, error.status)
    except OutsideTableError as beyond:
        error = unprocessable(f"{beyond}; the clock is beyond what this exchange knows")
        return Reply(error.body, error.status)
    except Exception:  # a defect of ours must look like a broker's, and not end the connection
        log.exception("request_failed", extra={"path": call.scope["path"]})
        return _defect()


def _defect() -> Reply:
    return Reply({"code": 50010000, "message": "internal server error occurred"}, 500)


def _trading_headers(standing: Standing | None) -> Headers:
    return [request_id()] + (standing.headers() if standing else [])
