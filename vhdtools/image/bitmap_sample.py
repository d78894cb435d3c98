"""A quick look at sector bitmaps: whether blocks hold data that no bit of theirs tells of.

A block that is in the file was written to, so that some of its bits are set, unless the program
that wrote it left bitmaps alone (Xen Orchestra and MiniVHD once did).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from vhdtools.image.batmap import is_called_full
from vhdtools.image.blocks import first_data
from vhdtools.image.source import Source
from vhdtools.layout import allocated_blocks, bitmap_size
from vhdtools.layout.bitmap import SECTOR, runs

__all__ = ["BitmapSample", "sample_bitmaps"]

_SAMPLES = 1024
_READ_AT_MOST = 64 << 20


class BitmapSample(NamedTuple):
    """What was seen in some of the blocks.

    `empty_over_data` have no bit set and hold data, the first of them in block `first_block`, at
    byte `first_offset` of the file. `full_by_batmap`: the batmap calls a block full whose bitmap
    is not.
    """

    empty_over_data: int = 0
    first_block: int = 0
    first_offset: int = 0
    full_by_batmap: bool = False


def sample_bitmaps(
    source: Source, bat: array[int], block_size: int, size: int, called_full: bytes
) -> BitmapSample:
    """Look at 1,024 blocks at the most, over all of a disk of `size` bytes.

    At most 64 MiB are read. `called_full` is the batmap, as in `BlockFile`. Raises
    SourceReadError.
    """
    span = bitmap_size(block_size)
    empty: list[tuple[int, int]] = []
    by_batmap = False
    left = _READ_AT_MOST
    for block in _some(bat, -(-size // block_size)):
        bitmap = source.read(bat[block] * SECTOR, span)
        sectors = -(-min(block_size, size - block * block_size) // SECTOR)
        # Two runs tell all: a bitmap may have millions.
        bits = [is_set for _, _, is_set in islice(runs(bitmap, 0, sectors), 2)]
        if is_called_full(called_full, block):
            by_batmap = by_batmap or bits != [True]
        elif bits == [False] and left > 0:
            start = bat[block] * SECTOR + span
            end = start + min(sectors * SECTOR, left)
            place = first_data(source, start, end)
            left -= (end if place is None else place) - start
            if place is not None:
                empty.append((block, place // SECTOR * SECTOR))
    if not empty:
        return BitmapSample(full_by_batmap=by_batmap)
    return BitmapSample(len(empty), *empty[0], by_batmap)


def _some(bat: array[int], needed: int) -> Iterator[int]:
    """Numbers of allocated blocks, evenly from all of them."""
    blocks = [block for block in allocated_blocks(bat) if block < needed]
    step = -(-len(blocks) // _SAMPLES) or 1
    yield from blocks[::step]
