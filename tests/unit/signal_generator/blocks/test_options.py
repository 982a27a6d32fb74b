"""Tests of signal_generator.blocks.options."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signal_generator.blocks.durations import WrongParameter
from signal_generator.blocks.options import MOST_WORKERS, Options, read_options
from tests.helpers.run_trading_call import GIVEN

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


def read(**changes: Any) -> Options:
    """The options of a usual call with some changes."""
    return read_options({**GIVEN, **changes}, lambda: NOW)


def test_a_usual_call() -> None:
    """Durations are seconds, tickers are upper case and each there once."""
    options = read(run_seconds="1h")
    assert (options.frequency, options.run_seconds, options.warm_up) == (1.0, 3600.0, 10.0)
    assert options.tickers == ("AAPL", "MSFT")
    assert (options.per_minute, options.window_s, options.workers) == (190, 60.0, None)
    assert options.at_the_end == "liquidate"


def test_no_key_in_a_repr() -> None:
    """Tracebacks and logs show it."""
    assert "PKTEST" not in repr(read())
    assert "very-secret" not in repr(read())


def test_other_kinds_of_the_same() -> None:
    """A path, a set of tickers, whole floats, a number of workers."""
    options = read(trade_log_path=Path("logs"), tickers={"B", "A"}, num_workers=2.0)
    assert (options.log_path, options.tickers, options.workers) == ("logs", ("A", "B"), 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("strategy_callable", None), ("trade_log_name", ""), ("trade_log_name", "a/b")),
        *(("trade_log_name", 3), ("trade_log_path", ""), ("trade_log_path", None)),
        *(("api_key", ""), ("api_key", None), ("secret_key", " "), ("secret_key", "ü")),
        *(
            ("tickers", "AAPL"),
            ("tickers", []),
            ("tickers", ["AAPL", ""]),
            ("tickers", ["NOPE!"]),
            ("tickers", [1]),
        ),
        *(("tickers", None), ("frequency", "often"), ("frequency", None), ("run_seconds", -1)),
        *(("num_workers", MOST_WORKERS + 1), ("num_workers", 1e9)),
        *(("total_allowed_per_min", 0), ("total_allowed_per_min", "190")),
        *(("total_allowed_per_min", 1.5), ("refill_interval_sec", 0), ("num_workers", 0)),
        *(("num_workers", True), ("use_alpaca", "yes"), ("eos_behavior", "sell")),
        *(("eos_behavior", None), ("custom_shutdown_action", 5), ("warm_up_period", -1)),
        *(("live_display", None), ("display_refresh_rate", 0), ("max_trade_updates", 0)),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_it(name: str, value: Any) -> None:
    """Before anything is started."""
    with pytest.raises(WrongParameter, match=f"^{name}: ") as caught:
        read(**{name: value})
    assert "\n" not in str(caught.value)


def test_a_wrong_key_is_not_repeated() -> None:
    """It may be half of a real one."""
    with pytest.raises(WrongParameter) as caught:
        read(secret_key="half-of-ä-secret")
    assert "half" not in str(caught.value)


def test_custom_needs_its_action() -> None:
    """The end of a session must not do nothing by accident."""
    with pytest.raises(WrongParameter, match=r"^custom_shutdown_action: it is missing"):
        read(eos_behavior="custom")
    assert read(eos_behavior="custom", custom_shutdown_action=print).custom_action is print


@pytest.mark.parametrize(
    ("name", "label"), [("mine", "mine"), ("x" * 99, "x" * 64), ("\x07", None)]
)
def test_the_label_fits_a_signal(name: str, label: str | None) -> None:
    """Printable and short; else a name of ours."""
    assert read(trade_log_name=name).label == (label or "run_trading")
