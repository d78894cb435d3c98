"""What the figures depend on: the machine, and the versions of all that took part."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import installed
from benchmarks.places import NPM, PROJECT, work
from benchmarks.tools import find_program
from tests.support.azurite import HOME
from tests.support.node import NodeError, find_node

_PYTHON_PACKAGES = ("vhdtools", "azure-storage-blob", "azure-core", "awscrt", "construct", "click")

_PROGRAMS = {
    "qemu-img": (["--version"], r"version ([\w.]+)"),
    "vhdiinfo": (["-V"], r"vhdiinfo (\w+)"),
    "nginx": (["-v"], r"nginx/([\w.]+)"),
    "mke2fs": (["-V"], r"mke2fs ([\w.]+)"),
    "openssl": (["version"], r"OpenSSL ([\w.]+)"),
}


def machine() -> dict[str, Any]:
    """Processor, memory, system; nothing that names this machine or its user."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(work()),
    }


def versions() -> dict[str, str]:
    """Of Python, of its packages, and of every program that is there."""
    found = {"python": platform.python_version()}
    found |= {name: installed.version(name) for name in _PYTHON_PACKAGES}
    found["vhdtools commit"] = _output(["git", "-C", str(PROJECT), "describe", "--always"])
    for name, (arguments, pattern) in _PROGRAMS.items():
        path = find_program(name)
        if path and (match := re.search(pattern, _output([path, *arguments]))):
            found[name] = match[1]
    with suppress(NodeError):
        found["node"] = _output([str(find_node()), "--version"]).lstrip("v")
    for name, folder in (("azurite (tests)", HOME), ("azurite (older)", NPM)):
        found |= _npm_version(name, folder / "node_modules" / "azurite")
    return found | _npm_version("azcopy", NPM / "node_modules" / "@azure-tools" / "azcopy-linux")


def _npm_version(name: str, package: Path) -> dict[str, str]:
    described = package / "package.json"
    return {name: json.loads(described.read_text())["version"]} if described.exists() else {}


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(folder: Path) -> str:
    lines = _output(["stat", "--file-system", "--format=%T", str(folder)])
    return lines or "unknown"


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip()
