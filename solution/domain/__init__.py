"""The vocabulary: signals, orders, states, events, reasons. Pure, no I/O, no threads."""
