"""The container files keep their promises: no root, no secret, no open port, no lost limit.

That the containers run is what ``scripts/compose-smoke`` proves.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from solution.app import STOP_WITHIN
from solution.config_options import OPTIONS

yaml = pytest.importorskip("yaml", reason="no YAML parser here")

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("redis", "exchange", "trader", "generator")
SET_BY_THE_IMAGE = {"LEDGER_URL", "LEDGER_URL_FILE", "LOG_DIR", "KILL_SWITCH_FILE"}
FIXED = {"REDIS_URL", "REDIS_URL_FILE", "INSTANCE_NAME"}
"""Set by the Compose file itself, for the containers beside each other."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The Compose file, anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return loaded


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, compose: dict[str, Any]) -> dict[str, Any]:
    """Each service in turn."""
    found: dict[str, Any] = compose["services"][request.param]
    return found


def dockerfile_env() -> dict[str, str]:
    """The variables that the image sets."""
    text = read("Dockerfile").replace("\\\n", " ")
    return dict(re.findall(r"([A-Z_]+)=(\S+)", re.findall(r"^ENV (.*)$", text, re.MULTILINE)[0]))


def run_script(
    tmp_path: Path, name: str, *args: str, **env: str
) -> tuple[list[str], dict[str, str]]:
    """Run a script of deploy/docker; what it would have started Python with: words, environment."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" --end--\nenv\n')
    python.chmod(0o755)
    script = read(f"deploy/docker/{name}").replace("/app/bin/python", str(python))
    done = subprocess.run(
        ["sh", "-c", script, name, *args],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    words, _, rest = done.stdout.partition("--end--\n")
    return words.split("\n")[:-1], dict(line.split("=", 1) for line in rest.splitlines())


# --- docker-compose.yml ---


def test_the_services_are_the_four_documented(compose: dict[str, Any]) -> None:
    """Redis, the exchange, the trader and the generator."""
    assert tuple(compose["services"]) == SERVICES


def test_old_and_new_compose_read_the_file(compose: dict[str, Any]) -> None:
    """Compose 1.29 rejects a top-level name, 2.x complains of a version."""
    assert not {"name", "version"} & set(compose)


def test_a_service_cannot_write_or_gain_rights(service: dict[str, Any]) -> None:
    """Read-only root, no capability, no way to more, not root."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert not {"privileged", "cap_add", "devices", "pid", "network_mode"} & set(service)


def test_a_service_comes_back_and_says_how_it_is(service: dict[str, Any]) -> None:
    """Restart policy, health check with a time limit, logs that do not fill the disk."""
    assert service["restart"] == "unless-stopped"
    assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_a_service_has_time_to_stop(service: dict[str, Any]) -> None:
    """Docker waits longer than the trader takes."""
    assert float(service["stop_grace_period"].removesuffix("s")) >= STOP_WITHIN + 5


def test_every_port_is_bound_to_loopback(service: dict[str, Any]) -> None:
    """Redis has no password: nobody but this machine may reach it."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_nothing_of_the_host_is_mounted(compose: dict[str, Any], service: dict[str, Any]) -> None:
    """Named volumes only."""
    names = {mount.split(":")[0] for mount in service.get("volumes", [])}
    assert names <= set(compose["volumes"])


def test_the_file_holds_no_secret(service: dict[str, Any]) -> None:
    """What is secret has no value here; it comes from the environment or .env."""
    environment = service.get("environment", {})
    secret = {name for option in OPTIONS.values() if option.secret for name in option.names}
    given = {name for name in secret & set(environment) if environment[name] is not None}
    assert given <= {"REDIS_URL"}
    assert "@" not in environment.get("REDIS_URL", "")


def test_no_setting_is_lost_on_its_way_to_the_trader(compose: dict[str, Any]) -> None:
    """A limit in .env that the container does not see would be a limit that does not hold.

    If this fails after a setting was added: add its name to `trader` in docker-compose.yml.
    """
    names = {name for option in OPTIONS.values() for name in option.names}
    names |= {f"{name}_FILE" for o in OPTIONS.values() if o.secret for name in o.names}
    environment = compose["services"]["trader"]["environment"]
    passed = {name for name, value in environment.items() if value is None}
    assert passed == names - SET_BY_THE_IMAGE - FIXED


def test_redis_keeps_what_it_took(compose: dict[str, Any]) -> None:
    """Append-only file, on a named volume."""
    redis = compose["services"]["redis"]
    assert "--appendonly yes" in " ".join(redis["command"])
    assert redis["volumes"] == ["redis:/data"]


def test_what_the_trader_writes_is_on_volumes(compose: dict[str, Any]) -> None:
    """Ledger, logs and kill switch outlive the container, and are where the image looks."""
    mounted = {m.split(":")[1] for m in compose["services"]["trader"]["volumes"]}
    assert mounted == {"/data", "/logs", "/control"}
    environment = dockerfile_env()
    assert environment["LOG_DIR"] == "/logs"
    assert environment["KILL_SWITCH_FILE"].startswith("/control/")


def test_services_wait_for_healthy_ones(compose: dict[str, Any]) -> None:
    """Not merely for started ones."""
    waits = {name: s.get("depends_on", {}) for name, s in compose["services"].items()}
    assert set(waits["trader"]) == {"redis", "exchange"}
    assert set(waits["generator"]) == {"redis", "trader"}
    conditions = {c["condition"] for needed in waits.values() for c in needed.values()}
    assert conditions == {"service_healthy"}


# --- Dockerfile ---


def test_the_image_runs_as_the_user_compose_names(compose: dict[str, Any]) -> None:
    """A number other than 0, in both places."""
    users = re.findall(r"^USER (.*)$", read("Dockerfile"), re.MULTILINE)
    assert users[-1] == compose["services"]["trader"]["user"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_the_image_is_built_from_the_lock() -> None:
    """Hashes checked, and no anonymous volumes, which `down` would leave behind."""
    text = read("Dockerfile")
    assert "--require-hashes -r requirements/service.txt" in text
    assert not re.search(r"^(VOLUME|ADD) ", text, re.MULTILINE)
    assert not re.search(r"(KEY|SECRET|PASSWORD|TOKEN)=", text)


def test_no_argument_or_variable_of_the_image_is_a_setting_with_a_secret() -> None:
    """What stands in ARG or ENV stands in the image's history for all who have it."""
    stated = re.findall(
        r"^(?:ARG|ENV) (.*)$", read("Dockerfile").replace("\\\n", " "), re.MULTILINE
    )
    names = set(re.findall(r"\b([A-Z][A-Z_]+)=", " ".join(stated)))
    secret = {name for option in OPTIONS.values() if option.secret for name in option.names}
    assert "LOG_DIR" in names
    assert not names & secret


