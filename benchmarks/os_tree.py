"""A disk as an installation leaves it: a partition with ext4, and real files from this machine."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from benchmarks.content import PAGE
from benchmarks.tools import program
from vhdtools.ranges import align_up

_MIB = 1024 * 1024
_SECTOR = 512
_PARTITION_START = _MIB
_UUID = "5d1f6f0e-8a45-4b2e-9f0a-3f1d52c2a7b1"
_LINUX = 0x83
_LARGEST_SHARE = 8


def write_os_disk(raw: Path, size: int, tree_bytes: int) -> None:
    """Write a raw disk of *size* bytes with some *tree_bytes* of this machine's files in it."""
    tree = raw.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    try:
        copied = _copy_tree(tree, tree_bytes)
        print(f"  {copied / 1e6:,.0f} MB of this machine's files")
        with raw.open("wb") as file:
            file.write(_partition_table(size))
            file.truncate(size)
        command = [
            *(program("mke2fs"), "-q", "-F", "-t", "ext4", "-L", "benchmark", "-U", _UUID),
            *("-E", f"offset={_PARTITION_START},hash_seed={_UUID}", "-d", str(tree)),
            *(str(raw), f"{(size - 2 * _MIB) // 1024}k"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _partition_table(size: int) -> bytes:
    """A master boot record with one partition, a MiB from either end."""
    start, length = _PARTITION_START // _SECTOR, (size - 2 * _MIB) // _SECTOR
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", _LINUX, b"\xfe\xff\xff", start, length)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def _copy_tree(tree: Path, limit: int) -> int:
    copied = 0
    for source in _files():
        if copied >= limit:
            break
        size = 0 if source.is_symlink() else align_up(source.stat().st_size, PAGE)
        if size > limit // _LARGEST_SHARE:
            continue
        target = tree / source.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
        copied += size
    return copied


def _files() -> Iterator[Path]:
    """Readable files of every installation, the same ones in the same order every time."""
    roots = (
        sysconfig.get_path("stdlib"),
        os.fspath(Path(sys.base_prefix, "bin")),
        "/usr/share",
        "/usr/lib",
        "/usr/bin",
    )
    seen = set[str]()
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders.sort()
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_symlink() or (path.is_file() and os.access(path, os.R_OK)):
                    yield path
