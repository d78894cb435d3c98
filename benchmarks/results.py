"""What was measured, as it is kept: one JSON file for each case."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contender. `seconds` is what counts, `wall_seconds` the whole command's time.

    `own_seconds` is what the contender itself says that it took, without its start and end.

    `counts` are those that the contender says (bytes sent, requests, retries) and those of the
    service (bytes on the wire or in bodies, page writes, refusals), where they have any.
    """

    seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    own_seconds: float | None = None
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryResult:
    """All runs of a contender with a disk.

    `data_bytes` is what the disk holds in non-zero 4 KiB pages, `wire_bytes` what the contender
    sent, headers and all (None: not counted). `problems` are failures, and blobs that were wrong.
    """

    contender: str
    disk: str
    title: str
    command: Sequence[str]
    data_bytes: int
    runs: Sequence[Run]
    wire_bytes: int | None = None
    problems: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """The median; infinite where it never succeeded."""
        return statistics.median(run.seconds for run in self.runs) if self.runs else float("inf")

    @property
    def own_seconds(self) -> float | None:
        """The median of what it says itself."""
        times = [run.own_seconds for run in self.runs if run.own_seconds is not None]
        return statistics.median(times) if times else None

    def count(self, name: str) -> float | None:
        """The median of one of the counts; None where it was not counted."""
        found = [run.counts[name] for run in self.runs if name in run.counts]
        return statistics.median(found) if found else None

    @property
    def spread(self) -> tuple[float, float]:
        """The fastest and the slowest run, in seconds."""
        times = [run.seconds for run in self.runs]
        return (min(times), max(times)) if times else (float("inf"), float("inf"))

    @property
    def peak_bytes(self) -> int:
        """The most memory that any run had resident."""
        return max((run.peak_bytes for run in self.runs), default=0)

    @property
    def cpu_seconds(self) -> float:
        """The median of the processor time."""
        return statistics.median(run.cpu_seconds for run in self.runs) if self.runs else 0.0


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case as it was measured, on which machine, with which versions."""

    case: str
    title: str
    target: str | None
    when: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    entries: Sequence[EntryResult]

    def entry(self, contender: str, disk: str | None = None) -> EntryResult | None:
        """The results of a contender, with any disk or the one that is named."""
        for entry in self.entries:
            if entry.contender == contender and disk in (None, entry.disk):
                return entry
        return None


def save(result: CaseResult, folder: Path) -> Path:
    """Write a result, in place of an earlier one of the same case."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.case}.json"
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> CaseResult:
    """Read what `save` wrote."""
    known = json.loads(path.read_text(encoding="utf-8"))
    entries = [
        EntryResult(**entry | {"runs": [Run(**run) for run in entry["runs"]]})
        for entry in known.pop("entries")
    ]
    return CaseResult(**known, entries=entries)


def load_all(folder: Path) -> dict[str, CaseResult]:
    """Every result by its case."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}
