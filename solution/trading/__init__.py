"""From a signal to the end of its order: gates, sizing, submission, tracking, recovery."""
