"""The tests of ``test_openapi.py`` with more data, of another kind at each seed.

``python -m tests.contract.openapi.campaign --examples 500 --seed 1``
"""

import argparse
import os
import subprocess
import sys

from tests.contract.openapi.schemas import EXAMPLES


def main() -> int:
    """Run the campaign; pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="per operation (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the generated data (default: 0)")
    given = parser.parse_args()
    # An operation may take longer than a test of the normal run is allowed to.
    command = [
        "tests/contract/test_openapi.py",
        f"--hypothesis-seed={given.seed}",
        "--timeout=3600",
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *command],
        env={**os.environ, EXAMPLES: str(given.examples)},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
