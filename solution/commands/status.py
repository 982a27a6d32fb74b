"""``signalpaca status``: what every running instance says of itself."""

from collections.abc import Mapping

import click

from solution.commands.common import FAILED, echo_json, json_option, redis_of, say, settings_of
from solution.ui.reading import is_live
from solution.ui.snapshot import read_all
from solution.ui.text import text_lines


@click.command()
@json_option
@click.pass_obj
def status(overrides: Mapping[str, str], *, as_json: bool) -> None:
    """Show every running instance; exit code 1 when none runs."""
    settings = settings_of(overrides)
    group = settings.redis.group
    with redis_of(settings) as client:
        found = read_all(client, group)
    if as_json:
        echo_json({"group": group, "instances": dict(found)})
    else:
        for name in sorted(found):
            title, *lines = text_lines(found[name])
            red = "red" if is_live(found[name]) else None
            click.echo("\n".join([click.style(title, bold=True, bg=red), *lines]))
    if not found:
        say(f"no instance of group {group} runs on {settings.redis.shown_url}", err=True)
        raise click.exceptions.Exit(FAILED)
