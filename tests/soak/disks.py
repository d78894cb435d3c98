"""Random disks of every kind, small enough to upload often."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

from tests.support.build_vhd import SECTOR, Recipe, child_of, guest_view, place
from tests.support.uploads import PER_MIB, expected_blob
from vhdtools.layout import DiskType

KINDS = ("fixed, sparse", "fixed, full", "dynamic", "differencing", "fixed, odd", "dynamic, odd")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, and what a blob made of it must hold: its SHA-256, and its size in bytes."""

    path: Path
    kind: str
    sha256: str
    blob_size: int
    data_size: int


def make_disk(folder: Path, kind: str, rng: random.Random, mib: int) -> Disk:
    """A disk of *kind* with about *mib* MiB, drawn by *rng*."""
    folder.mkdir(parents=True, exist_ok=True)
    sectors = mib * PER_MIB
    if "odd" in kind:
        sectors -= rng.randrange(1, PER_MIB)
    path = folder / "disk.vhd"
    block_size = rng.choice([64 * 1024, 512 * 1024, 2 * 1024 * 1024])
    words = [_word(rng, sectors, full="full" in kind)]
    if kind.startswith("fixed"):
        place(path, Recipe(words[0], disk_type=DiskType.FIXED))
    elif kind == "differencing":
        words.append(_word(rng, sectors, full=False))
        place(folder / "parent.vhd", Recipe(words[1], block_size=block_size))
        place(path, child_of("parent.vhd", words[0], block_size=block_size))
    else:
        place(path, Recipe(words[0], block_size=block_size))
    content = guest_view(*words)
    blob = expected_blob(path, content)
    data = sum(any(content[at : at + SECTOR]) for at in range(0, len(content), SECTOR)) * SECTOR
    return Disk(path, kind, hashlib.sha256(blob).hexdigest(), len(blob), data)


def _word(rng: random.Random, sectors: int, *, full: bool) -> str:
    """Runs of data, written zeros and nothing, from a sector to MiB long."""
    parts: list[str] = []
    left = sectors
    while left > 0:
        letter = rng.choice("ABC") if full else rng.choice("AABBC0---")
        length = min(left, int(2 ** rng.uniform(0, 13)))
        parts.append(letter * length)
        left -= length
    return "".join(parts)
