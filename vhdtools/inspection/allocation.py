"""How much of a disk is in its file: figures that are never more than the disk or the file."""

from __future__ import annotations

from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import Structure
from vhdtools.layout import UNALLOCATED
from vhdtools.layout.bitmap import SECTOR
from vhdtools.ranges import align_up

__all__ = ["allocated_in_blocks"]


def allocated_in_blocks(structure: Structure, soundness: Soundness) -> int | None:
    """Bytes of the disk in the allocated blocks of a dynamic or differencing disk.

    Blocks past the end of the file's data do not count, nor does what the last block has after the
    end of the disk. Blocks that overlap hold no more than the file. None without a readable BAT.
    """
    header, blocks = structure.header, soundness.blocks
    if header is None or blocks is None:
        return None
    missing = 0 if blocks.past_end is None else blocks.past_end.count
    held = (blocks.allocated - missing) * header.block_size
    last = structure.bat[blocks.entries - 1]
    if last != UNALLOCATED and last * SECTOR + blocks.span <= structure.data_end:
        size = align_up(soundness.guest_size, SECTOR)
        held -= max(0, blocks.entries * header.block_size - size)
    return min(held, structure.data_end)
