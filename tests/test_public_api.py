"""What the library makes public is named in `__all__`, and documented.

The command line is left out: its users are at a terminal, and import nothing.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import vhdtools
from vhdtools import errors

EVERY_MODULE = [
    "vhdtools",
    *(
        module.name
        for module in pkgutil.walk_packages(vhdtools.__path__, "vhdtools.")
        if not module.name.startswith(("vhdtools.cli", "vhdtools.__main__"))
    ),
]

FACES = [name for name in EVERY_MODULE if name.count(".") < 2 and name != "vhdtools.checksums"]
"""The modules that a user of the library imports from."""


def exported(module: ModuleType) -> list[str]:
    names: list[str] = getattr(module, "__all__", [])
    return names


def of_the_project(value: object) -> bool:
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return False
    return value.__module__.partition(".")[0] == "vhdtools"


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_all_names_what_exists_once(name: str) -> None:
    module = importlib.import_module(name)
    missing = [public for public in exported(module) if not hasattr(module, public)]
    assert not missing
    assert len(set(exported(module))) == len(exported(module))


@pytest.mark.parametrize("name", FACES)
def test_all_is_complete(name: str) -> None:
    module = importlib.import_module(name)
    public = {key for key, value in vars(module).items() if of_the_project(value)}
    assert {key for key in public if not key.startswith("_")} <= set(exported(module))


INNER = {
    # What a VHD file says of itself, field by field: read it in the JSON.
    "Structure",
    "Soundness",
    # The footer of the disk that is read.
    "Footer",
}
"""What leaves the library, and is not for its users."""


def annotations_of(value: object) -> Iterator[str]:
    """The annotations of a function, or of a class with its public methods and properties."""
    if inspect.isclass(value):
        yield from map(str, vars(value).get("__annotations__", {}).values())
        for key, member in vars(value).items():
            if not key.startswith("_"):
                yield from annotations_of(member.fget if isinstance(member, property) else member)
    elif inspect.isfunction(value):
        yield from map(str, value.__annotations__.values())


def mentioned(name: str) -> set[str]:
    """What else of the project is named in the annotations of what the package exports."""
    known = {
        public
        for module in map(importlib.import_module, EVERY_MODULE)
        for public in exported(module)
        if not inspect.isfunction(getattr(module, public))
    }
    texts = annotations_of(getattr(vhdtools, name))
    return {word for text in texts for word in re.findall(r"\w+", text)} & known


@pytest.mark.parametrize("name", sorted(set(vhdtools.__all__) - {"__version__"}))
def test_what_the_package_takes_and_gives_is_exported(name: str) -> None:
    assert mentioned(name) - INNER <= set(vhdtools.__all__)


def test_annotations_are_really_looked_at() -> None:
    """The test above sees parameters, results, fields and properties."""
    assert {"DiskImage", "SizeRule"} <= mentioned("open")
    assert {"PageTarget", "UploadOptions", "Purpose", "UploadResult"} <= mentioned("upload")
    assert {"Finding", "AzureVerdict", "Readiness"} <= mentioned("Inspection")


def test_every_error_is_at_the_top() -> None:
    assert set(errors.__all__) <= set(vhdtools.__all__)
    assert all(getattr(vhdtools, name) is getattr(errors, name) for name in errors.__all__)


def test_lazy_names_are_those_that_are_exported() -> None:
    script = "import sys, vhdtools; print(*(m for m in sys.modules if m.startswith('vhdtools.')))"
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"vhdtools.errors", "vhdtools.reruns", "vhdtools.text"}
    eager = {key for key, value in vars(vhdtools).items() if of_the_project(value)}
    lazy = set(vhdtools.__all__) - eager - {"__version__"}
    assert {"inspect", "open", "upload", "Finding", "Level", "Extent", "PageTarget"} <= lazy
    assert dir(vhdtools) == sorted(vhdtools.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        vhdtools.nonsense  # noqa: B018


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_what_is_exported_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    values = ((public, getattr(module, public)) for public in exported(module))
    assert [public for public, value in values if of_the_project(value) and not said(value)] == []


def said(value: object) -> bool:
    # A dataclass without a docstring is given its signature for one.
    text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    return bool(text) and not str(text).startswith(f"{getattr(value, '__name__', '')}(")
