"""``LEDGER_URL``: what is accepted, what comes of it, and what is never shown."""

from pathlib import Path
from types import MappingProxyType

import pytest

from solution.config import Settings, load_settings
from solution.config_ledger import LEDGER_URL, PostgresAddress, for_dry_run, split_postgres_url


def load(**environ: str) -> Settings:
    """Settings of an environment that holds nothing else."""
    return load_settings(environ=MappingProxyType(environ), env_file=None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://u:p%40ss@db.example:5433/ledger",
            PostgresAddress(
                hosts=(("db.example", 5433),), database="ledger", user="u", password="p@ss"
            ),
        ),
        ("postgres://h/d", PostgresAddress(hosts=(("h", 5432),), database="d")),
        (
            "postgresql://u@h1,h2:6000/d?target_session_attrs=primary",
            PostgresAddress(
                hosts=(("h1", 5432), ("h2", 6000)),
                database="d",
                user="u",
                parameters=(("target_session_attrs", "primary"),),
            ),
        ),
        (
            "postgresql://[::1]:5433/d?sslmode=verify-full&sslrootcert=/ca.pem&schema=live",
            PostgresAddress(
                hosts=(("::1", 5433),),
                database="d",
                schema="live",
                parameters=(("sslmode", "verify-full"), ("sslrootcert", "/ca.pem")),
            ),
        ),
        (
            "postgresql:///d?host=/var/run/postgresql",
            PostgresAddress(hosts=(("/var/run/postgresql", 5432),), database="d"),
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: PostgresAddress) -> None:
    """Each form of libpq's that makes sense for a ledger."""
    assert split_postgres_url(url) == expected
    assert LEDGER_URL.parse(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://h/", "name of a database"),
        ("postgresql://h", "name of a database"),
        ("postgresql://h/a/b", "name of a database"),
        ("postgresql:///d", "names no host"),
        ("postgresql://h,/d", "names no host"),
        ("postgresql://h/d?host=/run", "names no host"),
        ("postgresql:///d?host=relative", "names no host"),
        ("postgresql://h:port/d", "not a valid URL"),
        ("postgresql://h/d?sslmode=maybe", "may stand"),
        ("postgresql://h/d?options=-cfsync=off", "may stand"),
        ("postgresql://h/d?password=canary", "may stand"),
        ("postgresql://h/d?sslmode=require&sslmode=disable", "twice"),
        ("postgresql://h/d?schema=Big", "small letters"),
        ("postgresql://h/d#x", "name of a database"),
        ("postgresql://u:ca nary@h/d", "space"),
    ],
)
def test_a_url_that_may_mean_two_things_is_refused(url: str, why: str) -> None:
    """One sentence, without a quotation."""
    with pytest.raises(ValueError, match=why) as caught:
        LEDGER_URL.parse(url)
    assert "canary" not in str(caught.value)


def test_a_server_has_a_name_without_its_password() -> None:
    """What `status` shows and what tells two instances' ledgers apart."""
    settings = load(LEDGER_URL="postgresql://u:canary@h1,[::1]:6/d?schema=live&sslmode=require")
    assert settings.ledger.name == "postgresql://h1:5432,[::1]:6/d?schema=live"
    assert settings.ledger.path is None
    assert "canary" not in repr(settings)
    assert "canary" in {secret.reveal() for secret in settings.secrets}
    assert not [row for row in settings.rows if "canary" in row.value]


def test_a_file_is_named_with_its_machine() -> None:
    """Two machines may have a file of the same name."""
    settings = load(LEDGER_URL="sqlite:////a/b.db")
    assert settings.ledger.name.endswith(":/a/b.db")
    assert settings.ledger.path == Path("/a/b.db")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://h/d", "postgresql://h/d?schema=dry_run"),
        ("postgresql://h/d?sslmode=require", "postgresql://h/d?sslmode=require&schema=dry_run"),
        ("postgresql://h/d?schema=live", "postgresql://h/d?schema=live_dry_run"),
    ],
)
def test_a_dry_run_has_a_schema_of_its_own(url: str, expected: str) -> None:
    """Its rows must not tell the real service that a signal is done."""
    assert for_dry_run(url) == expected
    settings = load(LEDGER_URL=url, DRY_RUN="true")
    assert settings.ledger.url == expected
    assert settings.ledger.name.endswith("dry_run")


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "sqlite:///", "sqlite:///x#y", "sqlite:///:memory:"]
)
def test_other_databases_and_memory_are_refused(url: str) -> None:
    """A ledger must outlive its process, in a database that we know."""
    with pytest.raises(ValueError, match=r"^$|memory"):
        LEDGER_URL.parse(url)
