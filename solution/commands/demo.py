"""``signalpaca demo``: everything on this machine; needs no Redis, no keys and no network."""

from pathlib import Path

import click

from solution.commands.common import DONE, Failed, Seconds
from solution.demo.processes import DemoError
from solution.demo.redis_server import KINDS
from solution.demo.run import Options, run_demo
from solution.demo.stack import PACE, Plan

SECONDS = 30.0


@click.command()
@click.option("--seconds", type=Seconds(1, 3600), help=f"Default {SECONDS:g}.")
@click.option("--signals", type=click.IntRange(1, 100_000), help="Default: 3 a second.")
@click.option("--seed", type=int, default=7, show_default=True, help="Same signals and prices.")
@click.option("--workers", type=click.IntRange(1, 256), default=8, show_default=True)
@click.option(
    "--redis", "redis_kind", type=click.Choice(KINDS), default="auto", help="Which Redis to start."
)
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep ledger and logs there."
)
@click.option("--plain", is_flag=True, help="Plain lines also on a terminal.")
def demo(
    *,
    seconds: float | None,
    signals: int | None,
    seed: int,
    workers: int,
    redis_kind: str,
    keep: Path | None,
    plain: bool,
) -> None:
    """Run Redis, exchange, generator and service here, and count what happened.

    Exit code 0 only if every signal ended exactly once.
    """
    if signals is None:
        seconds = seconds or SECONDS
        signals = max(1, round(seconds * PACE))
    plan = Plan(signals=signals, seconds=seconds or signals / PACE, seed=seed, workers=workers)
    try:
        code = run_demo(Options(plan=plan, redis_kind=redis_kind, keep=keep, plain=plain))
    except DemoError as e:
        raise Failed(f"demo: {e}") from None
    if code != DONE:
        raise click.exceptions.Exit(code)
