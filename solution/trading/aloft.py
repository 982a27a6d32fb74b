"""What one worker has sent and not booked yet."""

import select

from solution.trading.course import Departure
from solution.trading.pipeline import Pipeline
from solution.trading.submit import Flight

LOOK_EVERY = 0.25
"""Seconds between two looks at deadlines, which no socket tells of."""


class Aloft:
    """POSTs on their way and answers that were taken in. For one thread.

    Taking in an answer costs a tenth of booking it, and frees connection and rate slot. It is done
    in between; booking waits until nothing more is to be sent.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._departed: list[Departure] = []
        self._awaited: list[Flight] = []

    def __len__(self) -> int:
        return len(self._departed)

    def add(self, departed: Departure) -> None:
        self._departed.append(departed)
        self._awaited.append(departed.flight)

    def take_in(self) -> None:
        """The answers that are there; waits for none."""
        # Asked after each signal of a burst: only what is still awaited is looked at.
        for flight in self._awaited:
            if flight.answering:
                flight.receive()
        self._awaited = [flight for flight in self._awaited if flight.in_the_air]

    def wait(self) -> None:
        """Until there is one more answer to take in, or a deadline has passed."""
        while self._awaited and not any(flight.answering for flight in self._awaited):
            poller = select.poll()
            for flight in self._awaited:
                if (number := flight.fileno()) >= 0:
                    poller.register(number, select.POLLIN)
            poller.poll(LOOK_EVERY * 1000)

    def land(self) -> list[Exception]:
        """Book the answers that were taken in, in the order in which their requests left.

        Returns:
            What went wrong, of the ledger's mostly; the others are booked as far as it goes.
        """
        landing = [one for one in self._departed if not one.flight.in_the_air]
        self._departed = [one for one in self._departed if one.flight.in_the_air]
        errors: list[Exception] = []
        again: list[Departure] = []
        for one in landing:
            try:
                if not self._pipeline.finish(one):
                    again.append(one)
            except Exception as e:  # noqa: BLE001 - raised by the worker, when all have landed
                errors.append(e)
        if again:
            self._pipeline.send_later(again)
        return errors
