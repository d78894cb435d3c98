"""Where benchmarks keep what they install, build and find out."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent

PROJECT = HERE.parent

NPM = HERE / "npm"
"""The folder whose lock file pins AzCopy and the older Azurite."""

RESULTS = HERE / "results"
"""What was measured: committed, as the README's table comes from it."""

WORK_VARIABLE = "VHDTOOLS_BENCHMARKS_WORK"
"""Names another folder for large files than `benchmarks/.work`."""


def work() -> Path:
    """The folder for disks and logs, some 30 GB when all disks are there; never committed."""
    folder = Path(os.environ.get(WORK_VARIABLE) or HERE / ".work")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
