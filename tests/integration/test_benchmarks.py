"""Each benchmark runs from its command line, small, and reports what it says it reports."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.latency import matched
from benchmarks.processes import Failed

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 100.0


@pytest.fixture
def run(redis_executable: str, tmp_path: Path) -> Any:
    """Run one benchmark; its standard output and its JSON."""
    del redis_executable  # its absence skips

    def run_one(script: str, *arguments: str) -> tuple[str, dict[str, Any]]:
        result = tmp_path / "result.json"
        done = subprocess.run(
            [sys.executable, f"benchmarks/{script}", *arguments, "--json", str(result)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads(result.read_text())

    return run_one


def test_latency_measures_every_pipeline_and_compares_them(run: Any) -> None:
    """Every signal sent has arrived, and the ratios are those of the medians."""
    shown, found = run("latency.py", "--seconds", "0.4", "--rounds", "1", "--tickers", "5")
    pipelines = found["pipelines"]
    assert list(pipelines) == ["floor", "reference", "service", "service-fsync"]
    assert {one["signals"] for one in pipelines.values()} == {20}
    floor, service = pipelines["floor"], pipelines["service"]
    ratio = service["median_us"] / floor["median_us"]
    assert service["ratio_to"]["floor"]["median_us"] == pytest.approx(ratio, abs=0.001)
    assert floor["median_us"] <= floor["p90_us"] <= floor["p99_us"] <= floor["max_us"]
    assert "median ≤ 2.0 × the floor's" in shown


def test_throughput_counts_every_order_and_waits_for_the_last_event(run: Any) -> None:
    """With a delay the share of the ideal is told, and for the service the end of everything."""
    arguments = ("--signals", "40", "--workers", "4", "--delays", "0,10", "--seconds", "0.1")
    shown, found = run("throughput.py", *arguments, "--tickers", "20")
    legs = {(one["pipeline"], one["delay_ms"]): one for one in found["median"]}
    assert len(legs) == 8
    assert {one["signals"] for one in legs.values()} == {40}
    service, floor = legs["service", 10], legs["floor", 10]
    assert 0.0 < service["settled_per_s"] <= service["orders_per_s"] * 1.001
    assert "settled_per_s" not in floor
    assert 0.0 < floor["share_of_ideal"] <= 1.1
    assert floor["broker_delay_ms"] >= 9.0
    assert "of workers/10 ms with 4" in shown


def test_stages_tells_what_each_stage_costs(run: Any) -> None:
    """Every stage between XADD and POST has a cost, and so has what follows."""
    _, found = run("stages.py", "--count", "20", "--postgres")
    stages = found["stages"]
    assert sum(one["stage"].startswith("PostgreSQL: ") for one in stages) == 5
    assert all(one["wall_us"] > 0 and one["cpu_us"] > 0 for one in stages)
    assert {one["before_post"] for one in stages} == {True, False}


def test_blocks_measures_from_the_return_to_each_arrival(run: Any) -> None:
    """The first is before the last, and without blockpaca it says so."""
    arguments = ("--sizes", "4", "--blocks", "2", "--rounds", "1", "--pause", "0.05")
    shown, found = run("blocks.py", *arguments, "--workers", "2", "--env", "ORDERING=none")
    rows = {one["pipeline"]: one for one in found["rows"]}
    assert list(rows) == ["floor", "reference", "service"]
    assert {one["blocks"] for one in rows.values()} == {2}
    service = rows["service"]
    assert 0.0 < service["first_ms"] <= service["each_p50_ms"] <= service["each_p99_ms"]
    assert service["first_ms"] <= service["last_ms"] <= service["last_max_ms"]
    assert "without blockpaca" in shown


def test_blocks_far_counts_orders_fills_and_positions(run: Any) -> None:
    """Each signal has one order and one fill, and the fills are the broker's positions."""
    arguments = ("--blocks", "3", "--size", "2", "--latency-ms", "20", "--tickers", "3")
    shown, found = run("blocks_far.py", *arguments)
    assert found["orders"] == found["ids"] == found["fills"] == found["ends"] == 6
    assert found["each_once"]
    assert found["positions_agree"]
    assert 0.0 < found["lag_median_ms"] <= found["lag_max_ms"]
    assert "reached  one order per signal" in shown


def test_a_benchmark_whose_service_cannot_start_says_why(run: Any) -> None:
    """The end of the service's log is shown, and nothing is reported."""
    with pytest.raises(AssertionError, match="SIZING"):
        run("latency.py", "--pipelines", "service", "--seconds", "0.1", "--env", "SIZING=nonsense")


def test_signals_are_matched_by_ticker_in_order() -> None:
    """Arrivals of different tickers may overtake each other."""
    sent = [(100, "AAA"), (200, "BBB"), (300, "AAA")]
    log = [(250, "BBB", "b", 0), (260, "AAA", "a", 0), (350, "AAA", "c", 0)]
    assert sorted(matched(sent, log)) == [50, 50, 160]


def test_a_missing_order_is_no_sample() -> None:
    """Fewer orders than signals is an error, never a better median."""
    with pytest.raises(Failed, match="1 orders for 2 signals"):
        matched([(100, "AAA"), (200, "BBB")], [(150, "AAA", "a", 0)])


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)])
def test_percentiles_are_values_that_occurred(share: float, value: int) -> None:
    """Of 1 to 100, the value at each share is that many."""
    assert report.percentile(list(range(1, 101)), share) == value
