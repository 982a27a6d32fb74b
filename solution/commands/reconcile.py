"""``signalpaca reconcile``: the ledger against the broker, in a handful of requests."""

from collections.abc import Mapping
from datetime import datetime

import click

from solution.alpaca_api_client import AlpacaAPIClient
from solution.commands.broker import account_of, broker_of
from solution.commands.common import (
    FAILED,
    Failed,
    broker_trouble,
    echo_json,
    json_option,
    reader_of,
    say,
    settings_of,
    table,
)
from solution.commands.since import since_time
from solution.config import Settings
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX, deployment_id
from solution.errors import BrokerError
from solution.ledger import halts
from solution.ledger.reader import LedgerReader
from solution.trading.comparison import Comparison
from solution.ui import comparison_text
from solution.ui.comparison_text import Report

HEAD = ("WHAT", "SYMBOL", "LEDGER", "BROKER", "ORDER")


@click.command()
@click.option(
    "--since",
    callback=since_time,
    default="24h",
    metavar="TIME",
    help="Ended orders are compared from then on: 90m, 24h (default), 7d, or a time.",
)
@click.option(
    "--positions/--no-positions",
    "with_positions",
    default=True,
    help="Whether positions count: not, where others trade on the account too.",
)
@json_option
@click.pass_obj
def reconcile(
    overrides: Mapping[str, str], *, since: datetime, with_positions: bool, as_json: bool
) -> None:
    """Compare the ledger with the broker: orders, fills, positions. Changes nothing.

    Works while the service runs, and shares the account's rate limit with it: about five requests.
    Exit code 1 when something differs or is unresolved.
    """
    settings = settings_of(overrides)
    with broker_of(settings) as client, reader_of(settings) as reader:
        try:
            report = _report(settings, reader, client, since, with_positions=with_positions)
        except BrokerError as e:
            raise Failed(f"not compared: {broker_trouble(settings, e)}") from None
    if as_json:
        echo_json(comparison_text.as_object(report))
    else:
        _show(report)
    if report.result.differences:
        raise click.exceptions.Exit(FAILED)


def _report(
    settings: Settings,
    reader: LedgerReader,
    client: AlpacaAPIClient,
    since: datetime,
    *,
    with_positions: bool,
) -> Report:
    account = account_of(settings, reader, client)
    deployment = deployment_id(str(account["id"]), settings.redis.group)
    prefix = f"{CLIENT_ORDER_ID_PREFIX}-{deployment}-"
    comparison = Comparison(
        reader, client, prefix=prefix, since=since, with_positions=with_positions
    )
    result = comparison.run()
    equity = reader.list_equity(1)
    return Report(
        ledger=str(settings.ledger.path or settings.ledger.name),
        broker=settings.broker.trading_url,
        account=account,
        since=since,
        result=result,
        halted=halts.listed(reader),
        equity=equity[0] if equity else None,
        requests=result.requests + 1,
    )


def _show(report: Report) -> None:
    for line in comparison_text.lines_of(report):
        say(line)
    differences = report.result.differences
    click.echo("")
    if not differences:
        click.echo(click.style("ledger and broker agree", fg="green"))
        return
    click.echo(table(HEAD, comparison_text.rows_of(differences)))
    click.echo("")
    for line in comparison_text.meanings_of(differences):
        click.echo(line)
