"""The disks: recipes, and what each holds. They are built once and kept.

A disk's content is known from the raw file that it was made of, before our own code sees it.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.content import PAGE, Content, content_of_file, data_runs
from benchmarks.os_tree import write_os_disk
from benchmarks.places import work
from benchmarks.tools import program
from benchmarks.write_vhd import BLOCK, append_footer, write_child, write_full_table

KIB, MIB, GIB = 1024, 1024**2, 1024**3

HUGE = 2040 * GIB
"""The largest dynamic disk."""

_PIECE = 4 * MIB
_FORMAT = 2
"""Counts up when a recipe changes, so that disks built before are built anew."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that is there: its file, and what the guest sees (None: never to be uploaded)."""

    name: str
    path: Path
    content: Content | None

    @property
    def known(self) -> Content:
        """The content of a disk that can be uploaded."""
        if self.content is None:
            raise ValueError(f"{self.name} is for inspection alone")
        return self.content


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a disk is made: `build` writes the file at a path and says what it holds."""

    description: str
    build: Callable[[Path], Content | None]
    needs: Sequence[str] = ()


def get_disk(name: str) -> Disk:
    """The disk of this name, built with those that it needs if it is not there."""
    recipe = RECIPES[name]
    for needed in recipe.needs:
        get_disk(needed)
    path, facts = _path(name), _path(name).with_suffix(".json")
    if facts.exists():
        known = json.loads(facts.read_text())
        if known["format"] == _FORMAT:
            held = known["content"]
            return Disk(name, path, None if held is None else Content(**held))
    print(f"building {name}: {recipe.description}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    content = recipe.build(partial)
    partial.replace(path)
    said = None if content is None else asdict(content)
    facts.write_text(json.dumps({"format": _FORMAT, "content": said}, indent=2) + "\n")
    return Disk(name, path, content)


def warm(path: Path) -> None:
    """Read what a file holds, so that it is in memory when the clock starts."""
    buffer = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        for offset, length in data_runs(path, path.stat().st_size):
            file.seek(offset)
            while length > 0 and (count := file.readinto(buffer)):
                length -= count


def clean() -> None:
    """Delete all that was built."""
    shutil.rmtree(work() / "disks", ignore_errors=True)


def _path(name: str) -> Path:
    return work() / "disks" / f"{name}.vhd"


def _unique_id(name: str) -> bytes:
    return random.Random(name).randbytes(16)


def _close(raw: Path, name: str) -> Content:
    """Make the raw file a fixed disk; what it held before."""
    content = content_of_file(raw, raw.stat().st_size)
    append_footer(raw, _unique_id(name))
    return content


def _os(name: str, size: int, tree: int) -> Callable[[Path], Content]:
    def build(path: Path) -> Content:
        write_os_disk(path, size, tree)
        return _close(path, name)

    return build


def _os_allocated(name: str, size: int, tree: int) -> Callable[[Path], Content]:
    """As `_os`, and every zero is really written."""

    def build(path: Path) -> Content:
        sparse = path.with_suffix(".sparse")
        write_os_disk(sparse, size, tree)
        try:
            with sparse.open("rb") as source, path.open("wb") as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
        finally:
            sparse.unlink()
        return _close(path, name)

    return build


def _zeros(name: str, size: int) -> Callable[[Path], Content]:
    def build(path: Path) -> Content:
        with path.open("wb") as file:
            for _ in range(size // _PIECE):
                file.write(bytes(_PIECE))
        return _close(path, name)

    return build


def dense(name: str, size: int) -> Callable[[Path], Content]:
    """Random bytes, the same for the same *name*."""

    def build(path: Path) -> Content:
        source = random.Random(name)
        with path.open("wb") as file:
            for _ in range(size // _PIECE):
                file.write(source.randbytes(_PIECE))
        return _close(path, name)

    return build


def _scattered(name: str, size: int, data: int) -> Callable[[Path], Content]:
    """Runs of 4 KiB to 8 MiB, as many of each order of magnitude, at random places."""

    def build(path: Path) -> Content:
        source = random.Random(name)
        left, low, high = data, math.log2(4 * KIB), math.log2(8 * MIB)
        lengths = list[int]()
        while left > 0:
            length = int(2 ** source.uniform(low, high)) // PAGE * PAGE
            lengths.append(length)
            left -= length
        gaps = sorted(source.randrange(0, size - sum(lengths), PAGE) for _ in lengths)
        done = 0
        with path.open("wb") as file:
            for gap, length in zip(gaps, lengths, strict=True):
                file.seek(gap + done)
                file.write(source.randbytes(length))
                done += length
            file.truncate(size)
        return _close(path, name)

    return build


def _peppered(name: str, size: int, distance: int) -> Callable[[Path], Content]:
    """Single pages, too far apart to be sent together."""

    def build(path: Path) -> Content:
        source = random.Random(name)
        with path.open("wb") as file:
            for offset in range(0, size, distance):
                file.seek(offset)
                file.write(source.randbytes(PAGE))
            file.truncate(size)
        return _close(path, name)

    return build


def _dynamic(source: str) -> Callable[[Path], Content]:
    """What qemu-img makes of a fixed disk."""

    def build(path: Path) -> Content:
        fixed = get_disk(source)
        size = fixed.known.size
        raw = f"driver=raw,size={size},file.driver=file,file.filename={fixed.path}"
        command = [
            *(program("qemu-img"), "convert", "--image-opts", raw, "-O", "vpc"),
            *("-o", "subformat=dynamic,force_size=on", str(path)),
        ]
        subprocess.run(command, check=True)
        return fixed.known

    return build


def child(name: str, parent: str, fixed: str, changed: int) -> Callable[[Path], Content]:
    """A differencing disk: *changed* bytes written over its parent, in runs of 4 to 256 KiB."""

    def build(path: Path) -> Content:
        size = get_disk(fixed).known.size
        source = random.Random(name)
        changes, left = dict[int, bytes](), changed
        while left > 0:
            length = source.choice([4, 8, 16, 64, 256]) * KIB
            block = source.randrange(size // BLOCK // 8) * BLOCK
            offset = block + source.randrange(BLOCK // length) * length
            near = [o for o in changes if block <= o < block + BLOCK]
            if any(o < offset + length and offset < o + len(changes[o]) for o in near):
                continue
            changes[offset] = source.randbytes(length)
            left -= length
        write_child(path, get_disk(parent).path, _unique_id(name), dict(sorted(changes.items())))
        return _changed(get_disk(fixed).path, size, changes)

    return build


def _changed(fixed: Path, size: int, changes: dict[int, bytes]) -> Content:
    """What a raw copy of a fixed disk holds, once the changes are written over it."""
    copy = fixed.with_suffix(".changed")
    try:
        _copy_data(fixed, copy, size, size)
        with copy.open("r+b") as file:
            for offset, data in changes.items():
                file.seek(offset)
                file.write(data)
        return content_of_file(copy, size)
    finally:
        copy.unlink()


def _larger(name: str, source: str, size: int) -> Callable[[Path], Content]:
    """The data of another disk at the start of a larger one."""

    def build(path: Path) -> Content:
        smaller = get_disk(source)
        _copy_data(smaller.path, path, smaller.known.size, size)
        return _close(path, name)

    return build


def _copy_data(source: Path, target: Path, length: int, size: int) -> None:
    """Copy the first *length* bytes to a new file of *size* bytes, holes as holes."""
    with source.open("rb", buffering=0) as old, target.open("wb") as new:
        for offset, run in data_runs(source, length):
            old.seek(offset)
            new.seek(offset)
            while run > 0:
                piece = old.read(min(_PIECE, run))
                new.write(piece)
                run -= len(piece)
        new.truncate(size)


def _full_table(name: str, size: int) -> Callable[[Path], None]:
    return lambda path: write_full_table(path, size, _unique_id(name))


RECIPES = {
    "os": Recipe(
        "30 GiB, ext4 with about 1 GB of real files, sparse fixed",
        _os("os", 30 * GIB, 10**9),
    ),
    "os-dynamic": Recipe("the same, dynamic", _dynamic("os"), ["os"]),
    "os-child": Recipe(
        "a differencing disk over it, 64 MB changed",
        child("os-child", "os-dynamic", "os", 64 * MIB),
        ["os", "os-dynamic"],
    ),
    "os-allocated": Recipe(
        "8 GiB with the same files, fixed, zeros really on disk",
        _os_allocated("os-allocated", 8 * GIB, 10**9),
    ),
    "zeros": Recipe("8 GiB of zeros, really on disk", _zeros("zeros", 8 * GIB)),
    "scattered": Recipe(
        "4 GiB with 0.92 GB in runs of 4 KiB to 8 MiB, sparse fixed",
        _scattered("scattered", 4 * GIB, 920 * 10**6),
    ),
    "peppered": Recipe(
        "1 GiB with 4 KiB of data every 256 KiB, sparse fixed",
        _peppered("peppered", GIB, 256 * KIB),
    ),
    "dense": Recipe("2 GiB of random bytes, fixed", dense("dense", 2 * GIB)),
    "huge": Recipe(
        "2040 GiB with the data of the first, sparse fixed", _larger("huge", "os", HUGE), ["os"]
    ),
    "huge-dynamic": Recipe("the same, dynamic", _dynamic("huge"), ["huge"]),
    "full-table": Recipe(
        "2040 GiB, dynamic, every block allocated (for inspection alone)",
        _full_table("full-table", HUGE),
    ),
    "small-os": Recipe(
        "256 MiB, ext4 with 24 MB of real files, sparse fixed",
        _os("small-os", 256 * MIB, 24 * 10**6),
    ),
    "small-dynamic": Recipe("the same, dynamic", _dynamic("small-os"), ["small-os"]),
    "small-scattered": Recipe(
        "128 MiB with 16 MB in runs of 4 KiB to 8 MiB, sparse fixed",
        _scattered("small-scattered", 128 * MIB, 16 * 10**6),
    ),
    "small-dense": Recipe("64 MiB of random bytes, fixed", dense("small-dense", 64 * MIB)),
    "small-zeros": Recipe("256 MiB of zeros, really on disk", _zeros("small-zeros", 256 * MIB)),
}
"""Every disk by its name, those for the quick mode last."""


def free_bytes() -> int:
    """Room that is left where the disks are."""
    found = os.statvfs(work())
    return found.f_bavail * found.f_frsize
