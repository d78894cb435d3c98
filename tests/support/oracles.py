"""Other programs that read VHDs, asked what is in a disk.

Where one is missing, the test is skipped with the reason, unless ``VHDTOOLS_REQUIRE_ORACLES`` is
set, as it is in continuous integration: there it fails. None of them is right about every disk:
qemu-img reads no parents, and vhdiinfo reports the original size.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

REQUIRE = "VHDTOOLS_REQUIRE_ORACLES"

_PACKAGES = {
    "qemu-img": "qemu-utils",
    "vhdiinfo": "libvhdi-utils",
    "mke2fs": "e2fsprogs",
    "nginx": "nginx-light",
    "e2fsck": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mtype": "mtools",
    "mcopy": "mtools",
    "mmd": "mtools",
    "sfdisk": "fdisk",
}


def program(name: str) -> str:
    """The path of another program, or a skip (a failure where oracles are required)."""
    # Debian keeps some of them where only root's PATH leads.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is not None:
        return found
    reason = f"{name} is not installed; on Debian it is in {_PACKAGES.get(name, name)}"
    if os.environ.get(REQUIRE):
        pytest.fail(f"{reason} ({REQUIRE} is set)")
    pytest.skip(reason)


def qemu_img_convert(disk: Path) -> bytes:
    """The guest's view of a fixed or dynamic *disk* as qemu-img reads it, from byte 0 to its end.

    qemu-img is told to believe the footer's current size, as its 7.2 would go by the geometry for
    most creators. It reads zeros for what a differencing disk leaves to its parent.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "disk.raw")
        run(program("qemu-img"), "convert", "-O", "raw", "--image-opts", _vpc(disk), str(raw))
        return raw.read_bytes()


def qemu_img_sha256(disk: Path) -> str:
    """The SHA-256 of ``qemu_img_convert(disk)``, in hex."""
    return hashlib.sha256(qemu_img_convert(disk)).hexdigest()


def vhdiinfo(disk: Path) -> dict[str, str]:
    """What vhdiinfo says about *disk*: its ``label: value`` lines."""
    lines = run(program("vhdiinfo"), str(disk)).splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {label.strip(): value.strip() for label, value in pairs}


def run(*command: str) -> str:
    """The standard output of *command*; its failure is the test's, with what it printed."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _vpc(disk: Path) -> str:
    # In qemu's option syntax a comma is doubled.
    name = str(disk).replace(",", ",,")
    return f"driver=vpc,force_size_calc=current_size,file.driver=file,file.filename={name}"
