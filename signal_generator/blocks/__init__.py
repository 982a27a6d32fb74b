"""What `run_trading` is made of: blocks of orders from one callable, for users of blockpaca."""
