"""What goes wrong at the broker, and how often: tables, drawn by seed.

A draw depends on the seed, on the order's own content and on how often that order was asked for,
not on the moment: the same seed gives the same order the same fate however the threads run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one request.

    Args:
        name: as it is counted.
        accepts: whether the broker acts on it.
        late: seconds after which it acts, when not at once.
        answer: ``true``, ``none`` (the connection ends), ``reset``, ``cut``, ``empty``, ``never``,
            or an HTTP status with a body of the machines in between.
        delay: seconds before the answer.
    """

    name: str
    accepts: bool = True
    late: float = 0.0
    answer: str = "true"
    delay: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether the client learns less than the truth, or learns it late."""
        return self.name != "good"


GOOD = Fault("good")

POSTS: Mapping[Fault, int] = {
    GOOD: 540,
    Fault("accepted, then lost", answer="none"): 65,
    Fault("accepted, then reset", answer="reset"): 50,
    Fault("lost before", accepts=False, answer="none"): 45,
    Fault("reset before", accepts=False, answer="reset"): 35,
    Fault("500, accepted", answer="500"): 25,
    Fault("500, not accepted", accepts=False, answer="500"): 20,
    Fault("502 HTML, accepted", answer="502"): 25,
    Fault("502 HTML, not accepted", accepts=False, answer="502"): 20,
    Fault("504, accepted", answer="504"): 25,
    Fault("504, accepted 0.4 s later", answer="504", late=0.4): 20,
    Fault("504, accepted 2.6 s later", answer="504", late=2.6): 20,
    Fault("429", accepts=False, answer="429"): 10,
    Fault("cut-off JSON", answer="cut"): 40,
    Fault("empty 200", answer="empty"): 20,
    Fault("slow", delay=0.3): 35,
    Fault("silent", answer="never"): 5,
}
"""Fates of ``POST /v2/orders`` and their weights."""

ASKS: Mapping[Fault, int] = {
    GOOD: 900,
    Fault("question lost", accepts=False, answer="none"): 30,
    Fault("question: 500", accepts=False, answer="500"): 25,
    Fault("question: 502 HTML", accepts=False, answer="502"): 20,
    Fault("question: cut-off JSON", answer="cut"): 15,
    Fault("question: slow", delay=0.2): 10,
}
"""Fates of questions about one order, of cancels, and of lists."""

EVENTS: Mapping[str, int] = {
    "sent": 840,
    "dropped": 40,
    "doubled": 40,
    "delayed": 40,
    "reordered": 30,
    "disconnected": 7,
    "silent from here": 3,
}
"""Fates of one message of the order stream."""


def post_fault(seed: str, order: str, attempt: int) -> Fault:
    """The fate of an order's nth POST."""
    return _draw(f"{seed}/post/{order}/{attempt}", POSTS)


def ask_fault(seed: str, number: int) -> Fault:
    """The fate of the nth question."""
    return _draw(f"{seed}/ask/{number}", ASKS)


def event_fate(seed: str, order: str, event: str) -> str:
    """The fate of one event of one order."""
    draw = Random(f"{seed}/event/{order}/{event}")
    return draw.choices(list(EVENTS), list(EVENTS.values()))[0]


def _draw(key: str, table: Mapping[Fault, int]) -> Fault:
    return Random(key).choices(list(table), list(table.values()))[0]
