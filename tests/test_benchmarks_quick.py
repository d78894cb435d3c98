"""The quick mode from end to end: every kind of target, real disks, a report. No time is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cases import QUICK
from tests.support import oracles


@pytest.mark.timeout(600)
def test_the_quick_mode_measures_checks_and_reports(tmp_path: Path) -> None:
    for name in ("mke2fs", "qemu-img", "nginx"):
        oracles.program(name)
    results = tmp_path / "results"
    command = [sys.executable, "-m", "benchmarks", "--results", str(results)]
    environment = os.environ | {"VHDTOOLS_BENCHMARKS_WORK": str(tmp_path / "work")}

    done = subprocess.run(
        [*command, "quick", "--rounds", "1", "--keep"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for case in QUICK:
        found = json.loads((results / f"{case.name}.json").read_text())
        assert [(e["contender"], e["disk"]) for e in found["entries"]] == [
            (entry.contender, entry.disk) for entry in case.entries
        ]
        for entry in found["entries"]:
            assert entry["problems"] == []
            assert len(entry["runs"]) == 1
            assert entry["runs"][0]["seconds"] > 0
    text = "".join(path.read_text() for path in results.glob("*.json"))
    assert str(tmp_path) not in text
    assert "sig=" not in text
