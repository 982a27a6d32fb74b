"""Builders of the running service's parts, one job each; ``assembly.py`` calls them in order.

Each takes what it needs and returns what it built. None starts anything.
"""
