"""Tests of signal_generator.strategy: what a class inherits, and what its page shows."""

import re
from pathlib import Path
from typing import Any

from signal_generator import Bar, Execution, Quote, Strategy
from signal_generator.market.file_bars import FileBars
from tests.helpers.strategy_hosts import DAY_OF_BARS, OPEN, FakeStore, bar, hosted, make_host

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "strategy.md"


def test_a_bare_strategy_says_nothing() -> None:
    """Every callback is there, and wants nothing."""
    strategy = Strategy()
    told = Execution(event_id=1, event="fill", own={})
    said = [
        strategy.on_start(),
        strategy.on_bar("F", (bar(0),)),
        strategy.on_quote(Quote("F", OPEN, 1.0, 2.0)),
        strategy.on_execution(told),
        strategy.checkup(),
        strategy.on_stop(),
    ]
    assert said == [None] * 6
    assert (strategy.required_history(), strategy.state) == (1, {})


def test_each_instance_has_a_state_of_its_own() -> None:
    """What one remembers is not another's."""
    one = Strategy()
    one.state["x"] = 1
    assert Strategy().state == {}


def test_the_example_of_the_page() -> None:
    """It runs as it stands there, and finds its dips in the bundled day."""
    source = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(compile(source, str(PAGE), "exec"), names)  # noqa: S102  # our own page
    store = FakeStore()
    one = hosted(names["Dip"](), ("AAPL", "F"))
    make_host([one], Recorded(), store, live=False).run()
    assert one.tally["wrong"] == 0
    assert one.tally["bars"] == 860
    assert {f["ticker"] for f in store.signals} == {"AAPL", "F"}
    assert {f["qty"] for f in store.signals} == {"10"}


class Recorded(FileBars):
    """The bundled day, as a file is read."""

    def __init__(self) -> None:
        super().__init__(DAY_OF_BARS)

    def follow(self, timeframe: Any, after: Any, put: Any) -> None:
        found: list[Bar] = []
        super().follow(timeframe, after, found.append)
        assert self._thread is not None
        self._thread.join(30)
        for one in found:
            put(one)
