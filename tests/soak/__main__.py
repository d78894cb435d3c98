"""``python -m tests.soak kills`` and ``faults``: the long runs, with a report of figures as JSON.

A short version of each is part of the normal tests. Exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.faults import run_faults
from tests.soak.kills import run_kills


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("which", choices=["kills", "faults"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="kill points (200), or uploads (1000)")
    parser.add_argument("--azurite", type=int, default=30, help="how many kill points against it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.which == "kills":
            count = 200 if given.count is None else given.count
            report = run_kills(Path(name), given.seed, count, min(given.azurite, count), print)
        else:
            count = 1000 if given.count is None else given.count
            report = run_faults(Path(name), given.seed, count, print)
    print(json.dumps(report.figures, indent=2))
    for problem in report.problems:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
