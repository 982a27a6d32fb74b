"""``signalpaca shadow``: what a dry run beside the real service decided differently."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from solution.commands.common import FAILED, echo_json, json_option, reader_of, settings_of, table
from solution.commands.orders import at
from solution.commands.since import since_time
from solution.config import Settings
from solution.trading.recovery import ACCOUNT
from solution.trading.shadow import KINDS, Decided, Difference, Pair, Rows, compare

HEAD = ("AT", "SYMBOL", "DIFFERS IN", "REAL", "SHADOW", "SIGNAL")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also what is the same in both.")
@click.option(
    "--since",
    callback=since_time,
    default="24h",
    metavar="TIME",
    help="Signals published from then on: 90m, 24h (default), 7d, or a time.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=1_000,
    help="Newest signals of each ledger; default 1000.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=0.0,
    metavar="PERCENT",
    help="Sizes and limit prices this close count as the same; default 0.",
)
@json_option
@click.pass_obj
def shadow(
    overrides: Mapping[str, str],
    *,
    everything: bool,
    since: datetime,
    limit: int,
    tolerance: float,
    as_json: bool,
) -> None:
    """Compare the dry run's ledger with the real one, signal by signal; asks nobody else.

    Exit code 0: both decided the same; 1: something differs, or there is nothing to compare.
    """
    given = dict(overrides or {})
    real = settings_of({**given, "DRY_RUN": "false"})
    dry = settings_of({**given, "DRY_RUN": "true"})
    found = compare(
        _rows(real, limit),
        _rows(dry, limit),
        since_ms=int(since.timestamp() * 1000),
        tolerance=Decimal(str(tolerance)) / 100,
    )
    if as_json:
        echo_json(as_object(found, real, dry, everything=everything))
    else:
        _show(found, real, dry, everything=everything)
    if found.differing or not found.pairs:
        raise click.exceptions.Exit(FAILED)


def _rows(settings: Settings, limit: int) -> Rows:
    with reader_of(settings) as reader:
        bound = reader.written_at(ACCOUNT)
        return Rows(
            reader.list_intents(limit),
            reader.list_dead_letters(limit),
            frozenset(reader.list_repeats()),
            int(datetime.fromisoformat(bound).timestamp() * 1000) if bound else 0,
        )


def as_object(
    found: Difference, real: Settings, dry: Settings, *, everything: bool
) -> dict[str, Any]:
    """The difference as JSON values."""
    shown = found.pairs if everything else found.differing
    return {
        "same": bool(found.pairs) and not found.differing,
        "real": real.ledger.name,
        "shadow": dry.ledger.name,
        "from": at(found.from_ms) or None,
        "to": at(found.to_ms) or None,
        "compared": len(found.pairs),
        "differing": len(found.differing),
        "counts": found.counts(),
        "signals": [
            {
                "signal": pair.either.signal,
                "published_at": at(pair.either.at_ms),
                "symbol": _symbol(pair),
                "differs_in": list(pair.kinds),
                "real": _facts(pair.real),
                "shadow": _facts(pair.shadow),
            }
            for pair in shown
        ],
    }


def _facts(decided: Decided | None) -> dict[str, Any] | None:
    if decided is None:
        return None
    size = None if decided.size is None else format(decided.size, "f")
    return {
        "what": decided.what,
        "reason": decided.reason or None,
        "message": decided.message or None,
        "side": decided.side or None,
        "qty": None if decided.is_amount else size,
        "notional": size if decided.is_amount else None,
        "limit_price": _text(decided.price),
        "assumed_price": _text(decided.assumed),
        "filled_qty": format(decided.filled, "f"),
        "filled_avg_price": _text(decided.paid),
    }


def _text(price: Decimal | None) -> str | None:
    return None if price is None else format(price, "f")


def _symbol(pair: Pair) -> str:
    symbols = [decided.symbol for decided in (pair.real, pair.shadow) if decided is not None]
    return next(filter(None, symbols), "")


def _show(found: Difference, real: Settings, dry: Settings, *, everything: bool) -> None:
    click.echo(f"real    {real.ledger.name}\nshadow  {dry.ledger.name}")
    if not found.pairs:
        click.echo("nothing to compare: no signal of this time is in both ledgers", err=True)
        return
    click.echo(f"signals published from {at(found.from_ms)} on")
    shown = found.pairs if everything else found.differing
    if shown:
        click.echo("")
        click.echo(table(HEAD, [_row(pair) for pair in shown]))
        click.echo("")
    differing = len(found.differing)
    click.echo(f"{len(found.pairs)} compared, {len(found.pairs) - differing} the same")
    for kind, count in found.counts().items():
        click.echo(f"{count} {kind}: {KINDS[kind]}")


def _row(pair: Pair) -> tuple[str, ...]:
    return (
        at(pair.either.at_ms).replace("T", " ")[:19],
        _symbol(pair),
        ", ".join(pair.kinds) or "same",
        _words(pair.real),
        _words(pair.shadow),
        pair.either.signal,
    )


def _words(decided: Decided | None) -> str:
    """``sent buy 10 limit 135.2, 10 at 135.1``."""
    if decided is None:
        return "not decided"
    if not decided.sends:
        return f"{decided.what} {decided.reason}".strip()
    size = "" if decided.size is None else f"{'$' if decided.is_amount else ''}{decided.size:f}"
    words = [decided.what, decided.side, size]
    if decided.price is not None:
        words += ["limit", f"{decided.price:f}"]
    shown = " ".join(filter(None, words))
    if decided.paid is not None:
        return f"{shown}, {decided.filled:f} at {decided.paid:f}"
    return f"{shown} on {decided.assumed:.2f}" if decided.assumed is not None else shown
