"""Where bars and quotes come from: a running market, or files."""
