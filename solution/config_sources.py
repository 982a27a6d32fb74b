"""Where the texts come from: options over environment over ``.env``, and secrets out of files.

Nothing here reads ``os.environ``; :mod:`solution.config` hands it in, once.
"""

import difflib
import io
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from solution.config_option_info import OptionInfo
from solution.config_options import OPTIONS, Options
from solution.errors import ConfigError
from solution.security import MASK, mask_url, read_secret_file

DEFAULT, ENVIRONMENT, DOTENV, SECRET_FILE, OPTION = "default", "env", ".env", "file", "option"
"""The names of the sources, as `signalpaca config` shows them."""


@dataclass(frozen=True, slots=True)
class Given:
    """A text somebody set.

    Args:
        text: stripped of surrounding whitespace.
        variable: the name it was set under, for messages; an alias, perhaps.
        source: one of the names above.
    """

    text: str
    variable: str
    source: str


class Layer(PydanticBaseSettingsSource):
    """One source of texts, seen as a source of pydantic-settings.

    Raises:
        ConfigError: two names of one setting disagree, or a secret's file cannot be used.
    """

    def __init__(self, source: str, texts: Mapping[str, str]) -> None:
        super().__init__(Options)
        found = ((name, _given(option, texts, source)) for name, option in OPTIONS.items())
        self.given: dict[str, Given] = {name: given for name, given in found if given}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The text of a field or None, the field's name, and that it is never JSON."""
        del field
        given = self.given.get(field_name)
        return given.text if given else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = Options.model_fields.items()
        found = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: text for name, text in found.items() if text is not None}


def _given(option: OptionInfo, texts: Mapping[str, str], source: str) -> Given | None:
    """What one layer says of one setting, under whichever of its names."""
    stated = [_direct(name, option, texts, source) for name in option.names]
    if option.secret:
        stated += [_from_file(f"{name}_FILE", texts) for name in option.names]
    found = [given for given in stated if given is not None]
    for other in found[1:]:
        if SECRET_FILE in {other.source, found[0].source}:
            raise ConfigError(f"{found[0].variable} and {other.variable} are both set; keep one")
        if other.text != found[0].text:
            raise ConfigError(
                f"{found[0].variable} and {other.variable} mean the same setting and differ; "
                "keep one"
            )
    return found[0] if found else None


def _direct(name: str, option: OptionInfo, texts: Mapping[str, str], source: str) -> Given | None:
    text = texts.get(name)
    # Compose passes unset variables on as empty ones, so empty means the default ...
    if text is None or not (text.strip() or option.keeps_empty):
        return None
    return Given(text.strip(), name, source)


def _from_file(name: str, texts: Mapping[str, str]) -> Given | None:
    path = texts.get(name, "").strip()
    return Given(read_secret_file(name, path), name, SECRET_FILE) if path else None


def merged(layers: Iterable[Layer]) -> dict[str, Given]:
    """For every setting somebody set, the text that counts; the first layer wins.

    Raises:
        ConfigError: a secret is given as a value in one place and as a file in another. Which of
            them is the stale one cannot be known, so neither is used. An option on the command
            line is deliberate and wins over both.
    """
    out: dict[str, Given] = {}
    for layer in layers:
        for name, given in layer.given.items():
            first = out.setdefault(name, given)
            kinds = {first.source, given.source}
            if SECRET_FILE in kinds and len(kinds) > 1 and OPTION not in kinds:
                raise ConfigError(f"{first.variable} and {given.variable} are both set; keep one")
    return out


def read_dotenv(path: str | None) -> dict[str, str]:
    """The names and values of a ``.env`` file; empty when there is none.

    Values are taken literally, ``${NAME}`` is not expanded: a password may hold a dollar sign.

    Raises:
        ConfigError: the file is there and cannot be read, or a line of it makes no sense.
    """
    if path is None:
        return {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {why}") from None
    out: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise ConfigError(f"{path}, line {binding.original.line}: not NAME=value")
        if binding.key is not None:
            out[binding.key] = binding.value or ""
    return out


def is_open_to_all(path: str) -> bool:
    """Whether every user of this machine may read the file, or write it."""
    return bool(Path(path).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))


def near_misses(names: Iterable[str], source: str) -> list[str]:
    """A warning for each name that is almost one of ours.

    Unknown names as such are nobody's mistake: the environment is full of them, and Compose reads
    the same ``.env``.
    """
    known = [name for option in OPTIONS.values() for name in option.names]
    known += [f"{name}_FILE" for o in OPTIONS.values() if o.secret for name in o.names]
    exact = frozenset(known)
    out = []
    for name in names:
        if name in exact or len(name) < 5:
            continue
        upper = name.upper()
        # The ratio is slow, and a real environment holds hundreds of names.
        candidates = [k for k in known if abs(len(k) - len(name)) <= 4 and k[0] == upper[0]]
        close = difflib.get_close_matches(upper, candidates, n=1, cutoff=0.83)
        if close:
            out.append(f"{name} in {source} is not a setting; did you mean {close[0]}?")
    return out


def shown(option: OptionInfo, text: str) -> str:
    """A text as it may be shown: masked, on one line, not endless."""
    if option.secret and not (option.is_url and "://" in text):
        return MASK if text else ""
    text = mask_url(text) if option.is_url else text
    escaped = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return escaped if len(escaped) <= 120 else escaped[:117] + "..."
