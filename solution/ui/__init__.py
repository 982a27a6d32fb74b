"""What a person sees: the status snapshot and the terminal display."""
