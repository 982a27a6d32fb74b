"""Buys what has risen and sells what has fallen: a blockpaca script whose import line was changed.

Without keys in the environment it trades at an exchange on this machine. An argument is the number
of seconds to run; without one it runs to the end of the day's session.
"""

import os
import sys

from signal_generator import run_trading  # was: from blockpaca import run_trading

TICKERS = ["AAPL", "AMD", "MSFT", "NVDA", "TSLA"]
MOST_SHARES = 3
last_mid: dict[str, float] = {}


def strategy(context: dict) -> list[dict] | None:
    """One block of orders: a share of each ticker that has moved since the last call."""
    quotes, positions = context["get_current_data"]()
    if quotes is None:
        return None
    held = {position["ticker"]: position["quantity"] for position in positions}
    orders = []
    for ticker, quote in quotes.items():
        mid = (quote["bid"] + quote["ask"]) / 2
        before, last_mid[ticker] = last_mid.get(ticker, mid), mid
        if mid > before and held.get(ticker, 0) < MOST_SHARES:
            orders.append(order(ticker, "buy", "buy_long"))
        elif mid < before and held.get(ticker, 0) > 0:
            orders.append(order(ticker, "sell", "sell_long"))
    return orders


def order(ticker: str, side: str, action: str) -> dict:
    """One share at the market."""
    return {
        "ticker": ticker,
        "quantity": 1,
        "side": side,
        "order_type": "market",
        "action": action,
    }


if __name__ == "__main__":
    key = os.environ.get("ALPACA_API_KEY", "")
    run_trading(
        strategy_callable=strategy,
        trade_log_name="momentum",
        trade_log_path="logs",
        api_key=key or "simulated",
        secret_key=os.environ.get("ALPACA_SECRET_KEY", "") or "simulated",
        tickers=TICKERS,
        frequency=0.5,
        run_seconds=float(sys.argv[1]) if len(sys.argv) > 1 else "EOD",
        use_alpaca=bool(key),
        eos_behavior="liquidate",
        warm_up_period=2,
    )
