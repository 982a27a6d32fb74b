"""``signalpaca config``: what every setting is here, and where it came from."""

from collections.abc import Mapping

import click

from solution.commands.common import echo_json, json_option, say, settings_of, table
from solution.config import effective


@click.command()
@click.option("--given", is_flag=True, help="Only what is not a default.")
@json_option
@click.pass_obj
def config(overrides: Mapping[str, str], *, given: bool, as_json: bool) -> None:
    """Show the effective settings and their source; secrets are masked."""
    settings = settings_of(overrides)
    rows = [row for row in effective(settings) if not given or row.source != "default"]
    if as_json:
        echo_json(
            {
                "settings": [row._asdict() for row in rows],
                "warnings": list(settings.warnings),
            }
        )
        return
    click.echo(table(("SETTING", "VALUE", "SOURCE"), [row[:3] for row in rows]))
    for warning in settings.warnings:
        say(f"warning: {warning}", err=True)
