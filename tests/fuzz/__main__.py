"""``python -m tests.fuzz [TARGET...] [--seconds N]``: fuzz the targets, one after the other.

Tells executions, what crashed, was slow (over 1 s) or grew by more than 200 MB, and exits with 1
if anything did. Inputs that reached new code are kept below --corpus, for the next time.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.seeds import SEEDS

TARGETS = ("parser", "inspection", "reading")

_EXECUTIONS = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_PEAK = re.compile(rb"stat::peak_rss_mb:\s*(\d+)")
_MAX_INPUT = 16 * 1024
_HANG_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the fuzzing of a target ended; `peak` is in MB, fuzzer included."""

    target: str
    executions: int
    seconds: float
    inputs: int
    peak: int
    crashes: tuple[Path, ...]
    output: bytes


def fuzz(target: str, seconds: int, corpus: Path, artifacts: Path) -> Outcome:
    """Run a target for so many seconds, from the seeds and from what `corpus` holds already."""
    mine = corpus / target
    mine.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (mine / f"seed-{name}").write_bytes(data)
    artifacts.mkdir(parents=True, exist_ok=True)
    prefix = artifacts / f"{target}-"
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.fuzzer",
        target,
        f"-max_total_time={seconds}",
        f"-max_len={_MAX_INPUT}",
        f"-timeout={_HANG_SECONDS}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-verbosity=1",
        f"-artifact_prefix={prefix}",
        str(mine),
    ]
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    took = time.monotonic() - started
    crashes = tuple(sorted(artifacts.glob(f"{target}-*")))
    if done.returncode != 0 and not crashes:
        sys.stdout.buffer.write(done.stdout)
        raise SystemExit(f"the fuzzer itself failed with {done.returncode}")
    return Outcome(
        target,
        _number(_EXECUTIONS, done.stdout),
        took,
        len(list(mine.iterdir())),
        _number(_PEAK, done.stdout),
        crashes,
        done.stdout,
    )


def _number(pattern: re.Pattern[bytes], output: bytes) -> int:
    match = pattern.search(output)
    return int(match[1]) if match else 0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--corpus", type=Path, help="where inputs are kept (default: nowhere)")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="vhdtools-corpus-") as name:
        corpus = arguments.corpus or Path(name)
        artifacts = Path(tempfile.mkdtemp(prefix="vhdtools-crashes-"))
        outcomes = []
        for target in arguments.targets or TARGETS:
            outcome = fuzz(target, arguments.seconds, corpus, artifacts)
            outcomes.append(outcome)
            print(
                f"{target:<11} {outcome.executions:>10,} executions in {outcome.seconds:,.0f} s, "
                f"{outcome.inputs:,} inputs kept, {outcome.peak} MB at the most, "
                f"{len(outcome.crashes)} failed",
                flush=True,
            )
            for crash in outcome.crashes:
                print(f"  {crash}")
                sys.stdout.flush()
            if outcome.crashes:
                sys.stdout.buffer.write(outcome.output[-4000:])
    failed = any(outcome.crashes for outcome in outcomes)
    if not failed:
        artifacts.rmdir()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
