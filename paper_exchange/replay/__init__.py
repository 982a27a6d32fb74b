"""Prices out of files: bars, trades and quotes from CSV and Parquet."""
