"""Uses the old Python SDK as the variables of the guide point it; prints what it found as JSON."""

import json
import os
import sys
import threading
from queue import Queue

from alpaca_trade_api import REST, Stream


def main() -> None:
    """An account, a price, and a quote of either stream of market data."""
    api, told = REST(), Queue()

    async def hear(quote: object) -> None:
        told.put(quote.symbol)

    stream = Stream()
    stream.subscribe_quotes(hear, "KO")
    stream.subscribe_crypto_quotes(hear, "BTC/USD")
    threading.Thread(target=stream.run, daemon=True).start()
    symbols = {"KO", "BTC/USD"}
    while symbols:
        symbols.discard(told.get(timeout=5))
    found = [api.get_account().status, api.get_latest_trade("KO").p > 0, "streams"]
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    # The stream's thread is still running.
    os._exit(0)


if __name__ == "__main__":
    main()
