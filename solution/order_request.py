"""A POST of an order that is on its way."""

from collections.abc import Callable

from solution.alpaca_protocol import Json
from solution.errors import BrokerError, OutcomeUnknown
from solution.http_common import Response
from solution.order_connection import OrderConnection


class OrderRequest:
    """Its answer is taken in first, which frees the connection, and judged later. For one thread.

    Args:
        judge: the Order of a success; raises what the answer means otherwise.
        receive: waits for the answer; may raise BrokerError.
        connection: over which it comes; None when it is there already.
    """

    __slots__ = ("_connection", "_error", "_judge", "_receive", "_response")

    def __init__(
        self,
        judge: Callable[[Response], Json],
        receive: Callable[[], Response],
        connection: OrderConnection | None = None,
    ) -> None:
        self._judge = judge
        self._receive: Callable[[], Response] | None = receive
        self._connection = connection
        self._response: Response | None = None
        self._error: BrokerError | None = None

    @property
    def answering(self) -> bool:
        """Whether :meth:`receive` has something to take in and would not wait."""
        if self._receive is None:
            return False
        return self._connection is None or self._connection.answering

    @property
    def failed(self) -> bool:
        """Whether the answer was taken in and is no success."""
        answer = self._response
        return self._error is not None or (answer is not None and not 200 <= answer.status < 300)

    def fileno(self) -> int:
        """Of the socket that becomes readable with the answer; -1: there is none."""
        if self._receive is None or self._connection is None:
            return -1  # taken in: its connection is another's by now
        return self._connection.fileno()

    def receive(self) -> None:
        """Take in the answer, whatever it is; waits for it until the request's deadline."""
        receive, self._receive = self._receive, None
        if receive is None:
            return
        try:
            self._response = receive()
        except BrokerError as error:
            self._error = error

    def order(self) -> Json:
        """The Order; waits for it.

        Raises:
            BrokerError: as :meth:`solution.alpaca_api_client.AlpacaAPIClient.submit_order`.
        """
        self.receive()
        if self._response is None:
            raise self._error or OutcomeUnknown("POST /v2/orders: its answer was not awaited")
        return self._judge(self._response)
