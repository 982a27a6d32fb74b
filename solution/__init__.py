"""Consume trading signals from Redis streams and execute each as one order at Alpaca."""

__version__ = "0.1.0"
