"""Options in groups: each is one decorator, and ``--help`` shows each under its heading."""

from collections.abc import Callable
from functools import partial
from math import isnan
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

_OTHERS = "Other options"


class _Option(click.Option):
    """An option that knows its heading."""

    def __init__(self, *args: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.heading = heading


class Number(click.FloatRange):
    """A number between two bounds, both included; ``nan`` is beyond any bound."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuse what is not within the bounds."""
        number = float(super().convert(value, param, ctx))
        if isnan(number):
            self.fail(f"{value!r} is not in the range {self.min}<=x<={self.max}.", param, ctx)
        return number


class GroupedCommand(click.Command):
    """Shows its options under their headings, in the order of their decorators."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all options into the help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                heading = option.heading if isinstance(option, _Option) else _OTHERS
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def under(heading: str) -> Callable[..., Any]:
    """``click.option`` for the options of one heading."""
    return partial(click.option, cls=_Option, heading=heading)


def together(*options: Decorator[Any]) -> Callable[[Command], Command]:
    """Several options as one decorator; they are shown in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def listed(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated list, without empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
