"""Plots of the results, as SVG files that change only when the results do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import CaseResult, EntryResult

OVERVIEW = "overview.svg"
THREADS = "threads.svg"
INSPECTION = "inspection.svg"

COLOURS = {
    "vhdtool": "#1b6ca8",
    "limit": "#9aa5b1",
    "bare": "#c9d1d9",
    "azcopy": "#d97706",
    "azcopy_tuned": "#f2b25c",
    "convert_azcopy": "#d97706",
    "upload_blob": "#8c3b6a",
    "cat": "#9aa5b1",
    "inspect": "#1b6ca8",
    "imports": "#9aa5b1",
    "qemu_info": "#5b8a3a",
    "vhdiinfo": "#a8c686",
}

LABELS = {
    "vhdtool": "vhdtool upload",
    "limit": "the limit (same requests, from memory)",
    "bare": "a bare client that starts, reads, digests",
    "azcopy": "AzCopy",
    "azcopy_tuned": "AzCopy, unpaced",
    "convert_azcopy": "qemu-img convert + AzCopy",
    "upload_blob": "upload_blob",
    "cat": "cat",
    "inspect": "vhdtool inspect",
    "imports": "importing construct and click",
    "qemu_info": "qemu-img info",
    "vhdiinfo": "vhdiinfo",
}

OVERVIEW_CASES = {
    "os-azurite335": "30 GiB OS disk",
    "dynamic-azurite335": "the same, dynamic",
    "scattered-azurite335": "4 GiB, scattered",
    "dense-azurite335": "2 GiB, dense",
    "os-strict": "30 GiB OS disk,\nAzure's limits",
}
"""Cases in the overview, and what they are called there."""

_BAR = 0.8
_INK = "#333333"


def draw_all(results: Mapping[str, CaseResult], folder: Path) -> list[Path]:
    """Draw every plot whose cases were measured; the files that were written."""
    drawn = {
        OVERVIEW: _overview(results),
        THREADS: _threads(results),
        INSPECTION: _inspection(results),
    }
    return [_save(figure, folder / name) for name, figure in drawn.items() if figure is not None]


def _overview(results: Mapping[str, CaseResult]) -> Figure | None:
    groups = [
        _Group(label, results[case].entries)
        for case, label in OVERVIEW_CASES.items()
        if case in results
    ]
    return _bars(groups) if groups else None


def _inspection(results: Mapping[str, CaseResult]) -> Figure | None:
    result = results.get("inspect")
    if result is None:
        return None
    disks = dict.fromkeys(entry.disk for entry in result.entries)
    return _bars([_Group(disk, [e for e in result.entries if e.disk == disk]) for disk in disks])


@dataclass(frozen=True, slots=True)
class _Group:
    """Bars that belong together."""

    label: str
    entries: Sequence[EntryResult]


def _bars(groups: Sequence[_Group]) -> Figure:
    """Horizontal bars in groups, the first group at the top, with the spread as a whisker."""
    total = sum(len(group.entries) + 1 for group in groups)
    figure = Figure(figsize=(8, 0.6 + 0.28 * total), layout="constrained")
    axes = figure.add_subplot()
    seen = set[str]()
    ticks = list[float]()
    position = 0
    for group in groups:
        entries = [entry for entry in group.entries if entry.runs]
        ticks.append(position + (len(entries) - 1) / 2)
        for entry in entries:
            name, seconds, (low, high) = entry.contender, entry.seconds, entry.spread
            axes.barh(
                position,
                seconds,
                _BAR,
                color=COLOURS[name],
                xerr=[[seconds - low], [high - seconds]],
                error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": _INK},
                label=None if name in seen else LABELS[name],
            )
            axes.annotate(
                f" {seconds:.3g} s", (high, position), va="center", fontsize=8, color=_INK
            )
            seen.add(name)
            position += 1
        position += 1
    axes.set_yticks(ticks, [group.label for group in groups])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("seconds; shorter is better")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _threads(results: Mapping[str, CaseResult]) -> Figure | None:
    result = results.get("threads")
    if result is None:
        return None
    points = sorted(
        (int(entry.contender.partition("-")[2]), entry)
        for entry in result.entries
        if entry.contender.startswith("vhdtool-") and entry.runs
    )
    workers = [number for number, _ in points]
    figure = Figure(figsize=(8, 3), layout="constrained")
    rates, memory = figure.subplots(1, 2)
    rates.plot(
        workers,
        [entry.data_bytes / entry.seconds / 1e6 for _, entry in points],
        "o-",
        color=COLOURS["vhdtool"],
    )
    rates.set_ylabel("MB/s, the whole command")
    memory.plot(
        workers, [entry.peak_bytes / 1e6 for _, entry in points], "o-", color=COLOURS["vhdtool"]
    )
    memory.set_ylabel("MB resident at the most")
    for axes in (rates, memory):
        axes.set_xlabel("workers")
        axes.set_xticks(workers)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    # Ids and dates in the file would change with every run.
    with mpl.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "path"}):
        figure.savefig(path, metadata={"Date": None})
    return path
