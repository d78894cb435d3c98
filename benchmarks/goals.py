"""What the project holds itself to, and whether what was measured reaches it.

Each goal is a ratio within one case, so that a slow machine slows both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.model import Limits
from benchmarks.results import CaseResult, EntryResult
from benchmarks.table import table

MB = 10**6

_BLOB = Limits()

_SETTLING = 24
"""Refusals that finding the service's pace takes: it is overstepped at the start and once more in
the search, and once again while it is probed later, by all of eight workers each time at most."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and the least (`at_least`) or the most that it should be; `found` None: unknown."""

    what: str
    bound: float
    found: float | None
    at_least: bool
    unit: str = "×"

    @property
    def reached(self) -> bool | None:
        """Whether it is reached, if it is known."""
        if self.found is None:
            return None
        return self.found >= self.bound if self.at_least else self.found <= self.bound


def goals(results: Mapping[str, CaseResult]) -> list[Goal]:
    """Every goal, with what was found where its case was measured."""
    return [
        *_os_goals(results),
        *_other_disks(results),
        *_growth(results),
        *_emulated(results),
        *_memory(results),
        *_inspection(results),
    ]


def goals_table(found: list[Goal]) -> str:
    """The goals in Markdown."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    rows = [
        [
            goal.what,
            f"{'≥' if goal.at_least else '≤'} {goal.bound:g} {goal.unit}",
            "–" if goal.found is None else f"{goal.found:.4g} {goal.unit}",
            words[goal.reached],
        ]
        for goal in found
    ]
    return table(["goal", "wanted", "found", "reached"], rows)


def _os_goals(results: Mapping[str, CaseResult]) -> Iterator[Goal]:
    for case, what, peer, times in (
        ("os-azurite335", "OS disk, Azurite 3.35.0", "azcopy", 18),
        ("os-azurite335", "OS disk, Azurite 3.35.0", "upload_blob", 45),
        ("dynamic-azurite335", "OS disk, dynamic, Azurite 3.35.0", "convert_azcopy", 18),
        ("os-azurite337", "OS disk, Azurite 3.37.0", "azcopy", 5),
        ("dynamic-azurite337", "OS disk, dynamic, Azurite 3.37.0", "convert_azcopy", 5),
    ):
        yield _faster(results, case, f"{what}: as fast as {peer}", peer, times)
    for kind in ("os", "dynamic"):
        for version in ("335", "337"):
            case = f"{kind}-azurite{version}"
            yield _within_limit(results, case)
            ours = _entry(results, case, "vhdtool")
            wire = None
            if ours is not None and ours.wire_bytes:
                wire = ours.wire_bytes / ours.data_bytes
            yield Goal(f"{case}: bytes on the wire, by the disk's data", 1.02, wire, at_least=False)


def _other_disks(results: Mapping[str, CaseResult]) -> Iterator[Goal]:
    yield _faster(results, "scattered-azurite335", "scattered: as fast as azcopy", "azcopy", 4)
    yield _within_limit(results, "scattered-azurite335")
    for case in ("dense-discard-http", "dense-discard-tls"):
        yield _faster(results, case, f"{case}: throughput, by the limit's", "limit", 0.85)
    for case in ("dense-azurite335", "dense-azurite337"):
        yield _faster(results, case, f"{case}: as fast as azcopy", "azcopy", 1)
    yield _faster(results, "zeros", "8 GiB of zeros: speed, by cat's", "cat", 0.8)


def _growth(results: Mapping[str, CaseResult]) -> Iterator[Goal]:
    for small, large in (("os", "huge"), ("os-dynamic", "huge-dynamic")):
        least = _entry(results, "growth", "vhdtool", small)
        most = _entry(results, "growth", "vhdtool", large)
        found = _ratio(most, least)
        yield Goal(f"growth: {large} by {small}", 1.1, found, at_least=False)
    found = _ratio(
        _entry(results, "threads", "vhdtool-8"), _entry(results, "threads", "vhdtool-32")
    )
    yield Goal("throughput of 32 workers by that of 8", 0.9, found, at_least=True)


def _emulated(results: Mapping[str, CaseResult]) -> Iterator[Goal]:
    ours = _entry(results, "os-strict", "vhdtool")
    sent = ours and ours.count("sent_bytes")
    found = ours.seconds / (sent / _BLOB.bytes_per_second) if ours and sent else None
    yield Goal("emulated limits: OS disk, by bytes / 60 MiB/s", 1.05, found, at_least=False)
    refused = None if ours is None else ours.count("refused")
    what = "emulated limits: OS disk, refusals until the pace has settled"
    yield Goal(what, _SETTLING, refused, at_least=False, unit="requests")
    for disk, peer in (
        ("os", "azcopy"),
        ("os-dynamic", "convert_azcopy"),
        ("scattered", "azcopy"),
        ("dense", "azcopy"),
    ):
        what = f"emulated limits, {disk}: as fast as {peer}"
        yield _faster(results, f"{disk}-strict", what, peer, 1)


def _memory(results: Mapping[str, CaseResult]) -> Iterator[Goal]:
    for names, most, what in (
        (("vhdtool", "vhdtool-8"), 150, "memory at 8 workers, any disk"),
        (("vhdtool-32",), 300, "memory at 32 workers"),
    ):
        peaks = [
            entry.peak_bytes / MB
            for result in results.values()
            for entry in result.entries
            if entry.contender in names and entry.runs
        ]
        yield Goal(what, most, max(peaks, default=None), at_least=False, unit="MB")


def _inspection(results: Mapping[str, CaseResult]) -> Iterator[Goal]:
    result = results.get("inspect")
    disks = dict.fromkeys(entry.disk for entry in result.entries) if result else {}
    for disk in disks:
        ours = _entry(results, "inspect", "inspect", disk)
        if disk == "full-table":
            found = ours.seconds if ours else None
            yield Goal(f"inspect {disk}", 0.5, found, at_least=False, unit="s")
        else:
            found = _ratio(ours, _entry(results, "inspect", "imports", disk))
            yield Goal(f"inspect {disk}: by the imports alone", 3, found, at_least=False)


def _faster(
    results: Mapping[str, CaseResult], case: str, what: str, peer: str, times: float
) -> Goal:
    found = _ratio(_entry(results, case, peer), _entry(results, case, "vhdtool"))
    return Goal(what, times, found, at_least=True)


def _within_limit(results: Mapping[str, CaseResult], case: str) -> Goal:
    found = _ratio(_entry(results, case, "vhdtool"), _entry(results, case, "limit"))
    return Goal(f"{case}: time by the limit's", 1.15, found, at_least=False)


def _entry(
    results: Mapping[str, CaseResult], case: str, name: str, disk: str | None = None
) -> EntryResult | None:
    found = results[case].entry(name, disk) if case in results else None
    return found if found is not None and found.runs else None


def _ratio(dividend: EntryResult | None, divisor: EntryResult | None) -> float | None:
    if dividend is None or divisor is None:
        return None
    return dividend.seconds / divisor.seconds
