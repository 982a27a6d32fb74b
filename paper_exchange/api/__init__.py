"""The HTTP surface: one module per group of endpoints, plain functions from a call to a reply."""
