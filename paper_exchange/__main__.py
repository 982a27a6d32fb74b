"""``python -m paper_exchange``."""

from paper_exchange.cli import main

if __name__ == "__main__":
    main(prog_name="paper_exchange")
