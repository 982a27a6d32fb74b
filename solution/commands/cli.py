"""The root command: without a sub-command it runs the service."""

import importlib

import click

from solution import __version__, parent

COMMANDS: dict[str, tuple[str, str]] = {
    "breaker": ("breaker", "The circuit breaker: status, reset."),
    "check": ("check", "Check everything the service needs; sends no order."),
    "config": ("config", "Show the effective settings and their source."),
    "dead-letters": ("dead_letters", "Entries that were no valid signals: list, show, retry."),
    "demo": ("demo", "Run everything on this machine and count what happened."),
    "flatten": ("flatten", "Cancel what rests and close positions."),
    "kill": ("kill", "Stop all new orders."),
    "lint": ("lint", "Check signals in a file; asks nobody."),
    "orders": ("orders", "Signals and their orders, from the ledger."),
    "publish": ("publish", "Publish one signal."),
    "reconcile": ("reconcile", "Compare the ledger with the broker."),
    "reduce-only": ("reduce_only", "Send only orders that shrink a position."),
    "resume": ("resume", "Send orders again."),
    "shadow": ("shadow", "What a dry run beside the service decided differently."),
    "status": ("status", "Show every running instance."),
    "top": ("top", "Follow the running instances."),
    "why": ("why", "What became of one signal, stage by stage."),
}
"""Sub-command name → (module below ``solution.commands``, one line of help)."""

FOR_PROGRAMS = {"serve-redis": "serve_redis"}
"""Sub-commands that other programs start, in no help: name → module."""
GRACE = 5.0
"""Seconds that those outlive the program that started them."""


class _Lazy(click.Group):
    """Imports a sub-command's module only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS and cmd_name not in FOR_PROGRAMS:
            return None
        name = FOR_PROGRAMS.get(cmd_name) or COMMANDS[cmd_name][0]
        module = importlib.import_module(f"solution.commands.{name}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Help from the table above, so that ``--help`` imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=_Lazy, invoke_without_command=True)
@click.option("-w", "--workers", type=click.IntRange(1, 256), help="Worker threads (WORKERS).")
@click.option("--dry-run", is_flag=True, help="Everything but the POST (DRY_RUN).")
@click.option("--ordering", type=click.Choice(["asset", "none"]), help="Order of signals.")
@click.option(
    "-s", "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any setting."
)
@click.option("--parent", "parent_pid", type=int, hidden=True, help="End when it ends.")
@click.version_option(__version__, prog_name="signalpaca")
@click.pass_context
def main(
    ctx: click.Context,
    *,
    workers: int | None,
    dry_run: bool,
    ordering: str | None,
    assignments: tuple[str, ...],
    parent_pid: int | None,
) -> None:
    """Turn trading signals from a Redis stream into orders at Alpaca, one order per signal.

    Without a command, runs the service.
    """
    overrides = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise click.UsageError(f"--set takes NAME=VALUE, got {assignment!r}")
        overrides[name.upper()] = value
    if workers is not None:
        overrides["WORKERS"] = str(workers)
    if dry_run:
        overrides["DRY_RUN"] = "true"
    if ordering is not None:
        overrides["ORDERING"] = ordering
    ctx.obj = overrides
    if parent_pid is not None:
        # The service needs its Redis until it has ended.
        helps = ctx.invoked_subcommand in FOR_PROGRAMS
        parent.end_with(parent_pid, grace=GRACE if helps else 0.0)
    if ctx.invoked_subcommand is None:
        from solution.commands.run import exit_with, run_service

        exit_with(run_service(overrides))
