"""What one worker has sent and not booked yet."""

import select

from solution.trading.airspace import Airspace
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

    def __init__(self, pipeline: Pipeline, space: Airspace) -> None:
        self._pipeline = pipeline
        self._space = space
        self._departed: list[Departure] = []
        self._awaited: list[Flight] = []
        self.troubled = False
        """Whether one of them was stopped or did not succeed, as far as is known."""

    def __len__(self) -> int:
        return len(self._departed)

    def add(self, departed: Departure) -> None:
        """It has a place in the air, and keeps it until its answer was taken in."""
        self._departed.append(departed)
        if departed.flight.in_the_air:
            self._awaited.append(departed.flight)
        else:
            self._down(departed.flight)

    def take_in_first(self) -> None:
        """The answers that are there of the oldest; asked after each signal of a burst."""
        while self._awaited and self._awaited[0].answering:
            self._receive(self._awaited.pop(0))

    def take_in(self) -> None:
        """All answers that are there; waits for none."""
        for flight in tuple(self._awaited):
            if flight.answering:
                self._awaited.remove(flight)
                self._receive(flight)

    def _receive(self, flight: Flight) -> None:
        try:
            flight.receive()
        finally:
            self._down(flight)

    def _down(self, flight: Flight) -> None:
        self._space.leave()
        self.troubled = self.troubled or flight.troubled

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
