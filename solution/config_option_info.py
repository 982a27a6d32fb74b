"""What one setting is made of: its name, default, meaning and rule, as one field carries them."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from solution import config_values as rule
from solution.config_urls import HTTP_URL, WS_URL

OPTIONAL_HTTP_URL = rule.optional(HTTP_URL)
OPTIONAL_WS_URL = rule.optional(WS_URL)
NAME = rule.optional(
    rule.pattern(r"[A-Za-z0-9_.:-]{1,64}", "1 to 64 letters, digits, '_', '.', ':' or '-'")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionInfo:
    """One row of the reference: what can be said of a setting without reading any value."""

    name: str
    default: str
    """As a user would write it; empty = unset."""
    description: str
    allowed: str
    section: str
    parse: Any
    shown_default: str = ""
    """What the reference shows in place of a default that is computed."""
    aliases: tuple[str, ...] = ()
    secret: bool = False
    """Also read from the file named by NAME_FILE, and never shown."""
    keeps_empty: bool = False
    """An empty value means something; for every other setting it means the default."""
    missing: str = ""
    """The part of the product this version lacks, for an option that is not built yet.

    Such an option's default means off: what is not there must not look as if it were on.
    """

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @property
    def is_url(self) -> bool:
        return self.name.endswith("_URL")


def option(default: str, section: str, description: str, **notes: Any) -> Any:
    """A field of Options: its default as text and its row in the reference."""
    extra = {"section": section, **notes}
    return Field(default=default, description=description, json_schema_extra=extra)
