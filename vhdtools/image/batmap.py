"""Whether the batmap of blktap may be believed, and which blocks it calls full.

tapdisk and vhd-util do not look at the sector bitmap of a block whose bit is set (blktap,
drivers/block-vhd.c and vhd/lib/vhd-util-coalesce.c): all of such a block is data.
"""

from __future__ import annotations

from collections.abc import Iterator

from vhdtools.image.structure import FoundBatmap, Structure
from vhdtools.layout import UNALLOCATED, DynamicHeader
from vhdtools.layout.batmap import batmap_checksum
from vhdtools.layout.bitmap import SECTOR, runs

__all__ = [
    "KNOWN_VERSIONS",
    "batmap_problems",
    "blocks_called_full",
    "full_but_absent",
    "is_called_full",
]

_VERSION_1_1 = 0x0001_0001
KNOWN_VERSIONS = (_VERSION_1_1, 0x0001_0002)

_BITS = 8


def blocks_called_full(structure: Structure) -> bytes:
    """The map of the blocks that are full, most significant bit first; b"" where there is none.

    There is none, either, where the batmap is damaged, or calls a block full that the file does
    not hold: who wrote the disk last did not keep it.
    """
    batmap, header = structure.batmap, structure.header
    if batmap is None or batmap.bitmap is None or header is None:
        return b""
    if any(True for _ in batmap_problems(batmap, header)):
        return b""
    return b"" if full_but_absent(batmap.bitmap, structure) else batmap.bitmap


def is_called_full(called_full: bytes, block: int) -> bool:
    """Whether the bit of `block` is set in such a map."""
    return block // 8 < len(called_full) and bool(called_full[block // 8] & 0x80 >> block % 8)


def batmap_problems(batmap: FoundBatmap, header: DynamicHeader) -> Iterator[str]:
    """What is wrong with a batmap by itself, each as the end of a sentence."""
    fields = batmap.header
    if fields.version not in KNOWN_VERSIONS:
        yield f"is of version {fields.version >> 16}.{fields.version & 0xFFFF}"
    if fields.map_offset % SECTOR or not fields.map_offset:
        yield f"says that its map begins at byte {fields.map_offset:,}"
    if fields.map_sectors * SECTOR * _BITS < header.max_table_entries:
        sectors = "1 sector" if fields.map_sectors == 1 else f"{fields.map_sectors:,} sectors"
        yield f"has {sectors}, fewer bits than the BAT has entries"
    if batmap.bitmap is None:
        yield "reaches out of the file"
    elif fields.checksum not in _checksums(batmap.bitmap, fields.version):
        yield "has a wrong checksum"


def full_but_absent(bitmap: bytes, structure: Structure) -> list[int]:
    """The blocks that a batmap calls full and the file does not hold."""
    bat = structure.bat
    return [
        block
        for first, count, is_set in runs(bitmap, 0, min(len(bat), len(bitmap) * _BITS))
        if is_set
        for block in range(first, first + count)
        if bat[block] == UNALLOCATED
    ]


def _checksums(bitmap: bytes, version: int) -> tuple[int, ...]:
    checksum = batmap_checksum(bitmap)
    if version != _VERSION_1_1:
        return (checksum,)
    # By version 1.1 bytes were summed as signed numbers, where a char is one (libvhd.c).
    negative = sum(byte >= 0x80 for byte in bitmap)
    return checksum, (checksum + 256 * negative) & 0xFFFF_FFFF
