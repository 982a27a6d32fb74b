"""One module per version; the SQL beside it is what it runs."""
