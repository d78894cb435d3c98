"""`python -m benchmarks`: everything, or one part of it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from benchmarks import cases, disks
from benchmarks.cases import Case
from benchmarks.contenders import contender, names
from benchmarks.discarding import DiscardingError
from benchmarks.disks import RoomError
from benchmarks.goals import goals, goals_table
from benchmarks.model_report import model_text
from benchmarks.places import RESULTS
from benchmarks.render import RenderError, render
from benchmarks.report import write_report
from benchmarks.results import load_all, save
from benchmarks.runner import measure_case
from benchmarks.table import case_table
from benchmarks.targets import TARGETS
from benchmarks.tools import ToolError
from tests.support.azurite import AzuriteError
from tests.support.node import NodeError

_TERMINATED = 143


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 if anything of our own went wrong."""
    options = _parser().parse_args(arguments)
    # Ended by a signal, it still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        done: int = options.run(options)
    except (RoomError, ToolError, RenderError, DiscardingError, AzuriteError, NodeError) as error:
        print(error, file=sys.stderr)
        return 1
    return done


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="the folder of results (default: %(default)s)"
    )
    parser.set_defaults(run=_run_full)
    parts = parser.add_subparsers(title="parts (all cases and the report without one)")

    full = parts.add_parser("run", help="measure named cases, or all, and write the report")
    full.add_argument("cases", nargs="*", metavar="CASE", help="see 'list'")
    full.add_argument("--rounds", type=int)
    full.add_argument("--no-wire", action="store_true", help="leave out the runs that count bytes")
    full.set_defaults(run=_run_full)

    quick = parts.add_parser("quick", help="small disks, no AzCopy: does all of it work?")
    quick.add_argument("--rounds", type=int)
    quick.add_argument("--keep", action="store_true", help="write results, too")
    quick.set_defaults(run=_run_quick)

    upload = parts.add_parser("upload", help="measure what is asked for, and print it")
    upload.add_argument("--disk", action="append", choices=disks.RECIPES, required=True)
    upload.add_argument("--target", choices=TARGETS, default="azurite335")
    upload.add_argument(
        "--contender",
        action="append",
        type=_known,
        metavar="NAME[-WORKERS]",
        help=f"of {', '.join(names())}",
    )
    upload.add_argument("--rounds", type=int, default=cases.FEW)
    upload.add_argument("--wire", action="store_true", help="count bytes on the wire, too")
    upload.add_argument("--keep", action="store_true", help="write the result to a file, too")
    upload.set_defaults(run=_run_upload)

    report = parts.add_parser("report", help="write results/README.md and plots from the results")
    report.set_defaults(run=_report)

    wanted = parts.add_parser("goals", help="whether the results reach what is wanted")
    wanted.set_defaults(run=_goals)

    model = parts.add_parser("model", help="the model on paper beside the emulated runs")
    model.set_defaults(run=_model)

    rendering = parts.add_parser("render", help="write the README's section from the results")
    rendering.set_defaults(run=_render)

    listing = parts.add_parser("list", help="name the cases, disks, targets and contenders")
    listing.set_defaults(run=_list)

    build = parts.add_parser("disks", help="build disks, or all")
    build.add_argument("disks", nargs="*", choices=[[], *disks.RECIPES], metavar="DISK")
    build.set_defaults(run=_build)

    clean = parts.add_parser("clean", help="delete the disks")
    clean.set_defaults(run=_clean)
    return parser


def _run_full(options: argparse.Namespace) -> int:
    wanted = getattr(options, "cases", None) or [case.name for case in cases.FULL]
    known = {case.name: case for case in cases.FULL}
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"no case {', '.join(unknown)}; there are {', '.join(known)}")
    sound = True
    for name in wanted:
        case = _with_rounds(known[name], getattr(options, "rounds", None))
        sound &= _measure(case, options.results, wire=not getattr(options, "no_wire", False))
    _report(options)
    return 0 if sound else 1


def _run_quick(options: argparse.Namespace) -> int:
    output = options.results if options.keep else None
    sound = [
        _measure(_with_rounds(case, options.rounds), output, wire=False) for case in cases.QUICK
    ]
    return 0 if all(sound) else 1


def _run_upload(options: argparse.Namespace) -> int:
    contenders = options.contender or ["vhdtool", "limit"]
    case = Case(
        f"{'+'.join(options.disk)}-{options.target}",
        TARGETS[options.target].description,
        options.target,
        cases.product(contenders, options.disk),
        options.rounds,
    )
    output = options.results if options.keep else None
    return 0 if _measure(case, output, wire=options.wire) else 1


def _measure(case: Case, output: Path | None, *, wire: bool) -> bool:
    """Measure a case, print its table, keep it if told where; whether all contenders succeeded."""
    print(f"{case.name}: {case.title}", flush=True)
    result = measure_case(case, wire=wire)
    if output is not None:
        save(result, output)
    print(f"\n{case_table(result)}\n", flush=True)
    return not any(entry.problems for entry in result.entries)


def _with_rounds(case: Case, rounds: int | None) -> Case:
    if rounds is None:
        return case
    return Case(case.name, case.title, case.target, case.entries, rounds)


def _report(options: argparse.Namespace) -> int:
    for path in write_report(options.results):
        print(f"wrote {os.path.relpath(path)}")
    return 0


def _goals(options: argparse.Namespace) -> int:
    print(goals_table(goals(load_all(options.results))))
    return 0


def _model(options: argparse.Namespace) -> int:
    print(model_text(load_all(options.results)))
    return 0


def _render(options: argparse.Namespace) -> int:
    for path in render(options.results):
        print(f"wrote {os.path.relpath(path)}")
    return 0


def _list(_: argparse.Namespace) -> int:
    print("cases:", *(f"  {case.name}: {case.title}" for case in cases.FULL), sep="\n")
    print("disks:", *(f"  {n}: {r.description}" for n, r in disks.RECIPES.items()), sep="\n")
    print("targets:", *(f"  {n}: {t.description}" for n, t in TARGETS.items()), sep="\n")
    print("contenders:", *(f"  {name}: {contender(name).title}" for name in names()), sep="\n")
    return 0


def _build(options: argparse.Namespace) -> int:
    for name in options.disks or disks.RECIPES:
        print(disks.get_disk(name))
    return 0


def _clean(_: argparse.Namespace) -> int:
    disks.clean()
    return 0


def _known(name: str) -> str:
    try:
        contender(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


if __name__ == "__main__":
    sys.exit(main())
