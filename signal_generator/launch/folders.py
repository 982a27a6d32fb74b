"""Where the state lives: one folder for each account, kept from run to run.

The ledger in it is what makes a start after a crash safe. Nothing in it is ever deleted here.
"""

import re
from pathlib import Path

from signal_generator.launch.account import Account, host_of
from signal_generator.launch.options import LaunchError
from signal_generator.launch.surroundings import Surroundings

HOME = "SIGNALPACA_HOME"


def folder_of(surroundings: Surroundings, trading_url: str, account: Account) -> Path:
    """The account's folder, made if it is missing.

    Raises:
        LaunchError: it cannot be made.
    """
    home = Path(surroundings.text(HOME) or "~/.signalpaca").expanduser().absolute()
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{host_of(trading_url)}-{account.number}")
    folder = home / "run_trading" / name
    try:
        for each in (home, folder.parent, folder, folder / "logs"):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(
            f"{folder} cannot be made: {error.strerror}; {HOME} names another place"
        ) from None
    return folder
