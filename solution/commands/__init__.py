"""The command line, one module per group; arguments in, text out, no logic of its own."""
