"""What an account was worth over time."""
