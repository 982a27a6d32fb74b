"""The last question before an order leaves."""

from pathlib import Path

import pytest

from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.trading.states import OPERATOR
from tests.helpers.trading import Rig, RigRules


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Its kill switch's file can be made."""
    return Rig(RigRules(kill_switch_file=tmp_path / "kill"))


def halt(rig: Rig) -> None:
    rig.states.restrict(OPERATOR, TradingState.HALTED, Reason.TRADING_HALTED, "by hand")


def test_the_file_is_named_before_the_state(rig: Rig) -> None:
    """Both stand after ``kill``."""
    halt(rig)
    rig.rules.kill_switch_file.touch()
    entry = rig.send()
    assert rig.row(rig.coid(entry)).reason == "KILL_SWITCH"


def test_the_state_without_the_file(rig: Rig) -> None:
    """Its own code and words."""
    halt(rig)
    entry = rig.send()
    row = rig.row(rig.coid(entry))
    assert (row.reason, row.message) == ("TRADING_HALTED", "by hand")


def test_an_operators_flatten_passes_both(rig: Rig) -> None:
    """Gates, last look and POST: its work is exempt, nothing else is."""
    halt(rig)
    rig.halts.halt("NVDA", "an orphan")
    rig.rules.kill_switch_file.touch()
    rig.snapshot(NVDA="5")
    rig.clock.advance(0.001)
    refused = rig.send("s")
    entry = rig.publish("s", signal_id="flatten")
    taken = rig.lanes.take(rig._slot, lambda _: 0.0, 0.0)
    assert taken is not None
    lease, slot = taken
    lease.item.exempt = True
    rig.pipeline.run(lease.item, lease, slot)
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.outcomes.told(refused) == ["refused!"]
    assert len(rig.desk.posts) == 1
