"""The durable record of every signal, and the way out for what happened to it."""
