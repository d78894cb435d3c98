"""What is to be said about the BAT, the blocks and the batmap, where nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import FoundBatmap, Structure
from vhdtools.image.survey import BlockSurvey
from vhdtools.inspection.describe import quantity, size_text, version_text
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.kinds import blocks as kinds
from vhdtools.layout import BAT_ENTRY_SIZE, UNALLOCATED, DynamicHeader
from vhdtools.layout.batmap import batmap_checksum
from vhdtools.layout.bitmap import runs

__all__ = ["check_blocks"]

_BATMAP_1_1 = 0x0001_0001
_BATMAP_VERSIONS = (_BATMAP_1_1, 0x0001_0002)
_BITS = 8
_SECTOR = 512


def check_blocks(structure: Structure, soundness: Soundness) -> Iterator[Finding]:
    """How the BAT is made, how the blocks lie, what the batmap says. Nothing without a header."""
    header = structure.header
    if header is None or not header.block_size:
        return
    yield from _check_table(structure, header, soundness.guest_size)
    if soundness.blocks is not None:
        yield from _check_order(soundness.blocks, header)
    if structure.batmap is not None:
        yield from _check_batmap(structure.batmap, structure, header)


def _check_table(structure: Structure, header: DynamicHeader, size: int) -> Iterator[Finding]:
    needed = -(-size // header.block_size)
    end = header.table_offset + header.max_table_entries * BAT_ENTRY_SIZE
    if needed < header.max_table_entries and end <= structure.data_end:
        yield kinds.BAT_EXTRA.found(
            f"the BAT has {header.max_table_entries:,} entries, the disk needs {needed:,}",
            header.table_offset + needed * BAT_ENTRY_SIZE,
        )
    if structure.bat_padding and not any(structure.bat_padding):
        yield kinds.BAT_ZERO_PADDING.found(
            f"the BAT is padded with {quantity(len(structure.bat_padding), 'zero byte')}", end
        )


def _check_order(blocks: BlockSurvey, header: DynamicHeader) -> Iterator[Finding]:
    if not blocks.ascending and blocks.overlapping is None:
        yield kinds.BAT_UNSORTED.found(
            "the blocks are not in the order of the disk", header.table_offset
        )
    if blocks.gaps:
        yield kinds.BLOCK_GAPS.found(
            f"{size_text(blocks.gaps)} between the blocks belong to none", blocks.lowest
        )


def _check_batmap(
    batmap: FoundBatmap, structure: Structure, header: DynamicHeader
) -> Iterator[Finding]:
    yield kinds.BATMAP.found(
        f"there is a batmap of version {version_text(batmap.header.version)}", batmap.offset
    )
    problems = list(_batmap_problems(batmap, header))
    if problems:
        yield kinds.BATMAP_DAMAGED.found("the batmap " + ", ".join(problems), batmap.offset)
    elif batmap.bitmap is not None:
        yield from _compare(batmap.bitmap, structure, batmap.header.map_offset)
    if batmap.header.encrypted:
        yield kinds.ENCRYPTED.found("the batmap holds the hash of an encryption key", batmap.offset)


def _batmap_problems(batmap: FoundBatmap, header: DynamicHeader) -> Iterator[str]:
    fields = batmap.header
    if fields.version not in _BATMAP_VERSIONS:
        yield f"is of version {version_text(fields.version)}"
    if fields.map_offset % _SECTOR or not fields.map_offset:
        yield f"says that its map begins at byte {fields.map_offset:,}"
    if fields.map_sectors * _SECTOR * _BITS < header.max_table_entries:
        yield f"has {quantity(fields.map_sectors, 'sector')}, fewer bits than the BAT has entries"
    if batmap.bitmap is None:
        yield "reaches out of the file"
    elif fields.checksum not in _batmap_checksums(batmap.bitmap, fields.version):
        yield "has a wrong checksum"


def _batmap_checksums(bitmap: bytes, version: int) -> tuple[int, ...]:
    checksum = batmap_checksum(bitmap)
    if version != _BATMAP_1_1:
        return (checksum,)
    # By version 1.1 bytes were summed as signed numbers, where a char is one (libvhd.c).
    negative = sum(byte >= 0x80 for byte in bitmap)
    return checksum, (checksum + 256 * negative) & 0xFFFF_FFFF


def _compare(bitmap: bytes, structure: Structure, offset: int) -> Iterator[Finding]:
    free = [
        block
        for block in _set_bits(bitmap, len(structure.bat))
        if structure.bat[block] == UNALLOCATED
    ]
    if free:
        yield kinds.BATMAP_CONTRADICTS.found(
            f"the batmap calls {quantity(len(free), 'block')} full that the file does not hold, "
            f"the first is block {free[0]:,}",
            offset,
        )


def _set_bits(bitmap: bytes, count: int) -> Iterator[int]:
    for first, length, is_set in runs(bitmap, 0, min(count, len(bitmap) * _BITS)):
        if is_set:
            yield from range(first, first + length)
