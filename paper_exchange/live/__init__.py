"""Market data over websockets: what is said, what is due, and who gets it."""
