"""The page's view of fault rules: what there is to choose from, and what is in force."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FaultKind:
    """Something that can go wrong.

    Attributes:
        name: as a rule names it, for example ``latency``.
        place: what it can go wrong with, for example ``request``.
        options: the names of what can be set; those that must be come first.
        required: how many of the options must be set.
    """

    name: str
    place: str
    options: tuple[str, ...] = ()
    required: int = 0


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A rule in force.

    Attributes:
        options: ``name=value`` words, for example ``p=0.5 ms=100``.
        hits: how often it has struck, out of ``matched`` times that it could have.
    """

    id: str
    target: str
    kind: str
    options: str
    hits: int
    matched: int


@dataclass(frozen=True, slots=True)
class FaultState:
    """All that the page shows about faults."""

    kinds: tuple[FaultKind, ...] = ()
    #: Options that every rule takes.
    common: tuple[str, ...] = ()
    rules: tuple[FaultRule, ...] = ()


#: What the form proposes to hit; anything else can be typed.
TARGETS = (
    "POST /v2/orders",
    "GET /v2/orders*",
    "DELETE /v2/orders*",
    "GET /v2/positions*",
    "GET /v2/account",
    "* /v2/*",
    "stream",
    "data",
    "orders",
)
