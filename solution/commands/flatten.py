"""``signalpaca flatten``: close positions, and tell what came of it until everything is closed."""

import functools
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import click

from solution.clock import Deadline, SystemClock
from solution.commands.common import (
    FAILED,
    Failed,
    Seconds,
    WrongUsage,
    clean,
    echo_json,
    json_option,
    reader_of,
    redis_of,
    say,
    settings_of,
)
from solution.config import Settings
from solution.domain.flattening import PREFIX, Flattening, flattening_of, words_of
from solution.errors import ConfigError, LedgerError
from solution.ledger import beside
from solution.ledger.reader import LedgerReader
from solution.ui.snapshot import read_all

WAIT = 60.0
TAKEN_UP_WITHIN = 5.0
"""Seconds; the service looks for requests twice a second."""
LOOK_EVERY = 0.2
LEFT_EVERY = 2.0
"""Seconds between two lines about what is left."""
WAITS = "the market is closed"
"""What the reason of a position begins with that no waiting of ours will close."""


@click.command()
@click.argument("ticker", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    type=Seconds(1, 86_400),
    default=WAIT,
    metavar="SECONDS",
    help=f"How long to follow it; {WAIT:g} s. The service goes on after that.",
)
@click.option("--withdraw", is_flag=True, help="Take back every request that is not done.")
@json_option
@click.pass_obj
def flatten(
    overrides: Mapping[str, str],
    *,
    ticker: str | None,
    yes: bool,
    wait: float,
    withdraw: bool,
    as_json: bool,
) -> None:
    """Cancel what rests and close the position in TICKER, or every position of the account.

    The running service does it, also while orders are stopped, and signals may not open again
    what was closed until `signalpaca resume`. Exit code 0 says that everything is closed.
    """
    settings = settings_of(overrides)
    if ticker is not None and not ticker.strip():  # an unset variable is not meant for all
        raise WrongUsage("TICKER is empty; leave it out to close every position")
    if withdraw:
        _withdraw(settings, as_json=as_json)
        return
    _confirm(settings, ticker, yes=yes)
    request = _ask(settings, ticker)
    told: Callable[[str], None] = (lambda _: None) if as_json else say
    told(f"flatten {request.id}: asked for")
    running, trouble = _instances(settings)
    if trouble:
        say(f"whether an instance runs cannot be told: {trouble}", err=True)
    found = Followed(request, taken_up=False)
    if running or trouble:
        found = follow(settings, request, Deadline(wait), told)
    if as_json:
        echo_json({**told_of(found.request), "taken_up": found.taken_up, "instances": running})
    _conclude(settings, found, wait, told)


# --- asking -----------------------------------------------------------------------------------


def _confirm(settings: Settings, ticker: str | None, *, yes: bool) -> None:
    """On a terminal only: what is asked for there may be a slip of the hand."""
    if yes or not is_terminal():
        return
    what = f"the position in {ticker.upper()}" if ticker else "EVERY position of the account"
    where = settings.broker.trading_url
    if not click.confirm(f"Cancel what rests and close {what} at {where}?", err=True):
        raise Failed("nothing was asked for")


def is_terminal() -> bool:
    """Whether somebody sits there who can answer."""
    return sys.stdin.isatty()


def _ask(settings: Settings, ticker: str | None) -> Flattening:
    """Write the request; durable on return."""
    clock = SystemClock()
    request = Flattening(
        id=f"{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        symbols=(ticker.strip().upper(),) if ticker else (),
        why="signalpaca flatten",
        at_ms=clock.epoch_ms(),
    )
    _in_ledger(settings, lambda url: beside.keep(url, {request.key: request.to_json()}))
    return request


def _in_ledger(settings: Settings, run: Callable[[str], None]) -> None:
    try:
        with reader_of(settings):  # a ledger that is missing is told, and not made
            pass
        run(settings.ledger.url)
    except ConfigError as e:
        raise WrongUsage(f"configuration: {clean(settings, e)}") from None
    except LedgerError as e:
        raise Failed(f"ledger: {clean(settings, e)}") from None


def _withdraw(settings: Settings, *, as_json: bool) -> None:
    """What was sent is not thereby undone, and signals stay restricted."""
    with reader_of(settings) as reader:
        found = [r for r in map(_read, reader.states(PREFIX).items()) if r and not r.done_ms]
    for request in found:
        _in_ledger(settings, functools.partial(_forget, request.key))
    if as_json:
        echo_json({"withdrawn": [request.id for request in found]})
        return
    for request in found:
        say(f"flatten {request.id}: withdrawn; orders that were sent are not taken back")
    if not found:
        say("no request to flatten stands")


def _forget(key: str, url: str) -> None:
    beside.forget(url, lambda found: found == key)


