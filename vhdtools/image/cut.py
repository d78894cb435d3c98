"""Files that were cut: what is missing, where the file itself shows that something is."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vhdtools.image.partitions import Bytes, find_backup_gpt, find_partition_table
from vhdtools.ranges import align_down

__all__ = ["Cut", "find_cut"]

_SECTOR = 512
_FOOTER = 512
_VHD_SUFFIXES = (".vhd", ".avhd")


class Cut(NamedTuple):
    """`problem` says how it shows; `missing` is how many bytes lack, None where that is unknown."""

    problem: str
    missing: int | None


def find_cut(disk: Bytes, path: Path) -> Cut | None:
    """Whether a file without a footer, a raw disk or what was a fixed VHD, was cut.

    `path` is its name: a VHD has a footer behind the disk, a raw disk has none.
    """
    is_vhd = path.suffix.lower() in _VHD_SUFFIXES
    table = find_partition_table(disk)
    if table is not None and table.end is not None and table.end > disk.size:
        what = "its disk" if table.scheme == "gpt" else "its last partition"
        return Cut(
            f"{what} ends at byte {table.end:,} by its {table.scheme.upper()}, the file at byte "
            f"{disk.size:,}",
            table.end + (_FOOTER if is_vhd else 0) - disk.size,
        )
    backup = None if table is not None and table.scheme == "gpt" else _backup(disk)
    if backup is not None and backup > 0:
        return Cut("the GPT at its end belongs further back in the disk", backup)
    if is_vhd and disk.size % _SECTOR:
        return Cut(f"its length of {disk.size:,} bytes is no multiple of 512", None)
    return None


def _backup(disk: Bytes) -> int | None:
    """By how many bytes a backup GPT is nearer to the start than it says."""
    for end in {disk.size, align_down(disk.size, _SECTOR)}:
        found = find_backup_gpt(disk, end)
        if found is not None and found.end is not None:
            return found.end - end
    return None
