"""A set of byte ranges that coalesces neighbours: what Get Page Ranges lists."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class RangeSet:
    """Disjoint half-open ranges, kept sorted; ranges that touch become one.

    Two flat lists, since most writers append: adding is a binary search and, rarely, a memmove.
    """

    __slots__ = ("_ends", "_starts", "_total")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._total = 0

    def __len__(self) -> int:
        """The number of ranges."""
        return len(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each range as (offset, length), in order."""
        return ((start, end - start) for start, end in zip(self._starts, self._ends, strict=True))

    @property
    def total(self) -> int:
        """The bytes covered."""
        return self._total

    def overlapping(self, offset: int, length: int) -> list[tuple[int, int]]:
        """The parts of the set inside the given range, each as (offset, length)."""
        end = offset + length
        first = bisect_right(self._ends, offset)
        last = bisect_left(self._starts, end)
        return [
            (max(start, offset), min(stop, end) - max(start, offset))
            for start, stop in zip(self._starts[first:last], self._ends[first:last], strict=True)
        ]

    def count(self, offset: int, length: int) -> int:
        """How many ranges of the set reach into the given range."""
        first = bisect_right(self._ends, offset)
        return max(0, bisect_left(self._starts, offset + length) - first)

    def covered(self, offset: int, length: int) -> int:
        """How many bytes of the given range are in the set."""
        return sum(part for _, part in self.overlapping(offset, length))

    def add(self, offset: int, length: int) -> None:
        """Put a range into the set."""
        if length <= 0:
            return
        start, end = offset, offset + length
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._replace(first, last, [start], [end])

    def remove(self, offset: int, length: int) -> None:
        """Take a range out of the set."""
        start, end = offset, offset + length
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        starts: list[int] = []
        ends: list[int] = []
        if self._starts[first] < start:
            starts.append(self._starts[first])
            ends.append(start)
        if self._ends[last - 1] > end:
            starts.append(end)
            ends.append(self._ends[last - 1])
        self._replace(first, last, starts, ends)

    def _replace(self, first: int, last: int, starts: list[int], ends: list[int]) -> None:
        self._total += sum(ends) - sum(starts)
        self._total -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = starts
        self._ends[first:last] = ends
