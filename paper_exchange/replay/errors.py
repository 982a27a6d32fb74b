"""The one way in which a replay ends before it begins."""


class ReplayError(Exception):
    """A file cannot be replayed; the text is one sentence that names file, row and column."""
