"""Faults: how one is written, which are in force, and what they do to orders."""
