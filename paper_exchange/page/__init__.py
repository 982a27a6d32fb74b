"""The page at ``/``: what goes on in the exchange, and switches for what should go wrong."""
