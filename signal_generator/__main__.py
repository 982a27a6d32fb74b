"""`python -m signal_generator`."""

from signal_generator.cli import main

if __name__ == "__main__":
    main(prog_name="python -m signal_generator")
