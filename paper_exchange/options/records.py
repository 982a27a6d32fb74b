"""What is written down: the state, the order log, the program's own log."""

from pathlib import Path

import click

from paper_exchange.options.groups import together, under

_option = under("Files and logs")

records = together(
    _option(
        "--state",
        default=None,
        type=click.Path(dir_okay=False, path_type=Path),
        show_default=False,
        help="Keep everything in this file over restarts.",
    ),
    _option(
        "--keep-closed",
        default=1_000,
        type=click.IntRange(min=0),
        help="Closed orders in memory; older ones are kept on disk.",
    ),
    _option(
        "--order-log",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help="Write every event of every order to this file, one JSON object a line.",
    ),
    _option(
        "--log-level",
        default="warning",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        help="The least that is logged to stderr.",
    ),
)
