"""Threads that run steps, restart and stop; lanes between them. Knows nothing of trading."""
