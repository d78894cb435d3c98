"""What the library makes public is named in `__all__`, and documented.

The command line is left out: its users are at a terminal, and import nothing.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import vhdtools

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
