"""Benchmarks of the service beside its floor and a plain reference; see README.md."""
