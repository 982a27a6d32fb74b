"""Buy a new high of the last twenty minutes, sell a new low of the last ten."""

from signal_generator import Signal, Strategy


class Breakout(Strategy):
    """One position at a time per symbol; its size is the service's business."""

    symbols = ("TSLA", "META", "AAPL")

    def required_history(self):
        return 21

    def on_bar(self, symbol, bars):
        *before, now = bars
        holds = self.state.setdefault("holds", [])
        if symbol not in holds and now.close > max(bar.high for bar in before):
            holds.append(symbol)
            return Signal(symbol=symbol, side="buy")
        if symbol in holds and now.close < min(bar.low for bar in before[-10:]):
            holds.remove(symbol)
            return Signal(symbol=symbol, side="sell")
        return None

    def on_execution(self, update):
        # A buy that came to nothing is forgotten, so that the next high is tried again.
        if update.final and update.side == "buy" and not update.filled_qty:
            if update.ticker in self.state.get("holds", []):
                self.state["holds"].remove(update.ticker)
