"""Whether the blocks of a BAT lie where blocks may lie: a million entries in a moment.

Everything here runs at the speed of C over the compact array; Python's own loops are kept for
what is wrong, and has to be named.
"""

from __future__ import annotations

import math
import operator
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count, islice, repeat
from typing import NamedTuple

from vhdtools.layout import UNALLOCATED, allocated_entries
from vhdtools.layout.bitmap import SECTOR

__all__ = ["BlockSurvey", "Misplaced", "survey_blocks"]

_SORTED_AT_ONCE = 1 << 17
_PARTS = 1 << 6
_DIVIDED_AT_ONCE = 1 << 14
_SPARE_SLOTS = 1 << 12
_SAMPLES = 1 << 10


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


class BlockSurvey(NamedTuple):
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
    apart: array[int] | None = blocks
    ordered, ascending = blocks, True
    if not all(
        map(operator.le, map(operator.add, blocks, repeat(sectors)), islice(blocks, 1, None))
    ):
        apart = _sorted_if_apart(blocks, sectors)
        ordered = _sorted(blocks) if apart is None else apart
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
        overlapping=None if ordered is apart else _overlapping(bat, ordered, sectors),
    )


def _sorted_if_apart(blocks: array[int], sectors: int) -> array[int] | None:
    """`blocks` sorted, if all lie multiples of one pitch apart, as usual, and no two overlap."""
    lowest, highest = min(blocks), max(blocks)
    sample = blocks[:: len(blocks) // _SAMPLES + 1]
    pitch = math.gcd(*map(operator.sub, sample, repeat(lowest)))
    if pitch < sectors or (highest - lowest) // pitch >= 4 * len(blocks) + _SPARE_SLOTS:
        return None
    taken = bytearray((highest - lowest) // pitch + 1)
    try:
        for start in range(0, len(blocks), _DIVIDED_AT_ONCE):
            for slot in _divided(blocks[start : start + _DIVIDED_AT_ONCE], lowest, pitch):
                taken[slot] = 1
    except IndexError:  # one block lies at no multiple of the pitch
        return None
    if taken.count(1) != len(blocks):
        return None
    return array(blocks.typecode, compress(range(lowest, highest + 1, pitch), taken))


def _divided(numbers: array[int], lowest: int, pitch: int) -> array[int]:
    """How many times `pitch` each number is above `lowest`; one is far too large if any is not.

    All are digits of one number, which is divided at once: without a remainder, and with digits
    small enough not to run over when multiplied again, each digit was divided without one.
    """
    size = len(numbers) * numbers.itemsize
    above = int.from_bytes(numbers.tobytes(), sys.byteorder) - int.from_bytes(
        (array(numbers.typecode, [lowest]) * len(numbers)).tobytes(), sys.byteorder
    )
    each, remainder = divmod(above, pitch)
    if remainder:
        return array(numbers.typecode, [UNALLOCATED])
    return array(numbers.typecode, each.to_bytes(size, sys.byteorder))


def _sorted(numbers: array[int]) -> array[int]:
    """`numbers` sorted, in parts: as a list they would take ten times the memory."""
    if len(numbers) <= _SORTED_AT_ONCE:
        return array(numbers.typecode, sorted(numbers))
    lowest, highest = min(numbers), max(numbers)
    if lowest == highest:
        return numbers
    shift = max(0, (highest - lowest).bit_length() - _PARTS.bit_length() + 1)
    parts = [array(numbers.typecode) for _ in range(_PARTS)]
    for number in numbers:
        parts[(number - lowest) >> shift].append(number)
    ordered = array(numbers.typecode)
    for part in parts:
        ordered.extend(_sorted(part))
    return ordered


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
