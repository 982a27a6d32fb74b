"""Programs that publish trading signals to a Redis stream."""
