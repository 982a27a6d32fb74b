"""``python -m solution`` and the ``signalpaca`` console script."""

from solution.commands.cli import main

if __name__ == "__main__":
    main()
