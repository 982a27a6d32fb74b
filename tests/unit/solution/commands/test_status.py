"""`signalpaca status`."""

from typing import Any

import orjson

from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell


def test_no_instance_is_exit_code_1(online: Shell) -> None:
    """The group and the Redis are named."""
    result = online.run("status", CONSUMER_GROUP="mine")
    assert result.exit_code == 1
    assert result.stderr.startswith("no instance of group mine runs on redis://")


def test_every_instance_of_the_group_is_shown(online: Shell, client: Any) -> None:
    """Sorted by name; other groups are not ours."""
    for group, name in (("solution", "b"), ("solution", "a"), ("other", "c")):
        client.set(key_of(group, name), orjson.dumps({"instance": name, "mode": "paper"}))
    result = online.run("status")
    assert result.exit_code == 0
    titles = [line[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert titles == ["a", "b"]
    assert set(online.json("status")["instances"]) == {"a", "b"}


def test_json_without_an_instance(online: Shell) -> None:
    """Still one document, and exit code 1."""
    result = online.run("status", "--json")
    assert result.exit_code == 1
    assert orjson.loads(result.stdout) == {"group": "solution", "instances": {}}
