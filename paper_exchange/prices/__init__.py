"""Where prices come from, and what happened to them: tapes, bars, trades and quotes, no I/O."""
