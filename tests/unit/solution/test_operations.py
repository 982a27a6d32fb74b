"""Whose orders a kill cancels. The rest is tried with a real service (test_trading_state)."""

from pathlib import Path
from types import SimpleNamespace as Thing
from typing import Any

import pytest

from solution.config import load_settings
from solution.domain.kills import Kill
from solution.operations import Operations
from tests.helpers.trading import DEPLOYMENT, Rig, accept

KEYS = {"ALPACA_API_KEY": "k", "ALPACA_SECRET_KEY": "s"}


def operations(rig: Rig, folder: Path, **env: str) -> Operations:
    """Those of a rig; nothing is started."""
    places = {"LEDGER_URL": f"sqlite:///{folder}/ledger.db", "LOG_DIR": ""}
    settings = load_settings(environ={**KEYS, **places, **env}, env_file=None)
    wrapper: Any = Thing(find=lambda ticker: Thing(symbol=ticker) if ticker == "NVDA" else None)
    return Operations(
        settings,
        ledger=rig.ledger,
        states=rig.states,
        kill_switch=Thing(),  # type: ignore[arg-type]
        wrapper=wrapper,
        tracker=rig.tracker,
        submitter=rig.submitter,
        outcomes=rig.outcomes,
        deployment=DEPLOYMENT,
        connect=lambda: None,  # type: ignore[arg-type,return-value]
        clock=rig.clock,
    )


@pytest.fixture
def rig() -> Rig:
    """A fresh order path."""
    return Rig()


def test_ours_by_name_and_by_what_we_follow(rig: Rig, tmp_path: Path) -> None:
    """A replacement has another name; another deployment's order is another's."""
    rig.desk.script.append(accept("new"))
    rig.send()
    order_id = rig.desk.orders[rig.only_coid()]["id"]
    made = operations(rig, tmp_path)
    assert made.is_ours({"client_order_id": f"sp-{DEPLOYMENT}-x"})
    assert made.is_ours({"client_order_id": "new", "id": "n", "replaces": order_id})
    assert not made.is_ours({"client_order_id": "sp-another-x", "id": "o"})
    assert not made.is_ours({})


def test_all_of_an_account_of_our_own_but_none_in_a_dry_run(rig: Rig, tmp_path: Path) -> None:
    """A dry run's account is traded by somebody else."""
    alone = operations(rig, tmp_path, EXCLUSIVE_ACCOUNT="true")
    assert alone.is_ours({"client_order_id": "anybody's"})
    dry = operations(rig, tmp_path, EXCLUSIVE_ACCOUNT="true", DRY_RUN="true")
    assert not dry.is_ours({"client_order_id": "anybody's"})


def test_a_kill_is_seen_before_the_state_that_came_with_it(rig: Rig, tmp_path: Path) -> None:
    """One transaction wrote both; memory is a fifth of a second old: it is no resume."""
    made = operations(rig, tmp_path)
    rig.ledger.set_state("trading_state:operator", '{"state": "HALTED"}')
    rig.ledger.set_state("kill:k", Kill(id="k").written())
    made.kills.step()
    assert made.kills.shown()["k"]["stage"] == "done"
