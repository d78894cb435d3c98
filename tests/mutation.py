"""Break the code that proves things, one small change at a time, and see whether a test notices.

``python -m tests.mutation [MODULE...] [--limit N] [--seconds S]`` copies the project, applies one
mutant of a module after the other to the copy, and runs the nearest tests. It prints the mutants
that survived, and ends with 1 if there are any that `EQUIVALENT` does not explain.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]

NEAREST: dict[str, tuple[str, ...]] = {
    "transfer/checkpoint.py": ("test_transfer_books.py", "test_transfer_finishing.py"),
    "transfer/ledger.py": ("test_transfer_books.py", "test_transfer_chunks.py"),
    "transfer/coverage.py": ("test_transfer_compare.py",),
    "transfer/compare.py": ("test_transfer_compare.py", "test_verify.py"),
    "transfer/finishing.py": ("test_transfer_finishing.py",),
    "transfer/differences.py": ("test_verify.py",),
    "transfer/verify.py": ("test_verify.py", "test_upload_resume.py"),
    "transfer/outage.py": ("test_transfer_outage.py",),
    "transfer/plan.py": ("test_transfer_plan.py", "test_transfer_chunks.py"),
    "transfer/opening.py": (
        "test_upload_resume.py",
        "test_transfer_finishing.py",
        "test_transfer_overwriting.py",
    ),
}
"""Each module with the tests that should notice its mutants."""

EQUIVALENT: dict[str, str] = {
    "transfer/coverage.py: missing.end > job.disk_size -> missing.end >= job.disk_size": (
        "the footer is read once more"
    ),
    "transfer/finishing.py: 5 -> 6": "one more try to meet a second",
    "transfer/opening.py: self._current.end <= item.offset -> self._current.end < item.offset": (
        "ranges that touch are one, so the next one does not cover the item either"
    ),
    "transfer/verify.py: 8 -> 9": "one more worker where the caller names no number",
}
"""Mutants that change nothing that can be seen, by module and change, each with the reason."""

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module's source with one change, and what that is."""

    module: str
    line: int
    change: str
    source: str

    @property
    def name(self) -> str:
        """One line that says which mutant this is."""
        return f"{self.module}:{self.line}: {self.change}"


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of `source`: comparisons, conditions, numbers, sums, and calls taken out."""
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        for change in _changes(node):
            mutated = copy.deepcopy(tree)
            target = next(n for at, n in enumerate(ast.walk(mutated)) if at == number)
            before = ast.unparse(target)
            change(target)
            text = f"{before} -> {ast.unparse(target)}".replace("\n", " ")[:160]
            yield Mutant(module, getattr(node, "lineno", 0), text, ast.unparse(mutated))


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], None]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        yield _swap_comparison
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield _negate
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield _next_number
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield _swap_sum
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield _take_out


def _swap_comparison(node: ast.AST) -> None:
    assert isinstance(node, ast.Compare)
    node.ops[0] = _COMPARED[type(node.ops[0])]()


def _negate(node: ast.AST) -> None:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _next_number(node: ast.AST) -> None:
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int)
    node.value += 1


def _swap_sum(node: ast.AST) -> None:
    assert isinstance(node, ast.BinOp)
    node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()


def _take_out(node: ast.AST) -> None:
    assert isinstance(node, ast.Expr)
    node.value = ast.Constant(None)


class Copy:
    """A copy of the project, to be broken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "node_modules", ".*")
        for name in ("vhdtools", "tests"):
            shutil.copytree(PROJECT / name, folder / name, ignore=ignore)
        for name in ("pyproject.toml", "fixtures"):
            (folder / name).symlink_to(PROJECT / name)

    def passes(self, tests: tuple[str, ...], seconds: float) -> bool:
        """Whether the tests pass, in this time."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            done = subprocess.run(
                [*command, *(f"tests/{test}" for test in tests)],
                cwd=self._folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def write(self, module: str, source: str) -> None:
        """Put this source in the place of a module."""
        (self._folder / "vhdtools" / module).write_text(source, encoding="utf-8")


def survivors_of(module: str, limit: int | None, until: float) -> tuple[int, int, list[Mutant]]:
    """How many mutants there are and were tried, and those that no test noticed."""
    source = (PROJECT / "vhdtools" / module).read_text(encoding="utf-8")
    mutants = list(mutants_of(module, source))
    if limit is not None and len(mutants) > limit:
        mutants = random.Random(0).sample(mutants, limit)
    survivors, tried = list[Mutant](), 0
    with tempfile.TemporaryDirectory(prefix="vhdtools-mutation-") as folder:
        broken = Copy(Path(folder))
        started = time.monotonic()
        if not broken.passes(NEAREST[module], 600.0):
            raise SystemExit(f"{module}: its tests fail without any mutant")
        patience = 30.0 + 5 * (time.monotonic() - started)
        for mutant in sorted(mutants, key=lambda item: item.line):
            if time.monotonic() > until:
                break
            tried += 1
            broken.write(module, mutant.source)
            if broken.passes(NEAREST[module], patience):
                survivors.append(mutant)
    return len(mutants), tried, survivors


def main() -> int:
    """Try the modules that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", choices=[[], *NEAREST], metavar="MODULE")
    parser.add_argument("--limit", type=int, help="mutants of each module, chosen at random")
    parser.add_argument("--seconds", type=float, default=3600.0, help="time for all of them")
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.seconds
    unexplained = 0
    for module in arguments.modules or NEAREST:
        total, tried, survivors = survivors_of(module, arguments.limit, until)
        killed = tried - len(survivors)
        print(
            f"{module}: {killed} of {tried} mutants killed, {total - tried} not tried", flush=True
        )
        for mutant in survivors:
            reason = EQUIVALENT.get(f"{module}: {mutant.change}")
            unexplained += reason is None
            print(f"  survived: {mutant.name}" + (f" (equivalent: {reason})" if reason else ""))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
