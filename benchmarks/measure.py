"""Running commands, and what they took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCH = Path(__file__).with_name("launch.py")


class CommandError(RuntimeError):
    """A contender failed; the message holds its command and what it printed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a command took: wall and processor time in seconds, the most memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Taken:
    """Run *command*, with *environment* beside this process's own. Raises CommandError."""
    with tempfile.TemporaryDirectory() as name:
        report, output, errors = (Path(name, part) for part in ("report", "output", "errors"))
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", _LAUNCH, report, *command],
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        _wait(process)
        said = output.read_text(errors="replace")
        if not report.exists():
            raise CommandError(f"{command[0]} could not be started: {errors.read_text()}")
        found = json.loads(report.read_text())
        if found["exit_code"] != 0:
            raise CommandError(
                f"{' '.join(command)}\nexited {found['exit_code']}:\n"
                f"{said[-2000:]}{errors.read_text(errors='replace')[-2000:]}"
            )
    return Taken(found["seconds"], found["cpu_seconds"], found["peak_bytes"], said)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process; when that is broken off, end it and all that it started."""
    try:
        process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def measure_all(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str] | None = None
) -> Taken:
    """Run *commands* one after the other: times added, the larger memory, the last output."""
    parts = [measure(command, environment) for command in commands]
    return Taken(
        sum(part.seconds for part in parts),
        sum(part.cpu_seconds for part in parts),
        max(part.peak_bytes for part in parts),
        parts[-1].output,
    )
