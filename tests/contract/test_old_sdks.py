"""Alpaca's other SDKs, unmodified, against a running exchange.

The old Python one (alpaca-trade-api 3.2.0), and the npm package in its classic and its TypeScript
line (3.1.3 and 4.0.2). The first run installs them, which takes some ten seconds for either
language; see ``sdk/kits.py``. Without a Node.js on the PATH that of the development environment
is used.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from paper_exchange.testing import Running, running
from tests.contract.sdk import kits

SCENARIOS = (
    "account",
    "assets",
    "clock_and_calendar",
    "order_life",
    "refusals",
    "positions",
    "activities",
    "latest_data",
    "history",
    "data_stream",
    "trade_updates",
)
_SCRIPTS = Path(kits.__file__).parent
_GUIDE = Path(__file__).parents[2] / "docs" / "paper-exchange.md"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One exchange for the file; every scenario trades on an account of its own."""
    with running("--rate-limit", "0", "--seed", "5") as started:
        yield started


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for the market data streams: a minute, after which bars come, is a quarter of a second.

    It speaks TLS too, without which the classic npm package does not connect.
    """
    clock = ("--speed", "240", "--start", "2024-03-04T10:00:00-05:00")
    tls = ("--tls-port", "0", "--tls-dir", str(tmp_path_factory.mktemp("tls")))
    with running("--seed", "5", *clock, *tls) as started:
        yield started


@pytest.fixture(scope="module")
def reports(exchange: Running, fast: Running) -> Callable[[str], dict[str, str]]:
    """What became of the scenarios of one SDK, each run once."""

    streams = fast.url.replace("http://", "ws://", 1)
    assert fast.secure_url is not None
    assert fast.certificate is not None
    # Each SDK in the words of the guide: the variable names the streams of market data.
    places = {
        "python": {"APCA_API_STREAM_URL": streams},
        "v3": {"APCA_API_STREAM_URL": fast.secure_url, "NODE_EXTRA_CA_CERTS": fast.certificate},
        "v4": {"APCA_API_STREAM_URL": streams},
    }

    @cache
    def run(sdk: str) -> dict[str, str]:
        if sdk == "python":
            command = [sys.executable, str(_SCRIPTS / "python" / "scenarios.py")]
            env = {"PYTHONPATH": str(kits.old_python_sdk())}
        else:
            command = [kits.node().executable, str(_SCRIPTS / "js" / f"{sdk}.cjs")]
            env = {"NODE_PATH": str(kits.node_sdks())}
        found = kits.report(command, exchange.url, **env, **places[sdk])
        assert list(found) == list(SCENARIOS), "no scenario may go unseen"
        return found

    return run


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("sdk", ["python", "v3", "v4"])
def test_sdk(reports: Callable[[str], dict[str, str]], sdk: str, scenario: str) -> None:
    """Every scenario of ``sdk/python/scenarios.py``, ``sdk/js/v3.cjs`` and ``v4.cjs`` passes."""
    outcome = reports(sdk)[scenario]
    assert outcome == "passed", outcome


def guide(title: str, exchange: Running) -> str:
    """The code that the guide gives under a title, with the addresses of this exchange."""
    assert exchange.secure_url is not None
    _, _, rest = _GUIDE.read_text().partition(f"**{title}**")
    code = rest.split("```", 2)[1].partition("\n")[2]
    for port, url in ((8787, exchange.url), (8788, exchange.secure_url)):
        code = code.replace(f"127.0.0.1:{port}", url.partition("://")[2])
    return code


def exported(exchange: Running) -> dict[str, str]:
    """The variables that the guide exports."""
    words = shlex.split(guide("alpaca-trade-api for Python", exchange))
    return dict(word.split("=", 1) for word in words if word != "export")


def test_guide_python(fast: Running) -> None:
    """The old Python SDK needs the guide's variables and nothing else."""
    command = [sys.executable, str(_SCRIPTS / "python" / "guided.py")]
    found = kits.said(command, PYTHONPATH=str(kits.old_python_sdk()), **exported(fast))
    assert found == ["ACTIVE", True, "streams"]


def run_guided(version: str, code: str, folder: Path, **env: str) -> object:
    """Run code that makes a client of the npm package, and then what uses it."""
    program = folder / "program.cjs"
    code = code.replace("@alpacahq/alpaca-trade-api", f"alpaca-{version}")
    program.write_text(code + (_SCRIPTS / "js" / f"guided-{version}.cjs").read_text())
    modules = str(kits.node_sdks())
    return kits.said([kits.node().executable, str(program)], NODE_PATH=modules, **env)


def test_guide_v3(fast: Running, tmp_path: Path) -> None:
    """The classic npm package with the guide's options and the certificate."""
    code = guide("@alpacahq/alpaca-trade-api 3 for Node.js", fast)
    found = run_guided("v3", code, tmp_path, NODE_EXTRA_CA_CERTS=str(fast.certificate))
    assert found == ["ACTIVE", True, "streams"]


def test_guide_v3_variables(fast: Running, tmp_path: Path) -> None:
    """It reads the variables too, with the two differences that the guide names."""
    env = exported(fast)
    env["APCA_DATA_BASE_URL"] = env.pop("APCA_API_DATA_URL")
    env["APCA_API_STREAM_URL"] = str(fast.secure_url)
    code = 'const Alpaca = require("alpaca-v3");\nconst alpaca = new Alpaca();\n'
    found = run_guided("v3", code, tmp_path, NODE_EXTRA_CA_CERTS=str(fast.certificate), **env)
    assert found == ["ACTIVE", True, "streams"]


def test_guide_v4(fast: Running, tmp_path: Path) -> None:
    """The whole client of the TypeScript package, by the way in which it makes requests."""
    code = guide("@alpacahq/alpaca-trade-api 4 for Node.js", fast)
    assert run_guided("v4", code, tmp_path) == ["ACTIVE", True, "streams", "filled"]
