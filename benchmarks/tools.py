"""The programs that the benchmarks run: found, or set up."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from benchmarks.places import NPM
from tests.support.azurite import HOME as PINNED_AZURITE
from tests.support.node import install

AZCOPY = NPM / "node_modules" / "@azure-tools" / "azcopy-linux" / "dist" / "bin"

_PACKAGES = {
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "vhdiinfo": "libvhdi-utils",
    "nginx": "nginx-light",
}
"""Programs, and the Debian packages that hold them."""

_AZCOPY_LIBRARY = "libsecret-1-0"


class ToolError(RuntimeError):
    """A program is missing and could not be installed; the message says what to do."""


def program(name: str) -> str:
    """The path of a program, installed first where that can be done."""
    found = find_program(name)
    if found is None:
        _install_package(_PACKAGES[name])
        found = find_program(name)
    if found is None:
        raise ToolError(f"{name} is still missing after {_PACKAGES[name]} was installed")
    return found


def azcopy() -> str:
    """The path of AzCopy, set up first where needed, and seen to run."""
    npm_packages()
    path = next(AZCOPY.glob("azcopy_linux_*"), None)
    if path is None:
        raise ToolError(f"the npm package holds no AzCopy: {AZCOPY}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    if not _runs(path):
        _install_package(_AZCOPY_LIBRARY)
        if not _runs(path):
            raise ToolError(f"AzCopy does not start: try '{path} --version'")
    return str(path)


def npm_packages() -> Path:
    """The folder with the older Azurite and AzCopy, set up first where needed."""
    _npm_install(NPM)
    return NPM


def azurite() -> Path:
    """The folder with the Azurite that the tests use, set up first where needed."""
    _npm_install(PINNED_AZURITE)
    return PINNED_AZURITE


def _npm_install(folder: Path) -> None:
    lock = folder / "package-lock.json"
    installed = folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        print(f"installing what {lock} names")
        install(folder)


def find_program(name: str) -> str | None:
    """The path of a program, if it is there."""
    # Debian keeps some of them where only root's PATH leads.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _runs(path: Path) -> bool:
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


def _install_package(package: str) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ToolError(f"Debian's package {package} is needed: sudo apt-get install {package}")
    print(f"installing Debian's package {package}")
    # RUNLEVEL keeps Debian from starting a service that a package brings along.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode != 0:
        raise ToolError(f"apt-get could not install {package}; its output is above")
