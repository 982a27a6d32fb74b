"""OrderRequest: one answer, taken in once and judged later."""

from typing import cast

import pytest

from solution.alpaca_protocol import Json
from solution.errors import OutcomeUnknown, RateLimited
from solution.http_common import Response
from solution.order_connection import OrderConnection
from solution.order_request import OrderRequest

ANSWER = Response(200, {}, b"{}")


class Wire:
    """A connection with an answer, or with the error that comes in its place."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.answering = False
        self.received = 0
        self._error = error

    def fileno(self) -> int:
        return 7

    def receive(self) -> Response:
        self.received += 1
        if self._error is not None:
            raise self._error
        return ANSWER

    def request(self) -> OrderRequest:
        return OrderRequest(judge, self.receive, cast("OrderConnection", self))


def judge(response: Response) -> Json:
    assert response is ANSWER
    return {"id": "o"}


def test_the_answer_is_taken_in_once() -> None:
    """Before it is judged or with that; the connection is another's afterwards."""
    wire = Wire()
    request = wire.request()
    request.receive()
    request.receive()
    assert request.order() == {"id": "o"}
    assert request.order() == {"id": "o"}
    assert wire.received == 1


def test_the_order_waits_for_the_answer() -> None:
    """Where nobody has taken it in before."""
    wire = Wire()
    assert wire.request().order() == {"id": "o"}
    assert wire.received == 1


def test_after_its_answer_it_has_no_part_in_the_connection() -> None:
    """The next request's answer there is not this one's."""
    wire = Wire()
    request = wire.request()
    assert (request.answering, request.fileno()) == (False, 7)
    wire.answering = True
    assert request.answering
    request.receive()
    assert (request.answering, request.fileno()) == (False, -1)


def test_an_answer_that_is_there_already_needs_no_connection() -> None:
    """As over a proxy: there is something to take in, and no socket to wait on."""
    request = OrderRequest(judge, lambda: ANSWER)
    assert (request.answering, request.fileno()) == (True, -1)
    request.receive()
    assert (request.answering, request.fileno()) == (False, -1)


def test_an_unclear_answer_is_told_when_the_order_is_asked_for() -> None:
    """Taking in raises nothing, so that one bad answer does not keep the next from being read."""
    error = OutcomeUnknown("timed out")
    request = Wire(error).request()
    request.receive()
    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as caught:
            request.order()
        assert caught.value is error


def test_what_the_judge_says_comes_through() -> None:
    """A refusal is an answer."""

    def refuse(_: Response) -> Json:
        raise RateLimited("slower", None)

    with pytest.raises(RateLimited):
        OrderRequest(refuse, lambda: ANSWER).order()


def test_an_interrupted_wait_leaves_the_outcome_unknown() -> None:
    """The answer was given up: neither an acceptance nor a refusal, and not waited for again."""
    wire = Wire(KeyboardInterrupt())
    request = wire.request()
    with pytest.raises(KeyboardInterrupt):
        request.receive()
    with pytest.raises(OutcomeUnknown, match="not awaited"):
        request.order()
    assert wire.received == 1


@pytest.mark.parametrize(
    ("answer", "failed"),
    [(199, True), (200, False), (299, False), (300, True), (429, True), (None, True)],
)
def test_a_failure_shows_before_it_is_judged(answer: int | None, failed: bool) -> None:
    """Once it was taken in: any answer but a success, or none."""

    def receive() -> Response:
        if answer is None:
            raise OutcomeUnknown("lost")
        return Response(answer, {}, b"{}")

    request = OrderRequest(judge, receive)
    assert not request.failed
    request.receive()
    assert request.failed is failed
