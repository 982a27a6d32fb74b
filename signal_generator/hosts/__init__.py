"""What runs strategies: one inbox, one thread, state and signals in one transaction."""
