"""Tests of signal_generator.run_trading: the signature, the import, and what is handed on."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import signal_generator
from signal_generator.blocks.options import read_options
from signal_generator.blocks.run import utc_now
from signal_generator.run_trading import run_trading, signer, stack_options
from tests.helpers.run_trading_call import GIVEN


def test_the_signature_is_blockpacas() -> None:
    """Names, order and defaults of 0.1.2: scripts pass them by position and by name."""
    names = inspect.signature(run_trading).parameters
    required = ("strategy_callable", "trade_log_name", "trade_log_path", "api_key", "secret_key")
    assert tuple(names)[:8] == (*required, "tickers", "frequency", "run_seconds")
    assert all(names[name].default is inspect.Parameter.empty for name in tuple(names)[:8])
    assert {name: names[name].default for name in tuple(names)[8:]} == {
        "total_allowed_per_min": 190,
        "refill_interval_sec": 60,
        "num_workers": None,
        "use_alpaca": True,
        "eos_behavior": "liquidate",
        "custom_shutdown_action": None,
        "warm_up_period": 10,
        "live_display": False,
        "display_refresh_rate": 0.5,
        "max_trade_updates": 15,
    }


def test_the_package_hands_out_the_function() -> None:
    """Also after the module of the same name was imported, as it was above."""
    assert signal_generator.run_trading is run_trading


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`random` starts in no time; the function is fetched when it is asked for."""
    code = (
        "import sys, signal_generator\n"
        "heavy = {'redis', 'pandas', 'alpaca', 'requests', 'signal_generator.run_trading'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from signal_generator import run_trading\n"
        "assert callable(run_trading) and run_trading.__name__ == 'run_trading'\n"
        "assert 'pandas' not in sys.modules and 'alpaca' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_wrong_parameter_starts_nothing() -> None:
    """One sentence, before any process."""
    with pytest.raises(ValueError, match=r"^tickers: "):
        run_trading(**{**GIVEN, "tickers": []})


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_log_that_cannot_be_written_starts_nothing(name: str, tmp_path: Path) -> None:
    """Neither by its name nor where it is to be."""
    with pytest.raises(ValueError, match=r"^trade_log_path: .* cannot be written: "):
        run_trading(**{**GIVEN, "trade_log_path": tmp_path, "trade_log_name": name})
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^trade_log_path: .*file.* cannot be written: "):
        run_trading(**{**GIVEN, "trade_log_path": tmp_path / "file"})


def test_what_the_stack_is_given() -> None:
    """Every parameter that is about the service, the exchange or the display."""
    changes: dict[str, Any] = {"num_workers": 3, "use_alpaca": False, "live_display": True}
    options = stack_options(read_options({**GIVEN, **changes, "run_seconds": 100}, utc_now))
    assert (options.api_key, options.secret_key) == ("PKTEST", "very-secret")
    assert (options.tickers, options.workers) == (("AAPL", "MSFT"), 3)
    assert (options.per_minute, options.window_s) == (190, 60.0)
    assert (options.use_alpaca, options.live_display) == (False, True)
    assert (options.refresh, options.updates, options.session_seconds) == (0.5, 15, 110.0)


def test_signals_are_signed_where_a_key_is_set() -> None:
    """By the same variables as of every other generator."""
    fields = {"ticker": "AAPL", "signal_id": "1", "ts": "2026-03-04T15:00:00.000Z"}
    key = "tv1:0123456789abcdef0123456789abcdef"
    signed = signer({"SIGNAL_HMAC_KEY": key})("blocks")(fields)
    assert (signed["kid"], len(signed["sig"])) == ("tv1", 64)
    assert signer({})("blocks")(fields) == fields
    with pytest.raises(ValueError, match="SIGNAL_HMAC_KEY"):
        signer({"SIGNAL_HMAC_KEY": "nonsense"})
