"""A usual call of `run_trading`, by the names of its parameters."""

from typing import Any

GIVEN: dict[str, Any] = {
    "strategy_callable": lambda _context: None,
    "trade_log_name": "mine",
    "trade_log_path": "logs",
    "api_key": "PKTEST",
    "secret_key": "very-secret",
    "tickers": ["AAPL", "msft", "AAPL"],
    "frequency": 1,
    "run_seconds": 3600,
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