def test_the_base_images_are_pinned_to_a_version() -> None:
    """By tag; `latest` would be another Python from one day to the next."""
    bases = re.findall(r"^FROM (\S+)", read("Dockerfile"), re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim(@sha256:[0-9a-f]{64})?", bases[0])


def test_only_named_paths_go_to_the_build() -> None:
    """Everything is shut out, then the product let in: a stray .env stays out whatever its name."""
    lines = [line for line in read(".dockerignore").splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    missing = {name for name in let_in - {"wheels"} if not (ROOT / name).exists()}
    assert not missing
    assert {"solution", "signal_generator", "paper_exchange", "deploy/docker"} <= let_in


# --- deploy/docker ---

LOCAL = {"ALPACA_TRADING_URL": "http://exchange:8787", "ALPACA_DATA_URL": "http://exchange:8787"}


def test_without_keys_the_trader_uses_the_local_exchange(tmp_path: Path) -> None:
    """With the ledger of that exchange; arguments go through as they are."""
    words, env = run_script(tmp_path, "signalpaca", "kill", "two words")
    assert words == ["-m", "solution", "kill", "two words"]
    assert env.items() >= LOCAL.items()
    assert env["LEDGER_URL"] == "sqlite:////data/local-exchange.db"


def test_empty_keys_are_no_keys(tmp_path: Path) -> None:
    """As `.env.example` has them; what else is set for Alpaca gives way."""
    given = {"ALPACA_API_KEY": "", "ALPACA_SECRET_KEY": "", "APCA_API_BASE_URL": "https://other"}
    _, env = run_script(tmp_path, "signalpaca", **given)
    assert env.items() >= LOCAL.items()
    assert "APCA_API_BASE_URL" not in env


KEY_NAMES = ["ALPACA_API_KEY", "ALPACA_SECRET_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"]


@pytest.mark.parametrize("name", [*KEY_NAMES, *(f"{name}_FILE" for name in KEY_NAMES)])
def test_any_key_means_alpaca(tmp_path: Path, name: str) -> None:
    """Half a pair too: trading elsewhere than asked would be worse than an error."""
    _, env = run_script(tmp_path, "signalpaca", **{name: "given"})
    assert env[name] == "given"
    assert not {"ALPACA_TRADING_URL", "ALPACA_DATA_URL"} & set(env)
    assert env["LEDGER_URL"] == "sqlite:////data/signalpaca.db"


def test_the_local_generator_never_sleeps(tmp_path: Path) -> None:
    """Without keys: around the clock, one signal in five seconds."""
    words, _ = run_script(tmp_path, "generator")
    assert " ".join(words) == (
        "-m signal_generator random --symbols NVDA --stream nvda --always --probability 0.2"
    )


def test_with_keys_the_generator_keeps_market_hours(tmp_path: Path) -> None:
    """And publishes to the first stream that the trader reads."""
    given = {"ALPACA_API_KEY": "given", "SYMBOLS": "AAPL,MSFT", "STREAMS": "first,second"}
    words, _ = run_script(tmp_path, "generator", **given)
    assert words == (
        ["-m", "signal_generator", "random", "--symbols", "AAPL,MSFT", "--stream", "first"]
    )


# --- scripts/compose-smoke ---


def test_the_smoke_scripts_parse() -> None:
    """They are not part of the tests, so at least their syntax is."""
    bash = shutil.which("bash") or pytest.skip("no bash here")
    script = ROOT / "scripts/compose-smoke"
    for path in (script, *(ROOT / "scripts/smoke").iterdir()):
        subprocess.run([bash, "-n", path], check=True, timeout=10)
    assert os.access(script, os.X_OK)
