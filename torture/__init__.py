"""Machines that try to break the service, and an oracle that says whether they did."""
