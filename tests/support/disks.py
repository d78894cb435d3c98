"""The sample disks of fixtures/: what the manifest says of each, and its file, unpacked.

``python -m tests.support.disks NAME FOLDER`` unpacks one by hand.
"""

from __future__ import annotations

import json
import lzma
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "fixtures"

MANIFEST = FOLDER / "manifest.json"

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class SampleDisk:
    """An entry of the manifest. Sizes are in bytes, hashes SHA-256 in hex."""

    name: str
    """The disk's path below fixtures/, where it lies packed with ``.xz`` after it."""
    description: str
    made_by: str
    disk_type: str | None
    """None where the disk is too damaged to say."""
    virtual_size: int | None
    file_size: int
    sha256: str
    guest_sha256: str | None
    """Of what the guest sees; None where that cannot be read, or takes too long to hash."""
    expect: str
    """The highest level of inspection's findings: ok, info, warning or error; or "sound": no
    error, without saying more."""
    parents: tuple[str, ...]
    """Names of the disks that it is the difference to; they are unpacked beside it."""

    @property
    def packed(self) -> Path:
        """The file in fixtures/."""
        return FOLDER / f"{self.name}.xz"


def _load() -> dict[str, SampleDisk]:
    entries: list[dict[str, Any]] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    disks = (SampleDisk(**entry | {"parents": tuple(entry["parents"])}) for entry in entries)
    return {disk.name: disk for disk in disks}


SAMPLE_DISKS = _load()
"""Every disk of the manifest by its name."""


def unpack(name: str, folder: Path) -> Path:
    """Unpack a disk and its parents below *folder*, sparse, unless they are there already.

    Returns:
        The disk's path, *folder*/*name*.
    """
    target = folder / name
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with lzma.open(SAMPLE_DISKS[name].packed) as packed, partial.open("wb") as unpacked:
        while chunk := packed.read(_CHUNK):
            if chunk.count(0) == len(chunk):
                unpacked.seek(len(chunk), 1)
            else:
                unpacked.write(chunk)
        unpacked.truncate()
    partial.replace(target)
    for parent in SAMPLE_DISKS[name].parents:
        unpack(parent, folder)
    return target


def main() -> None:
    """Unpack the disk that the command line names."""
    if len(sys.argv) != 3 or sys.argv[1] not in SAMPLE_DISKS:
        sys.exit("usage: python -m tests.support.disks NAME FOLDER\nNAME is one of:\n  " + _names())
    print(unpack(sys.argv[1], Path(sys.argv[2])))


def _names() -> str:
    return "\n  ".join(SAMPLE_DISKS)


if __name__ == "__main__":
    main()
