"""Whether the blocks of a BAT lie where blocks may lie: a million entries in a moment.

Everything here runs at the speed of C over the compact array; Python's own loops are kept for
what is wrong, and has to be named.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from vhdtools.layout import UNALLOCATED
from vhdtools.layout.bitmap import SECTOR

__all__ = ["BlockSurvey", "Misplaced", "survey_blocks"]

_SORTED_AT_ONCE = 1 << 20
_SPARE_SLOTS = 1 << 12


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A block that lies where it must not: the first of `count` of that kind.

    `block` is its number, `place` the byte where its sector bitmap should be. `other` is the
    block it overlaps, None for one outside the blocks' area or over `what` lies there.
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
    bitmap, from `lowest` to `highest` (both None without blocks). `ascending`: in the order of
    the disk. `past_end`, `over_metadata`, `overlapping`: what is wrong, None where nothing is.
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
    free = bat.count(UNALLOCATED)
    blocks = bat if not free else array(bat.typecode, filter(UNALLOCATED.__ne__, bat))
    if not blocks:
        return BlockSurvey(len(bat), 0, span, None, None, True, None, None, None)
    sectors = span // SECTOR
    lowest, highest = min(blocks), max(blocks)
    steps = map(operator.sub, islice(blocks, 1, None), blocks)
    ascending = min(steps, default=sectors)
    overlapping = None
    if ascending < sectors and _overlap(blocks, sectors):
        overlapping = _first_overlap(bat, sectors)
    return BlockSurvey(
        entries=len(bat),
        allocated=len(blocks),
        span=span,
        lowest=lowest * SECTOR,
        highest=highest * SECTOR,
        ascending=ascending > 0,
        past_end=_past_end(bat, highest, (data_end - span) // SECTOR),
        over_metadata=_over_metadata(bat, lowest, highest, sectors, metadata),
        overlapping=overlapping,
    )


def _past_end(bat: array[int], highest: int, last_good: int) -> Misplaced | None:
    if highest <= last_good:
        return None
    beyond = [(block, entry) for block, entry in enumerate(bat) if last_good < entry != UNALLOCATED]
    block, entry = beyond[0]
    return Misplaced(block, entry * SECTOR, len(beyond), "the end")


def _over_metadata(
    bat: array[int],
    lowest: int,
    highest: int,
    sectors: int,
    metadata: Sequence[tuple[int, int, str]],
) -> Misplaced | None:
    for offset, length, name in metadata:
        # The sectors at which a block would touch it.
        first = offset // SECTOR - sectors + 1
        last = (offset + length - 1) // SECTOR
        if not length or last < lowest or first > highest:
            continue
        touching = [(block, entry) for block, entry in enumerate(bat) if first <= entry <= last]
        if touching:
            block, entry = touching[0]
            return Misplaced(block, entry * SECTOR, len(touching), name)
    return None


def _overlap(blocks: array[int], sectors: int) -> bool:
    """Whether any two of these are less than `sectors` apart."""
    lowest, highest = min(blocks), max(blocks)
    slots = (highest - lowest) // sectors + 1
    if slots < len(blocks):
        return True  # more blocks than places
    if slots <= 4 * len(blocks) + _SPARE_SLOTS:
        # A place for each block by its position: sorting without comparing. Two in one place
        # overlap; of the others only neighbours can.
        placed = array(blocks.typecode, bytes(blocks.itemsize)) * slots
        for entry in blocks:
            placed[(entry - lowest) // sectors] = entry + 1
        ordered: Sequence[int] = array(blocks.typecode, filter(None, placed))
        if len(ordered) < len(blocks):
            return True
    elif len(blocks) <= _SORTED_AT_ONCE:
        ordered = sorted(blocks)
    else:
        # Few blocks in much room: halve the room until one of the ways above fits.
        middle = (lowest + highest) // 2
        below = array(blocks.typecode, filter(middle.__ge__, blocks))
        above = array(blocks.typecode, filter(middle.__lt__, blocks))
        return (
            min(above) - max(below) < sectors
            or _overlap(below, sectors)
            or _overlap(above, sectors)
        )
    return min(map(operator.sub, islice(ordered, 1, None), ordered), default=sectors) < sectors


def _first_overlap(bat: array[int], sectors: int) -> Misplaced:
    ordered = sorted((entry, block) for block, entry in enumerate(bat) if entry != UNALLOCATED)
    pairs = [
        (max(one, two), min(one, two), entry)
        for (start, one), (entry, two) in pairwise(ordered)
        if entry - start < sectors
    ]
    block, other, _ = min(pairs)
    return Misplaced(block, bat[block] * SECTOR, len(pairs), "another block", other)
