"""The parts of the scalper: a machine per symbol, and the strategy around them."""
