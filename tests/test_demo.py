"""`make demo` runs to its end, and its end is the proof."""

from __future__ import annotations

import subprocess
import sys


def test_demo_proves_the_blob_equal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(
        "Equal: 67,108,864 bytes of the disk, and a fixed footer after them."
    )
