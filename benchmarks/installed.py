"""vhdtools as its users have it: installed by pip, with what it needs and nothing else.

The environment for development differs: it runs the source tree, perhaps without compiled
bytecode, and the SDK loads optional packages there that only tests need.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.places import PROJECT, work
from benchmarks.tools import ToolError


@cache
def python() -> str:
    """The interpreter of an environment with this tree installed; anew in every run."""
    folder = work() / "environment"
    found = folder / "bin" / "python"
    if not found.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    install = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    print("installing vhdtools as its users do")
    _run([*install, str(PROJECT)])
    # The version alone does not tell whether the tree has changed.
    _run([*install, "--force-reinstall", "--no-deps", str(PROJECT)])
    return str(found)


def vhdtool() -> str:
    """The command there."""
    return str(Path(python()).with_name("vhdtool"))


def version(name: str) -> str:
    """Of a package there."""
    folders = Path(python()).parent.parent.glob("lib/python*/site-packages")
    found = distributions(name=name, path=[str(folder) for folder in folders])
    return next(iter(found)).version


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(f"vhdtools could not be installed:\n{done.stdout}{done.stderr}")
