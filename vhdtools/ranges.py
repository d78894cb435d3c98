"""Ranges of a disk, as (offset, length) in bytes, and the arithmetic on lists of them.

All functions take ranges in ascending order that do not overlap, and keep them so. They are
generators: a disk may have a million ranges.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = [
    "PAGE",
    "Extent",
    "PageRange",
    "RangeList",
    "align_down",
    "align_up",
    "coalesce",
    "split",
    "subtract",
]

PAGE = 512
"""Bytes in a page of a page blob, and in a sector of a VHD."""


@dataclass(frozen=True, slots=True, order=True)
class PageRange:
    """`length` bytes from byte `offset`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the range."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of the virtual disk, in bytes: `zero` means known to read as zeros; else perhaps data.

    A disk's extents tile it exactly: they start at 0, leave no gap and end at the virtual size.
    """

    offset: int
    length: int
    zero: bool

    @property
    def end(self) -> int:
        """The first byte after the extent."""
        return self.offset + self.length


class RangeList:
    """Ascending ranges that do not overlap, 16 bytes each; neighbours that touch become one."""

    def __init__(self, ranges: Iterable[PageRange] = ()) -> None:
        self._starts = array("Q")
        self._ends = array("Q")
        for item in ranges:
            self.append(item)

    @property
    def end(self) -> int:
        """The end of the last range; 0 where there is none."""
        return self._ends[-1] if self._ends else 0

    def append(self, item: PageRange) -> None:
        """Add a range that begins at or after `end`; ValueError for another."""
        if item.offset < self.end:
            raise ValueError(f"range at {item.offset} added after {self.end}")
        if self._ends and self._ends[-1] == item.offset:
            self._ends[-1] = item.end
        else:
            self._starts.append(item.offset)
            self._ends.append(item.end)

    def __iter__(self) -> Iterator[PageRange]:
        for start, end in zip(self._starts, self._ends, strict=True):
            yield PageRange(start, end - start)

    def __len__(self) -> int:
        return len(self._starts)


def align_down(value: int, unit: int) -> int:
    """The largest multiple of `unit` that is not above `value`."""
    return value - value % unit


def align_up(value: int, unit: int) -> int:
    """The smallest multiple of `unit` that is not below `value`."""
    return value + -value % unit


def split(ranges: Iterable[PageRange], size: int) -> Iterator[PageRange]:
    """Cut ranges at multiples of `size` bytes of the disk, so that none is longer than `size`."""
    for item in ranges:
        offset = item.offset
        while offset < item.end:
            end = min(item.end, align_down(offset, size) + size)
            yield PageRange(offset, end - offset)
            offset = end


def coalesce(ranges: Iterable[PageRange], *, gap: int = 0) -> Iterator[PageRange]:
    """Join neighbours that are at most `gap` bytes apart (0: those that touch)."""
    current: PageRange | None = None
    for item in ranges:
        if current is not None and item.offset - current.end <= gap:
            current = PageRange(current.offset, max(current.end, item.end) - current.offset)
        else:
            if current is not None:
                yield current
            current = item
    if current is not None:
        yield current


def subtract(ranges: Iterable[PageRange], holes: Iterable[PageRange]) -> Iterator[PageRange]:
    """The parts of `ranges` that no range of `holes` covers."""
    pending = iter(holes)
    hole = next(pending, None)
    for item in ranges:
        offset = item.offset
        while hole is not None and hole.end <= offset:
            hole = next(pending, None)
        while hole is not None and hole.offset < item.end:
            if hole.offset > offset:
                yield PageRange(offset, hole.offset - offset)
            offset = min(hole.end, item.end)
            if hole.end > item.end:
                break
            hole = next(pending, None)
        if offset < item.end:
            yield PageRange(offset, item.end - offset)
