"""What fixed disks are filled with; random bytes are the same for the same seed.

Every function writes a new file of *size* bytes, all of the disk and no footer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from pathlib import Path

from benchmarks.content import PAGE, data_runs
from benchmarks.os_tree import write_os_disk
from benchmarks.write_vhd import BLOCK

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_PIECE = 4 * MIB


def write_allocated_os_disk(path: Path, size: int, tree: int) -> None:
    """As `write_os_disk`, and every zero is really written."""
    sparse = path.with_suffix(".sparse")
    write_os_disk(sparse, size, tree)
    try:
        with sparse.open("rb") as source, path.open("wb") as target:
            while piece := source.read(_PIECE):
                target.write(piece)
    finally:
        sparse.unlink()


def write_zeros(path: Path, size: int) -> None:
    """Zeros that are really written."""
    with path.open("wb") as file:
        for _ in range(size // _PIECE):
            file.write(bytes(_PIECE))


def write_random(path: Path, size: int, seed: str) -> None:
    """Random bytes from end to end."""
    source = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(size // _PIECE):
            file.write(source.randbytes(_PIECE))


def write_scattered(path: Path, size: int, data: int, seed: str) -> None:
    """At least *data* bytes in runs of 4 KiB to 8 MiB, as many of each order of magnitude."""
    source = random.Random(seed)
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


def write_peppered(path: Path, size: int, distance: int, seed: str) -> None:
    """Single pages, *distance* bytes apart."""
    source = random.Random(seed)
    with path.open("wb") as file:
        for offset in range(0, size, distance):
            file.seek(offset)
            file.write(source.randbytes(PAGE))
        file.truncate(size)


def copy_data(source: Path, length: int, target: Path, size: int) -> None:
    """The first *length* bytes of another file, holes as holes, and zeros after them."""
    with source.open("rb", buffering=0) as old, target.open("wb") as new:
        for offset, run in data_runs(source, length):
            old.seek(offset)
            new.seek(offset)
            while run > 0:
                piece = old.read(min(_PIECE, run))
                new.write(piece)
                run -= len(piece)
        new.truncate(size)


def random_changes(size: int, changed: int, seed: str) -> dict[int, bytes]:
    """Runs of 4 to 256 KiB for the first eighth of a disk, apart from each other, by offset."""
    source = random.Random(seed)
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
    return dict(sorted(changes.items()))


def apply_changes(path: Path, changes: Mapping[int, bytes]) -> None:
    """Write *changes* over a disk that is there."""
    with path.open("r+b") as file:
        for offset, data in changes.items():
            file.seek(offset)
            file.write(data)
