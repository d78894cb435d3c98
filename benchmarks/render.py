"""Sections of documents that come from the results: what stands between two markers is replaced."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from benchmarks.model_report import model_text
from benchmarks.places import HERE, PROJECT, RESULTS
from benchmarks.plots import LABELS, OVERVIEW, OVERVIEW_CASES
from benchmarks.results import CaseResult, load_all
from benchmarks.table import table

_COLUMNS = ("vhdtool", "azcopy", "upload_blob", "limit")
_ALIASES = {"azcopy": ("azcopy", "convert_azcopy")}
_ROWS = {
    "os-azurite335": "30 GiB OS disk, 1 GB of data, sparse fixed",
    "dynamic-azurite335": "the same disk, dynamic",
    "allocated-azurite335": "8 GiB OS disk, zeros really on disk",
    "scattered-azurite335": "4 GiB, 0.92 GB of data scattered",
    "dense-azurite335": "2 GiB of random bytes",
    "os-azurite337": "30 GiB OS disk, to Azurite 3.37.0",
    "os-strict": "30 GiB OS disk, Azure's limits emulated",
}


class RenderError(RuntimeError):
    """A document or its results are not as they should be; the message says what to do."""


def render(
    results_folder: Path = RESULTS,
    readme: Path = PROJECT / "README.md",
    method: Path = HERE / "README.md",
) -> list[Path]:
    """Write the README's benchmark section and the method page's model section.

    Raises RenderError where nothing was measured.
    """
    results = load_all(results_folder)
    if not results:
        raise RenderError(f"no results in {results_folder}: run 'make bench' first")
    plot = os.path.relpath(results_folder / OVERVIEW, readme.parent)
    link = os.path.relpath(method, readme.parent)
    pages = {
        readme: ("benchmarks", readme_section(results, plot, link)),
        method: ("model", model_text(results)),
    }
    for page, (name, text) in pages.items():
        old = page.read_text(encoding="utf-8") if page.exists() else ""
        page.write_text(replace_section(old, name, text), encoding="utf-8")
    return list(pages)


def readme_section(results: Mapping[str, CaseResult], plot: str, method: str) -> str:
    """The table, the plot, and what they stand for."""
    rows = [
        [title, *(_cell(results[case], column) for column in _COLUMNS)]
        for case, title in _ROWS.items()
        if case in results
    ]
    newest = max(results.values(), key=lambda result: result.when)
    heads = ["seconds", *(LABELS[column] for column in _COLUMNS)]
    versions = newest.versions
    how = (
        f"Medians on {newest.machine['cores']} cores ({newest.machine['processor']}), with "
        f"AzCopy {versions.get('azcopy', '?')} and azure-storage-blob "
        f"{versions['azure-storage-blob']}. To Azurite {versions.get('azurite (older)', '?')} in "
        "memory on the same machine, unless another is named; a dynamic disk goes to AzCopy by way "
        f"of `qemu-img convert`. How it was measured, and what it says about Azure: [{method}]"
        f"({method})."
    )
    parts = [table(heads, rows), how]
    if any(case in results for case in OVERVIEW_CASES):
        parts.append(f"![Upload times of vhdtool, its peers and the limit]({plot})")
    return "\n\n".join(parts)


def replace_section(document: str, name: str, text: str) -> str:
    """*document* with *text* between the markers of section *name*, added at the end if missing.

    Raises RenderError where only one of the markers is there, or one twice.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    section = f"{start}\n\n{text}\n\n{end}"
    found = document.count(start), document.count(end)
    if found == (0, 0):
        return f"{document.rstrip()}\n\n{section}\n".lstrip()
    if found != (1, 1) or document.index(start) > document.index(end):
        raise RenderError(f"the markers {start} and {end} should be there once each, in this order")
    before, _, rest = document.partition(start)
    after = rest.partition(end)[2]
    return f"{before}{section}{after}"


def _cell(result: CaseResult, column: str) -> str:
    names = _ALIASES.get(column, (column,))
    entry = next(filter(None, (result.entry(name) for name in names)), None)
    if entry is None or not entry.runs:
        return "–"
    ours = result.entry("vhdtool")
    if column in ("vhdtool", "limit") or ours is None or not ours.runs:
        return f"{entry.seconds:.3g}"
    return f"{entry.seconds:.3g} ({entry.seconds / ours.seconds:.3g} ×)"
