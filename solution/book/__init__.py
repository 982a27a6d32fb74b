"""Numbers and locks: prices, positions, cash and what is promised of them. No I/O."""
