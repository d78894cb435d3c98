"""The disks: recipes, and what each holds. They are built once and kept.

A disk's content is known from the raw file that it was made of, before our own code sees it.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.content import Content, content_of_file, data_runs
from benchmarks.filling import (
    GIB,
    KIB,
    MIB,
    apply_changes,
    copy_data,
    random_changes,
    write_allocated_os_disk,
    write_peppered,
    write_random,
    write_scattered,
    write_zeros,
)
from benchmarks.os_tree import write_os_disk
from benchmarks.places import WORK_VARIABLE, work
from benchmarks.tools import program
from benchmarks.write_vhd import append_footer, write_child, write_full_table

HUGE = 2040 * GIB
"""The largest dynamic disk."""

_PIECE = 4 * MIB
_SMALL = 512 * MIB
_FORMAT = 2
"""Counts up when a recipe changes, so that disks built before are built anew."""


class RoomError(RuntimeError):
    """There is too little room for a disk; the message says where, and what to do."""


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
    """How a disk is made: `build` writes the file at a path and says what it holds.

    `room` is how many bytes must be free for that.
    """

    description: str
    build: Callable[[Path], Content | None]
    needs: Sequence[str] = ()
    room: int = 3 * GIB


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
    _check_room(path.parent, recipe.room)
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


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RoomError(
            f"{folder} has {free / GIB:.1f} GiB free, and {needed / GIB:.1f} are needed for this "
            f"disk: make room, or name another folder in {WORK_VARIABLE}"
        )


def _path(name: str) -> Path:
    return work() / "disks" / f"{name}.vhd"


def _unique_id(name: str) -> bytes:
    return random.Random(name).randbytes(16)


def fixed(name: str, fill: Callable[[Path], None]) -> Callable[[Path], Content]:
    """A fixed disk: whatever *fill* writes, and a footer."""

    def build(path: Path) -> Content:
        fill(path)
        content = content_of_file(path, path.stat().st_size)
        append_footer(path, _unique_id(name))
        return content

    return build


def _dynamic(source: str) -> Callable[[Path], Content]:
    """What qemu-img makes of a fixed disk."""

    def build(path: Path) -> Content:
        disk = get_disk(source)
        size = disk.known.size
        raw = f"driver=raw,size={size},file.driver=file,file.filename={disk.path}"
        command = [
            *(program("qemu-img"), "convert", "--image-opts", raw, "-O", "vpc"),
            *("-o", "subformat=dynamic,force_size=on", str(path)),
        ]
        subprocess.run(command, check=True)
        return disk.known

    return build


def child(name: str, parent: str, same: str, changed: int) -> Callable[[Path], Content]:
    """A differencing disk over *parent*, whose content the fixed disk *same* has, too.

    What it holds is read from a copy of that, with the changes written over it.
    """

    def build(path: Path) -> Content:
        disk = get_disk(same)
        size = disk.known.size
        changes = random_changes(size, changed, name)
        write_child(path, get_disk(parent).path, _unique_id(name), changes)
        copy = path.with_suffix(".changed")
        try:
            copy_data(disk.path, size, copy, size)
            apply_changes(copy, changes)
            return content_of_file(copy, size)
        finally:
            copy.unlink()

    return build


def _larger(name: str, source: str, size: int) -> Callable[[Path], Content]:
    """A fixed disk with the data of another at its start."""

    def fill(path: Path) -> None:
        smaller = get_disk(source)
        copy_data(smaller.path, smaller.known.size, path, size)

    return fixed(name, fill)


def _full_table(name: str, size: int) -> Callable[[Path], None]:
    return lambda path: write_full_table(path, size, _unique_id(name))


RECIPES = {
    "os": Recipe(
        "30 GiB, ext4 with about 1 GB of real files, sparse fixed",
        fixed("os", lambda path: write_os_disk(path, 30 * GIB, 10**9)),
    ),
    "os-dynamic": Recipe("the same, dynamic", _dynamic("os"), ["os"]),
    "os-child": Recipe(
        "a differencing disk over it, 64 MB changed",
        child("os-child", "os-dynamic", "os", 64 * MIB),
        ["os", "os-dynamic"],
    ),
    "os-allocated": Recipe(
        "8 GiB with the same files, fixed, zeros really on disk",
        fixed("os-allocated", lambda path: write_allocated_os_disk(path, 8 * GIB, 10**9)),
        room=11 * GIB,
    ),
    "zeros": Recipe(
        "8 GiB of zeros, really on disk",
        fixed("zeros", lambda path: write_zeros(path, 8 * GIB)),
        room=9 * GIB,
    ),
    "scattered": Recipe(
        "4 GiB with 0.92 GB in runs of 4 KiB to 8 MiB, sparse fixed",
        fixed("scattered", lambda path: write_scattered(path, 4 * GIB, 920 * 10**6, "scattered")),
    ),
    "peppered": Recipe(
        "1 GiB with 4 KiB of data every 256 KiB, sparse fixed",
        fixed("peppered", lambda path: write_peppered(path, GIB, 256 * KIB, "peppered")),
    ),
    "dense": Recipe(
        "2 GiB of random bytes, fixed",
        fixed("dense", lambda path: write_random(path, 2 * GIB, "dense")),
    ),
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
        fixed("small-os", lambda path: write_os_disk(path, 256 * MIB, 24 * 10**6)),
        room=_SMALL,
    ),
    "small-dynamic": Recipe("the same, dynamic", _dynamic("small-os"), ["small-os"], _SMALL),
    "small-scattered": Recipe(
        "128 MiB with 16 MB in runs of 4 KiB to 8 MiB, sparse fixed",
        fixed(
            "small-scattered",
            lambda path: write_scattered(path, 128 * MIB, 16 * 10**6, "small-scattered"),
        ),
        room=_SMALL,
    ),
    "small-dense": Recipe(
        "64 MiB of random bytes, fixed",
        fixed("small-dense", lambda path: write_random(path, 64 * MIB, "small-dense")),
        room=_SMALL,
    ),
    "small-zeros": Recipe(
        "256 MiB of zeros, really on disk",
        fixed("small-zeros", lambda path: write_zeros(path, 256 * MIB)),
        room=_SMALL,
    ),
}
"""Every disk by its name, those for the quick mode last."""
