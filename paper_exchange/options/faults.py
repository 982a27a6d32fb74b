"""Faults that are in force from the start."""

import click

from paper_exchange.faults.spec import Spec, parse_text
from paper_exchange.faults.values import BadFault
from paper_exchange.options.groups import together, under

_option = under("Faults")


def _faults(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[Spec, ...]:
    try:
        return tuple(parse_text(value) for value in values)
    except BadFault as bad:
        raise click.BadParameter(str(bad)) from None


faults = together(
    _option(
        "--fault",
        "faults",
        multiple=True,
        callback=_faults,
        help='A fault on demand, such as "POST /v2/orders: reset_after p=0.1"; repeatable.',
    ),
)
