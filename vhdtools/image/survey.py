"""Whether the blocks of a BAT lie where blocks may lie: a million entries in a moment.

Everything here runs at the speed of C over the compact array; Python's own loops are kept for
what is wrong, and has to be named.
"""

from __future__ import annotations

import contextlib
import heapq
import operator
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count, islice, repeat

from vhdtools.layout import UNALLOCATED, allocated_entries
from vhdtools.layout.bitmap import SECTOR

__all__ = ["BlockSurvey", "Misplaced", "survey_blocks"]

_SORTED_AT_ONCE = 1 << 20
_SPARE_SLOTS = 1 << 12


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A block that lies where it must not: of `count` of that kind, the first in the file.

    `block` is its number, `place` the byte where its sector bitmap should be. It lies over `what`
    ("" for a place outside the file), or over the block `other`.
    """

    block: int
    place: int
    count: int
    what: str
    other: int | None = None


@dataclass(frozen=True, slots=True)
class BlockSurvey:
    """How the blocks lie in the file, in bytes.

    `allocated` blocks of `entries` are in the file, each taking `span` bytes with its sector
    bitmap; the first begins at `lowest`, the last at `highest` (both None without blocks).
    `ascending`: in the order of the disk. `past_end`, `over_metadata`, `overlapping`: what is
    wrong, None where nothing is.
    """

    entries: int
    allocated: int
    span: int
    lowest: int | None
    highest: int | None
    ascending: bool
    past_end: Misplaced | None
    over_metadata: Misplaced | None
    overlapping: Misplaced | None

    @property
    def gaps(self) -> int:
        """Bytes between the first and the last block that belong to no block."""
        if self.lowest is None or self.highest is None or self.overlapping is not None:
            return 0
        return self.highest - self.lowest - (self.allocated - 1) * self.span


def survey_blocks(
    bat: array[int], span: int, data_end: int, metadata: Sequence[tuple[int, int, str]]
) -> BlockSurvey:
    """Look at where all blocks of `bat` lie.

    `span` is the size of a block with its sector bitmap, `data_end` where blocks must have ended,
    `metadata` the (offset, length, name) that they must not touch; all in bytes.
    """
    blocks = allocated_entries(bat)
    if not blocks:
        return BlockSurvey(len(bat), 0, span, None, None, True, None, None, None)
    sectors = span // SECTOR
    if all(map(operator.le, map(operator.add, blocks, repeat(sectors)), islice(blocks, 1, None))):
        ordered, ascending = blocks, True
    else:
        ordered = _in_order(blocks, sectors, data_end // SECTOR)
        ascending = all(map(operator.lt, blocks, islice(blocks, 1, None)))
    return BlockSurvey(
        entries=len(bat),
        allocated=len(blocks),
        span=span,
        lowest=ordered[0] * SECTOR,
        highest=ordered[-1] * SECTOR,
        ascending=ascending,
        past_end=_between(bat, ordered, (data_end - span) // SECTOR + 1, UNALLOCATED, ""),
        over_metadata=_over_metadata(bat, ordered, sectors, metadata),
        overlapping=None if ordered is blocks else _overlapping(bat, ordered, sectors),
    )


def _in_order(blocks: array[int], sectors: int, end: int) -> array[int]:
    """`blocks` sorted, where they should lie `sectors` apart in front of sector `end`."""
    slots = end // sectors + 1
    if slots <= 4 * len(blocks) + _SPARE_SLOTS:
        # A slot for each block by its place sorts without comparing, if none share one.
        placed = array(blocks.typecode, bytes(blocks.itemsize)) * slots
        with contextlib.suppress(IndexError):  # a block past the end
            for entry in blocks:
                placed[entry // sectors] = entry
            ordered = array(blocks.typecode, filter(None, placed))
            if len(ordered) == len(blocks):
                return ordered
    pieces = range(0, len(blocks), _SORTED_AT_ONCE)  # numbers in a list take ten times the memory
    parts = [
        array(blocks.typecode, sorted(blocks[start : start + _SORTED_AT_ONCE])) for start in pieces
    ]
    return parts[0] if len(parts) == 1 else array(blocks.typecode, heapq.merge(*parts))


def _between(
    bat: array[int], ordered: array[int], first: int, last: int, what: str
) -> Misplaced | None:
    """The blocks whose sectors are from `first` to `last`."""
    start = bisect_left(ordered, first)
    number = bisect_right(ordered, last) - start
    if number <= 0:
        return None
    return Misplaced(bat.index(ordered[start]), ordered[start] * SECTOR, number, what)


def _over_metadata(
    bat: array[int], ordered: array[int], sectors: int, metadata: Sequence[tuple[int, int, str]]
) -> Misplaced | None:
    for offset, length, name in metadata:
        first, last = offset // SECTOR - sectors + 1, (offset + length - 1) // SECTOR
        found = _between(bat, ordered, first, last, name) if length else None
        if found is not None:
            return found
    return None


def _overlapping(bat: array[int], ordered: array[int], sectors: int) -> Misplaced | None:
    if min(map(operator.sub, islice(ordered, 1, None), ordered)) >= sectors:
        return None
    steps = map(operator.sub, islice(ordered, 1, None), ordered)
    close = array(ordered.typecode, compress(count(), map(sectors.__gt__, steps)))
    below, above = ordered[close[0]], ordered[close[0] + 1]
    other = bat.index(below)
    block = bat.index(above, other + 1) if above == below else bat.index(above)
    return Misplaced(block, above * SECTOR, len(close), "", other)
