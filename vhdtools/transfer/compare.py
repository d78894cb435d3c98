"""Both sides of a transfer, read and compared piece by piece."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, tee

from vhdtools.checksums import crc64, crc64_zeros
from vhdtools.image.disk_image import DiskImage
from vhdtools.progress import Task
from vhdtools.ranges import PAGE, PageRange, align_down, align_up, coalesce, split
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.chunks import ChunkReader
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.plan import Chunk, Zeros

__all__ = ["Compared", "Comparer", "Comparison", "comparisons"]

_GAP = 64 * 1024
_COMPARED = 64 * 1024


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stretch, and the parts of it that either side may hold data in; the rest is zero."""

    offset: int
    length: int
    source: tuple[PageRange, ...]
    target: tuple[PageRange, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A stretch that was read on both sides: the CRC-64 of each, and where they differ.

    `differs` are whole pages, ascending; `first` is the first byte that differs, if any does.
    """

    offset: int
    length: int
    source_crc64: int
    target_crc64: int
    differs: tuple[PageRange, ...] = ()
    first: int | None = None


def comparisons(
    source: Iterable[PageRange], target: Iterable[PageRange], size: int
) -> Iterator[Comparison | Zeros]:
    """[0, size) tiled by what to compare (at most 4 MiB each), and what is zero on both sides.

    `source` are the ranges where the disk may hold data, `target` those that were written.
    """
    source, source_pages = tee(source)
    target, target_pages = tee(target)
    pages = (_whole_pages(item) for item in source_pages)
    ours, theirs = _Cursor(source), _Cursor(target)
    position = 0
    for piece in _joined(pages, target_pages):
        if piece.offset > position:
            yield Zeros(position, piece.offset - position)
        yield Comparison(piece.offset, piece.length, ours.inside(piece), theirs.inside(piece))
        position = piece.end
    if position < size:
        yield Zeros(position, size - position)


def _joined(*lists: Iterable[PageRange]) -> Iterator[PageRange]:
    """The union of the lists, in pieces that lie each in one 4 MiB of the disk.

    Joined within those alone, so that no more of a list is looked at ahead of the piece.
    """
    merged = heapq.merge(*(split(ranges, MAX_WRITE) for ranges in lists))
    for _, neighbours in groupby(merged, key=lambda item: item.offset // MAX_WRITE):
        yield from coalesce(neighbours, gap=_GAP)


class Comparer:
    """Reads both sides of a comparison, and finds where they differ.

    May be called from several threads; `read_bytes` counts what was read back.
    """

    def __init__(self, image: DiskImage, connection: Connection, task: Task) -> None:
        def read_back(offset: int, buffer: memoryview) -> None:
            connection.read_into(offset, buffer)
            with self._lock:
                self.read_bytes += len(buffer)

        self._source = ChunkReader(image.read_into)
        self._target = ChunkReader(read_back)
        self._name = connection.target.name
        self._task = task
        self._lock = threading.Lock()
        self.read_bytes = 0

    def __call__(self, item: Comparison | Zeros) -> Compared:
        """Both sides of one stretch."""
        if isinstance(item, Zeros):
            zeros = crc64_zeros(item.length)
            return Compared(item.offset, item.length, zeros, zeros)
        length = item.length
        ours = self._source.read(Chunk(item.offset, length, item.source))
        theirs = self._target.read(Chunk(item.offset, length, item.target))
        crc = crc64(theirs)
        first = _first_difference(ours, theirs)
        self._task.advance(sum(part.length for part in item.source))
        if first is None:
            return Compared(item.offset, length, crc, crc)
        differs = coalesce(
            PageRange(item.offset + at, min(PAGE, length - at))
            for at in range(align_down(first, PAGE), length, PAGE)
            if bytes(ours[at : at + PAGE]) != theirs[at : at + PAGE]
        )
        return Compared(item.offset, length, crc64(ours), crc, tuple(differs), item.offset + first)


class _Cursor:
    """Walks ascending ranges along with ascending pieces."""

    def __init__(self, ranges: Iterable[PageRange]) -> None:
        self._ranges = iter(ranges)
        self._current = next(self._ranges, None)

    def inside(self, piece: PageRange) -> tuple[PageRange, ...]:
        """The parts of the ranges that lie in `piece`, which begins where the last one ended."""
        parts: list[PageRange] = []
        while self._current is not None and self._current.offset < piece.end:
            offset = max(self._current.offset, piece.offset)
            end = min(self._current.end, piece.end)
            if end > offset:
                parts.append(PageRange(offset, end - offset))
            if self._current.end > piece.end:
                break
            self._current = next(self._ranges, None)
        return tuple(parts)


def _whole_pages(item: PageRange) -> PageRange:
    offset = align_down(item.offset, PAGE)
    return PageRange(offset, align_up(item.end, PAGE) - offset)


def _first_difference(ours: memoryview, theirs: memoryview) -> int | None:
    """The first byte that differs, of views of equal lengths.

    Views are compared item by item, even with bytes: `bytes.startswith(view)` alone is memcmp.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} bytes cannot be compared with {len(theirs)}")
    for start in range(0, len(ours), _COMPARED):
        piece, other = bytes(ours[start : start + _COMPARED]), theirs[start : start + _COMPARED]
        if not piece.startswith(other):
            return start + next(at for at, byte in enumerate(other) if byte != piece[at])
    return None
