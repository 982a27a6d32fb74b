"""What is written to disk, and read back at a start."""
