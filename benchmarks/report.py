"""The report: every case's table, goals, model and plots, written from the JSON files alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.cases import FULL
from benchmarks.goals import goals, goals_table
from benchmarks.model_report import model_text
from benchmarks.plots import draw_all
from benchmarks.results import CaseResult, load_all
from benchmarks.table import case_table

REPORT = "README.md"


def write_report(folder: Path) -> list[Path]:
    """Write the report and its plots beside the results; the files that were written."""
    results = load_all(folder)
    plots = draw_all(results, folder)
    report = folder / REPORT
    report.write_text("\n\n".join(_sections(results, plots)) + "\n", encoding="utf-8")
    return [report, *plots]


def _sections(results: Mapping[str, CaseResult], plots: list[Path]) -> Iterator[str]:
    yield "# Results"
    yield (
        "Written by `python -m benchmarks report` from the JSON files beside it; the method is in "
        "[benchmarks/README.md](../README.md). Times are medians; the range is from the fastest "
        "to the slowest run. “× ours” is a contender's time as a multiple of vhdtool's with the "
        "same disk. The “own clock” is the time that a contender itself says it took, without "
        "its start."
    )
    yield "## Goals"
    yield goals_table(goals(results))
    for plot in plots:
        yield f"![{plot.stem}]({plot.name})"
    for name in (case.name for case in FULL if case.name in results):
        yield from _case(results[name])
    yield "## The model"
    yield model_text(results)


def _case(result: CaseResult) -> Iterator[str]:
    yield f"## {result.title}"
    yield case_table(result)
    commands = {entry.contender: " && ".join(entry.command) for entry in result.entries}
    lines = [f"- {name}: `{command}`" for name, command in commands.items() if command]
    problems = [f"- {e.contender}, {e.disk}: {p}" for e in result.entries for p in e.problems]
    if problems:
        yield "Failures:\n\n" + "\n".join(f"{line.splitlines()[0]}" for line in problems)
    yield "\n".join(lines)
    machine, versions = _listed(result.machine), _listed(result.versions)
    yield f"<details><summary>{result.when}</summary>\n\n{machine}.\n\n{versions}.\n\n</details>"


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
