"""The users of ``deploy/redis/users.acl``, with passwords for a test."""

import subprocess
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy" / "redis"
PASSWORD = "0123456789abcdef-%s"
USERS = ("admin", "signalpaca", "producer-nvda", "strategy", "operator", "watcher")


def set_password(file: Path, user: str, password: str) -> None:
    """As the how-to says."""
    command = [DEPLOY / "set-password", file, user]
    subprocess.run(command, input=f"{password}\n", text=True, check=True, timeout=10)


def users_file(directory: Path) -> Path:
    """A copy of the recipe in which every user has a password."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "users.acl"
    file.write_text((DEPLOY / "users.acl").read_text())
    for user in USERS:
        set_password(file, user, PASSWORD % user)
    return file


def as_user(url: str, user: str) -> str:
    """The address with user and password."""
    return url.replace("redis://", f"redis://{user}:{PASSWORD % user}@")
