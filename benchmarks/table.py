"""Results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.results import CaseResult, EntryResult

OURS = ("vhdtool", "inspect")


def case_table(result: CaseResult) -> str:
    """A case's medians, spreads and ratios.

    The ratio is the time as a multiple of ours with the same disk, so more than 1 is slower.
    """
    rows = [
        [
            entry.title,
            entry.disk,
            f"{entry.seconds:.3g}",
            "{:.3g}–{:.3g}".format(*entry.spread),
            "–" if entry.own_seconds is None else f"{entry.own_seconds:.3g}",
            _ratio(result, entry),
            f"{entry.cpu_seconds:.3g}",
            f"{entry.peak_bytes / 2**20:.0f}",
            _wire(entry),
            f"{len(entry.runs)}" + (f" ({len(entry.problems)} failed)" if entry.problems else ""),
        ]
        for entry in result.entries
    ]
    heads = ["contender", "disk", "median s", "min–max s", "own clock s", "× ours", "CPU s"]
    return table([*heads, "peak MiB", "MB on the wire", "runs"], rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column is text, the others are aligned to the right."""
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, marks, *rows))


def _ratio(result: CaseResult, entry: EntryResult) -> str:
    ours = next(filter(None, (result.entry(name, entry.disk) for name in OURS)), None)
    if ours is None or not ours.runs or not entry.runs:
        return "–"
    return f"{entry.seconds / ours.seconds:.2f}"


def _wire(entry: EntryResult) -> str:
    return "–" if entry.wire_bytes is None else f"{entry.wire_bytes / 1e6:,.0f}"
