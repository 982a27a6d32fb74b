"""What this product assumes of Alpaca and nobody has verified, tried out on a paper account.

Everything here was taken from documents. A probe sends one order for one share at half the price,
looks at what the broker makes of it, and cancels it: one order at a time, and at most one share
could ever be bought, for half of what it costs. Nothing is written to the ledger.
"""
