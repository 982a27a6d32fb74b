"""All probes in one run, which leaves nothing behind however it ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from solution.alpaca_api_client import AlpacaAPIClient
from solution.broker_client import client_of
from solution.clock import Clock
from solution.config import Settings
from solution.errors import BrokerError, RateLimited, Rejected, StartupError, Unauthorized
from solution.feeds.price_poller import quotes_from_snapshots
from solution.probe import answers, orders, streams
from solution.probe.assumptions import UNTRIED
from solution.probe.bench import Bench, MustStop, half_of
from solution.probe.ears import Ears
from solution.probe.finding import Finding, untested
from solution.probe.judging import judge, words

WITHIN = 5.0
"""Seconds that a broker may take for what it has promised."""

Tell = Callable[[Finding], None]
Uninterrupted = Callable[[Callable[[], list[str]]], list[str]]
"""Calls what it is given, and no signal ends that half-way; after one signal there is no other."""
Steps = tuple[tuple[tuple[str, ...], Callable[[], Iterator[Finding]]], ...]
"""Names of assumptions, and what tries them."""


@dataclass
class Outcome:
    """How a run ended.

    Args:
        findings: in the order of telling.
        left: orders that could not be cancelled, one line each.
        interrupted: by Ctrl-C or SIGTERM.
    """

    findings: list[Finding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    interrupted: bool = False


def run(
    settings: Settings,
    clock: Clock,
    *,
    symbol: str,
    tell: Tell,
    uninterrupted: Uninterrupted,
    within: float = WITHIN,
) -> Outcome:
    """Try every assumption on the account that the keys open.

    Args:
        settings: of a paper account, see :func:`solution.probe.paper_only.refusal`.
        symbol: what the orders are for.
        tell: called with each finding as it comes.
        uninterrupted: calls what cleans up.
        within: seconds that the broker may take for what it has promised.

    Raises:
        StartupError: no account, no market or no price, so nothing was sent.
    """
    broker, outcome = settings.broker, Outcome()
    headers: dict[str, str] = {}

    def observe(_status: int, received: Mapping[str, str]) -> None:
        headers.clear()
        headers.update(received)

    def told(finding: Finding) -> None:
        outcome.findings.append(finding)
        tell(finding)

    client = client_of(broker, clock, on_headers=observe, user_agent="signalpaca-probe")
    with closing(client), Ears(broker, clock, within=within) as ears:
        bench = _bench(client, clock, symbol, within)
        try:
            left = uninterrupted(bench.clean_up)  # of a probe that was killed
            if left:
                raise StartupError(f"an earlier probe's orders cannot be cancelled: {left[0]}")
            steps = _steps(bench, ears, headers, lambda: Ears(broker, clock, within=within))
            _try_all(steps, told)
        except KeyboardInterrupt:
            outcome.interrupted = True
        finally:
            outcome.left = _cleaned(bench, uninterrupted)
    return outcome


def _cleaned(bench: Bench, uninterrupted: Uninterrupted) -> list[str]:
    """A signal in the moment before it cannot be interrupted must not prevent it."""
    try:
        return uninterrupted(bench.clean_up)
    except KeyboardInterrupt:
        return uninterrupted(bench.clean_up)


def _bench(client: AlpacaAPIClient, clock: Clock, symbol: str, within: float) -> Bench:
    try:
        market = client.clock()
        quotes = quotes_from_snapshots(client.snapshots([symbol]), clock.monotonic())
    except Unauthorized as e:
        raise StartupError(f"the broker does not accept the keys: {e.message}") from e
    except BrokerError as e:
        raise StartupError(f"nothing was sent, the broker does not answer: {e}") from e
    quote = quotes.get(symbol)
    price = half_of(quote.bid, quote.ask, quote.last) if quote else None
    if price is None:
        raise StartupError(f"nothing was sent: {symbol} has no price that could cap an order's")
    return Bench(
        client,
        clock,
        symbol=symbol,
        price=price,
        market_at=_instant(market),
        is_open=market.get("is_open") is True,
        within=within,
    )


def _instant(market: Mapping[str, Any]) -> datetime:
    try:
        at = datetime.fromisoformat(str(market.get("timestamp")))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise StartupError("nothing was sent: the broker's clock names no readable time")
    return at


def _steps(
    bench: Bench, ears: Ears, headers: Mapping[str, str], another: Callable[[], Ears]
) -> Steps:
    ioc = ("ioc while open", "ioc while closed")
    first, other = ioc if bench.is_open else reversed(ioc)
    return (
        (("account fields", "rate headers"), lambda: answers.answers(bench, headers)),
        (("unknown order", "cancel of an unknown order"), lambda: answers.unknown_orders(bench)),
        (("unknown time in force", "malformed request"), lambda: answers.refusals(bench)),
        (
            ("order stream", "second order stream"),
            lambda: streams.connections(bench, ears, another),
        ),
        ((first, "ioc ends at once", other), lambda: orders.ioc(bench)),
        (("fok",), lambda: orders.fok(bench)),
        (orders.DAY, lambda: orders.day_order(bench, ears)),
        (("extended hours, day", "extended hours, ioc"), lambda: orders.extended_hours(bench)),
        (("opg", "cls"), lambda: orders.auctions(bench)),
        (("bracket legs",), lambda: orders.bracket(bench)),
    )


def _try_all(steps: Steps, told: Tell) -> None:
    stopped = ""
    for names, step in steps:
        if stopped:
            _untried(names, stopped, told)
        else:
            stopped = _try(names, step, told)
    for name, why in UNTRIED.items():
        told(untested(name, why))


def _try(names: Sequence[str], step: Callable[[], Iterator[Finding]], told: Tell) -> str:
    """One step; what it could not try any more is told as untested.

    Returns:
        why no further step may be tried, or nothing.
    """
    left, stopped = list(names), ""
    try:
        for finding in step():
            left.remove(finding.name)
            told(finding)
    except MustStop as e:
        stopped = f"no further order was sent: {e}"
        _untried(left, stopped, told)
    except RateLimited as e:
        stopped = f"the rate limit is used up ({e})"
        _untried(left, stopped, told)
    except Rejected as e:
        first, *rest = left
        told(judge(first, holds=False, seen=words(e)))
        _untried(rest, f"because of that ({first})", told)
    except BrokerError as e:
        _untried(left, f"no verdict: {words(e)}", told)
    return stopped


def _untried(names: Sequence[str], why: str, told: Tell) -> None:
    for name in names:
        told(untested(name, why))
