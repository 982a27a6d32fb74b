"""A state machine over the whole way of a signal; I1 to I6 hold after each step, I7 at the end.

In the test command it is bounded and derandomised. The longer forms::

    MODEL_PROFILE=pr pytest tests/model/test_order_path_model.py        # 500 x 50
    MODEL_PROFILE=nightly pytest tests/model/test_order_path_model.py   # 20,000 x 100, new seeds
"""

import os
import random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from solution import failpoints
from torture.simulation import points
from torture.simulation.exchange import SYMBOLS
from torture.simulation.faults import GetFault, PostFault
from torture.simulation.instance import STREAMS
from torture.simulation.oracle import Published
from torture.simulation.schedules import SEAMS, die
from torture.simulation.world import World

PROFILES = {"test": (150, 50, True), "pr": (500, 50, False), "nightly": (20_000, 100, False)}
"""Examples, steps of each, and whether the choices are always the same."""


class OrderPath(RuleBasedStateMachine):
    """Every rule is one thing that can happen; hypothesis shrinks what breaks an invariant."""

    def __init__(self) -> None:
        super().__init__()
        self._published: list[Published] = []
        self.world = World(random.Random(5)).__enter__()
        self.world.connect_stream()

    def teardown(self) -> None:
        """Faults stop: everything ends."""
        try:
            self.world.settle()
        finally:
            self.world.__exit__()

    # --- producers ----------------------------------------------------------------------------

    @rule(
        stream=st.sampled_from(STREAMS),
        symbol=st.sampled_from(SYMBOLS[:2]),
        direction=st.sampled_from("bs"),
        qty=st.sampled_from(("1", "7", "20")),
        tif=st.sampled_from(("ioc", "day")),
        named=st.booleans(),
    )
    def publish(
        self, stream: str, symbol: str, direction: str, qty: str, tif: str, *, named: bool
    ) -> None:
        self._published.append(
            self.world.publish(
                stream=stream,
                symbol=symbol,
                direction=direction,
                qty=qty,
                tif=tif,
                signal_id=f"id-{len(self._published)}" if named else "",
            )
        )

    @rule(
        fault=st.sampled_from(PostFault),
        symbol=st.sampled_from(SYMBOLS[:2]),
        tif=st.sampled_from(("ioc", "day")),
        crash=st.sampled_from(("", "", "post:before", "post:effect", "post:after")),
    )
    def send(self, fault: PostFault, symbol: str, tif: str, crash: str) -> None:
        """Straight to the broker, which answers as it likes; perhaps the last deed of a life."""
        self.world.post_faults.append(fault)
        self._published.append(self.world.publish(symbol=symbol, qty="3", tif=tif))
        if crash:
            self.crash_soon(crash)
        for step in (self.world.read, self.world.work, self.world.work):
            step()

    @precondition(lambda self: any(entry.signal_id for entry in self._published))
    @rule(other=st.booleans())
    def publish_the_same_signal_id(self, *, other: bool) -> None:
        newest = [entry for entry in self._published if entry.signal_id][-1]
        self.world.again(newest, tag="250.00" if other else "")

    @rule()
    def publish_what_is_no_signal(self) -> None:
        self.world.publish("bad")

    # --- the service ----------------------------------------------------------------------------

    @rule()
    def deliver(self) -> None:
        self.world.read()

    @rule()
    def work(self) -> None:
        self.world.work()

    @rule()
    def commit(self) -> None:
        self.world.commit()

    @rule()
    def publish_events(self) -> None:
        self.world.publish_events()

    @rule(seconds=st.sampled_from((0.05, 0.3, 1.0, 4.0)))
    def tick(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule()
    def round(self) -> None:
        self.world.round()

    # --- what goes wrong ------------------------------------------------------------------------

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule(seam=st.sampled_from(SEAMS), nth=st.sampled_from((1, 2, 3)))
    def crash_soon(self, seam: str, nth: int = 1) -> None:
        self.world.seams.append((seam, nth, lambda: die(self.world)))

    @rule(point=st.sampled_from(points.names()), nth=st.sampled_from((1, 2, 3)))
    def crash_at(self, point: str, nth: int) -> None:
        failpoints.arm([failpoints.Rule(name=point, action="raise", nth=nth)])

    @rule(
        tif=st.sampled_from(("ioc", "day")),
        faults=st.lists(st.sampled_from(PostFault), max_size=3),
        seam=st.sampled_from(("", "ledger:before", "ledger:after", "post:before", "post:effect")),
        nth=st.integers(1, 4),
    )
    def burst(self, tif: str, faults: list[PostFault], seam: str, nth: int) -> None:
        """One worker sends several before it books any; perhaps it dies in between."""
        self.world.post_faults.extend(faults)
        for symbol in SYMBOLS[:3]:
            self._published.append(self.world.publish(symbol=symbol, qty="3", tif=tif))
        if seam:
            self.crash_soon(seam, nth)
        for step in (self.world.read, self.world.work):
            step()

    @rule()
    def taken_over(self) -> None:
        self.world.seams.append(("ledger:before INSERT", 1, self.world.take_over))

    @rule(fault=st.sampled_from(PostFault))
    def broker_answers_a_post(self, fault: PostFault) -> None:
        self.world.post_faults.append(fault)

    @rule(fault=st.sampled_from(GetFault))
    def broker_answers_a_question(self, fault: GetFault) -> None:
        self.world.get_faults.append(fault)

    @rule(name=st.sampled_from(("reply_lost", "refused", "loading", "readonly")))
    def redis_fails_once(self, name: str) -> None:
        self.world.redis_faults.append(name)

    @rule(stream=st.sampled_from(STREAMS))
    def redis_loses_the_group(self, stream: str) -> None:
        self.world.lose_group(stream)

    @rule()
    def content_of_a_pending_entry_goes(self) -> None:
        self.world.trim_pending()

    @rule(on=st.booleans())
    def kill_switch(self, *, on: bool) -> None:
        self.world.kill_switch(on=on)

    # --- the broker -----------------------------------------------------------------------------

    @rule(which=st.integers(0, 5), drop=st.booleans(), again=st.booleans())
    def event(self, which: int, *, drop: bool, again: bool) -> None:
        self.world.hear(which=which, drop=drop, again=again)

    @rule(whole=st.booleans())
    def trade(self, *, whole: bool) -> None:
        self.world.trade(whole=whole)

    @rule()
    def cancel_at_broker(self) -> None:
        self.world.cancel_at_broker()

    @rule()
    def stream_breaks(self) -> None:
        self.world.disconnect_stream()

    @rule()
    def stream_returns(self) -> None:
        self.world.connect_stream()

    @invariant()
    def holds(self) -> None:
        """I1 to I6; what the oracle sees it raises."""
        self.world.look()


@pytest.mark.timeout(0)
def test_every_way_of_a_signal_keeps_the_invariants() -> None:
    """Whatever hypothesis lets happen, in whatever order."""
    examples, steps, same = PROFILES[os.environ.get("MODEL_PROFILE", "test")]
    run_state_machine_as_test(
        OrderPath,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=same,
            deadline=None,
            database=None,
            print_blob=True,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