def _read(row: tuple[str, str]) -> Flattening | None:
    try:
        return flattening_of(row[0].removeprefix(PREFIX), row[1])
    except ValueError:
        return None


def _instances(settings: Settings) -> tuple[list[str], str]:
    """The running instances; what is wrong where nobody can tell."""
    try:
        with redis_of(settings) as client:
            return sorted(read_all(client, settings.redis.group)), ""
    except Failed as e:
        return [], e.message


# --- following --------------------------------------------------------------------------------


@dataclass(slots=True)
class Followed:
    """The request as it stood last; ``withdrawn``: its row is gone."""

    request: Flattening
    taken_up: bool
    withdrawn: bool = False

    @property
    def is_flat(self) -> bool:
        """Whether everything is closed."""
        return bool(self.request.done_ms) and self.request.flat

    @property
    def only_waits(self) -> bool:
        """Whether nothing is left but what the next session will close."""
        left = self.request.left.values()
        return bool(left) and all(one.why.startswith(WAITS) for one in left)


def follow(
    settings: Settings, request: Flattening, deadline: Deadline, tell: Callable[[str], None]
) -> Followed:
    """Until it is done, waits for the market, or the time is up."""
    tick, teller = threading.Event(), _Teller(tell)
    found, taken_up = Followed(request, taken_up=False), Deadline(TAKEN_UP_WITHIN)
    with reader_of(settings) as reader:
        while True:
            _look(settings, reader, found)
            teller.tell(found.request)
            ended = bool(found.request.done_ms) or found.withdrawn or found.only_waits
            if ended or deadline.passed() or (not found.taken_up and taken_up.passed()):
                return found
            tick.wait(LOOK_EVERY)


def _look(settings: Settings, reader: LedgerReader, found: Followed) -> None:
    try:
        text = reader.get_state(found.request.key)
    except LedgerError as e:
        raise Failed(f"ledger: {clean(settings, e)}; the request stands in it") from None
    if text is None:
        found.withdrawn = True
        return
    found.request = flattening_of(found.request.id, text)
    found.taken_up = found.request.restricted or bool(found.request.done_ms)


class _Teller:
    """A line for each end of an order, and now and then one about what is left."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()
        self._left = ""
        self._pause = Deadline(LEFT_EVERY)

    def tell(self, request: Flattening) -> None:
        for order_id, resting in request.cancelled.items():
            if resting.end:
                words = f"order to {resting.side} {resting.qty} {resting.end}"
                self._once(order_id, f"{resting.symbol}: {words}")
        for coid, order in request.orders.items():
            if order.over:
                words = f"{order.symbol}: {order.side} {order.qty} {order.state}"
                self._once(coid, f"{words}, {order.filled} filled, {coid}")
        left = "; ".join(words_of(request.left))
        if left and left != self._left and self._pause.passed() and not request.done_ms:
            self._say(f"left: {left}")
            self._left, self._pause = left, Deadline(LEFT_EVERY)

    def _once(self, key: str, words: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._say(words)


def told_of(request: Flattening) -> dict[str, object]:
    """For ``--json``."""
    return {
        "flatten": request.id,
        "symbols": list(request.symbols),
        "done": bool(request.done_ms),
        "flat": request.flat,
        "cancelled": {k: asdict(v) for k, v in request.cancelled.items()},
        "orders": {k: asdict(v) for k, v in request.orders.items()},
        "left": {k: asdict(v) for k, v in request.left.items()},
    }


def _conclude(
    settings: Settings, found: Followed, wait: float, tell: Callable[[str], None]
) -> None:
    request = found.request
    if found.is_flat:
        tell(flat_words(request))
        return
    for words in words_of(request.left):
        say(f"left: {words}", err=True)
    say(why_not(settings, found, wait), err=True)
    raise click.exceptions.Exit(FAILED)


def flat_words(request: Flattening) -> str:
    """What came of a request that is done."""
    closed = len({order.symbol for order in request.orders.values()})
    return f"flat: {closed} positions closed, {len(request.cancelled)} orders cancelled"


def why_not(settings: Settings, found: Followed, wait: float) -> str:
    """Why not everything is closed, and what to do."""
    if found.withdrawn:
        return "not flat: the request was withdrawn"
    if found.request.done_ms:
        return "not flat: the service has given up what is left"
    if not found.taken_up:
        return (
            f"NOTHING WAS CLOSED: no instance of group {settings.redis.group} runs on this ledger. "
            "The request stays there and is carried out at the next start: start the service now, "
            "or close at the broker's own page and take the request back with "
            "`signalpaca flatten --withdraw`"
        )
    if found.only_waits:
        return "not flat yet: the service closes what is left when the market opens"
    return f"not flat after {wait:g} s: the service goes on; see `signalpaca status`"
