"""Secrets that are looked for afterwards: one for each secret setting, in whatever may hold it.

They come from the table of settings, so that a setting added later has one too.
"""

from collections.abc import Mapping
from urllib.parse import quote

from solution.config import OptionInfo, describe

CORE = "CaNaRy7Qx"
"""Stands in every canary. A piece of one that leaks without it would be no secret any more."""

SECRETS = tuple(option for option in describe() if option.secret and not option.missing)

_URLS = {
    "REDIS_URL": "redis://u:{}@127.0.0.1:1/0",
    "LEDGER_URL": "postgresql://u:{}@127.0.0.1:1/d",
}
_FORMS = ("{}", "k1:{}", "k1={}")

SHORTEST = 32
"""Characters: a canary is as long as the longest minimum of any secret."""


def accepts(option: OptionInfo, text: str) -> bool:
    """Whether the setting takes this text."""
    try:
        option.parse(text)
    except ValueError:
        return False
    return True


def holding(option: OptionInfo, canary: str) -> str:
    """A value of the setting with the canary in it, the way a person would write it.

    Raises:
        LookupError: no known form is accepted: give _FORMS that of the new setting.
    """
    if option.is_url:
        return _URLS[option.name].format(quote(canary, safe=""))
    for form in _FORMS:
        text = form.format(canary)
        if accepts(option, text):
            return text
    raise LookupError(f"no form of {option.name} takes {canary!r}")


def canary_of(option: OptionInfo) -> str:
    """A canary that is told from the others."""
    return f"{CORE}-{option.name}".ljust(SHORTEST, "x")


def all_canaries() -> Mapping[str, str]:
    """Every secret setting with a canary in it."""
    return {option.name: holding(option, canary_of(option)) for option in SECRETS}
