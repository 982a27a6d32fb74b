"""`signalpaca config`."""

from tests.unit.solution.commands.conftest import Shell


def test_every_setting_with_its_source_and_no_secret(shell: Shell) -> None:
    """Secrets and URL passwords are masked."""
    result = shell.run("config", WORKERS="3")
    assert result.exit_code == 0
    assert "WORKERS" in result.stdout
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert lines["WORKERS"] == ["3", "env"]
    assert lines["STREAMS"] == ["nvda", "default"]
    for secret in ("key-id-1234", "secret-5678", "password-90"):
        assert secret not in result.output


def test_given_leaves_the_defaults_out(shell: Shell) -> None:
    """Only what somebody set."""
    names = {row["name"] for row in shell.json("config", "--given", WORKERS="3")["settings"]}
    assert "WORKERS" in names
    assert "STREAMS" not in names


def test_warnings_go_to_standard_error(shell: Shell) -> None:
    """A near miss of a name is pointed out."""
    result = shell.run("config", WORKRES="3")
    assert "WORKRES" in result.stderr
    assert "WORKRES" not in result.stdout
