"""What a strategy reads of the account, and the time at the market."""
