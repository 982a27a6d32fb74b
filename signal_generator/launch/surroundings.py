"""What the user has set: the environment, and beneath it `.env` of the working directory.

The service reads both by itself and much more strictly; here it is asked only what is set.
"""

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from signal_generator.launch.options import LaunchError

_SETTINGS = (
    *("ALPACA_", "APCA_", "REDIS_", "SIGNAL_HMAC_", "CONTROL_HMAC_", "PAPER_EXCHANGE_"),
    *("LEDGER_", "SIGNALPACA_"),
)
"""How the names begin of what no program but the service needs; every secret is among them."""
_TRUE = ("true", "1", "yes", "on")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Texts by name; an empty one counts as unset, as for the service."""

    environ: Mapping[str, str] = field(repr=False)
    dotenv: Mapping[str, str] = field(repr=False, default_factory=dict)

    @classmethod
    def read(cls, environ: Mapping[str, str], file: Path | None = None) -> "Surroundings":
        """`environ` and a file, by default `.env` here, whose values are taken literally.

        Raises:
            LaunchError: the file is there and cannot be read.
        """
        from dotenv import dotenv_values

        path = file or Path(".env")
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(environ)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise LaunchError(f"{path} cannot be read: {why}") from None
        found = dotenv_values(stream=io.StringIO(text), interpolate=False)
        return cls(environ, {name: value or "" for name, value in found.items()})

    def text(self, *names: str) -> str:
        """What the first layer says that says anything under one of the names; else empty."""
        for layer in (self.environ, self.dotenv):
            for name in names:
                if found := layer.get(name, "").strip():
                    return found
        return ""

    def flag(self, name: str) -> bool:
        """Whether it is switched on; what is no flag at all the service will name."""
        return self.text(name).lower() in _TRUE

    def merged(self) -> dict[str, str]:
        """Both layers as one."""
        set_there = {name: text for name, text in self.environ.items() if text.strip()}
        return {**self.dotenv, **set_there}

    def without_settings(self) -> dict[str, str]:
        """The environment for a program that needs none of our settings, and no secret."""
        return {n: text for n, text in self.environ.items() if not n.startswith(_SETTINGS)}

    def without(self, names: Collection[str]) -> dict[str, str]:
        """The environment without these and the files that would give them."""
        gone = {*names, *(f"{name}_FILE" for name in names)}
        return {name: text for name, text in self.environ.items() if name not in gone}
