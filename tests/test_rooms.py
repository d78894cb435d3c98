"""Each room of the package imports only from the rooms above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vhdtools

PACKAGE = Path(vhdtools.__file__).parent

ROOMS = (
    "text",
    "logs",
    "reruns",
    "errors",
    "inputs",
    "progress",
    "resources",
    "ranges",
    "checksums",
    "layout",
    "image",
    "inspection",
    "target",
    "transfer",
    "cli",
)

FOREIGN = {
    # The layouts' dataclasses are what the others see.
    "construct": {"layout"},
    "click": {"cli"},
    "tqdm": {"cli"},
    "awscrt": {"checksums"},
    "crcmod": {"checksums"},
    # The command line builds credentials, for which it needs azure.identity.
    "azure": {"target", "cli"},
    "requests": {"target"},
}
"""Which rooms may import a third party's package."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str | None:
    """The room that a module lies in; None for the package's own `__init__` and `__main__`."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if first.startswith("__") else first


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the room"
            assert node.module is not None
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def every_module() -> pytest.MarkDecorator:
    names = [str(path.relative_to(PACKAGE)) for path in MODULES]
    return pytest.mark.parametrize("path", MODULES, ids=names)


@every_module()
def test_room_is_known(path: Path) -> None:
    assert room_of(path) in {*ROOMS, None}


@every_module()
def test_imports_only_from_rooms_above(path: Path) -> None:
    room = room_of(path)
    allowed = ROOMS if room is None else ROOMS[: ROOMS.index(room) + 1]
    for line, name in imports(path):
        package, _, rest = name.partition(".")
        imported = rest.partition(".")[0]
        if package == "vhdtools" and imported in ROOMS:
            assert imported in allowed, f"{path}:{line}: {room} imports {name}"
        elif package == "vhdtools":
            # The package's own names, such as its version, belong to no room.
            assert imported.startswith("__") or room in {None, "cli"}, f"{path}:{line}: {name}"


@every_module()
def test_third_parties_stay_in_their_rooms(path: Path) -> None:
    room = room_of(path)
    for line, name in imports(path):
        rooms = FOREIGN.get(name.partition(".")[0])
        assert rooms is None or room in rooms, f"{path}:{line}: {room} imports {name}"


def test_command_line_takes_only_credentials_from_azure() -> None:
    names = {
        name
        for path in MODULES
        if room_of(path) == "cli"
        for _, name in imports(path)
        if name.startswith("azure")
    }
    assert all(name.startswith(("azure.identity", "azure.core.credentials")) for name in names)


@pytest.mark.parametrize("module", ["vhdtools", "vhdtools.cli"])
def test_importing_loads_no_azure(module: str) -> None:
    """The SDK takes longer to load than inspection of a disk."""
    script = f"import sys, {module}; print('azure' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "False"
