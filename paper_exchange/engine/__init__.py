"""The venue: which orders are taken, and what becomes of them in the market. No I/O."""
