"""What to read, what is zero, in disk order: the plan of a transfer.

A plan is a generator of steps that tile the disk exactly, so that it costs no memory, whatever
the disk's size, and so that the CRC-64 of the stream can be combined from the steps in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from vhdtools.ranges import PAGE, Extent, PageRange, align_down, align_up, coalesce
from vhdtools.target.page_target import MAX_WRITE

__all__ = ["MERGE_GAP", "Chunk", "Step", "Zeros", "cut", "force_writes", "plan", "work_size"]

MERGE_GAP = 120 * 1024
"""Zeros of at most this many bytes between data are sent along rather than skipped.

A blob takes 60 MiB/s and 500 requests/s (Microsoft Learn, "Scalability and performance targets
for Blob storage"): one more request is worth 60 MiB / 500 = 122.9 KiB of bytes.
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """`length` bytes from `offset` (whole pages) that a worker takes in one go.

    `reads` are the parts that may hold data; the rest of the chunk is known to be zero. With
    `trim`, zero pages need not be written, as the target holds zeros there; else all are.
    """

    offset: int
    length: int
    reads: tuple[PageRange, ...]
    trim: bool = True

    @property
    def end(self) -> int:
        """The first byte after the chunk."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Zeros:
    """`length` bytes from `offset` that are known to be zero, at the source and at the target."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the run."""
        return self.offset + self.length


Step: TypeAlias = Chunk | Zeros


def plan(
    extents: Iterable[Extent],
    size: int,
    *,
    start: int = 0,
    chunk_size: int = MAX_WRITE,
    gap: int = MERGE_GAP,
) -> Iterator[Step]:
    """The steps that tile [start, size): chunks of at most `chunk_size` bytes, and zeros.

    `extents` begin at `start`; where they end before `size` (padding), zeros follow. All but the
    extents' own ends are multiples of 512. Data that lies at most `gap` bytes apart goes into
    one chunk if it fits.
    """
    position = start
    for chunk in _chunks(_data(extents), chunk_size, gap):
        if chunk.offset > position:
            yield Zeros(position, chunk.offset - position)
        yield chunk
        position = chunk.end
    if position < size:
        yield Zeros(position, size - position)


def cut(steps: Iterable[Step], end: int) -> Iterator[Step]:
    """The steps below byte `end` (a multiple of 512); the one that crosses it is cut there."""
    for step in steps:
        if step.offset >= end:
            return
        if step.end <= end:
            yield step
        elif isinstance(step, Zeros):
            yield Zeros(step.offset, end - step.offset)
        else:
            reads = tuple(
                PageRange(item.offset, min(item.end, end) - item.offset)
                for item in step.reads
                if item.offset < end
            )
            yield Chunk(step.offset, end - step.offset, reads, step.trim)


def work_size(steps: Iterable[Step]) -> int:
    """Bytes in the chunks: what a transfer has to look at, and perhaps to send."""
    return sum(step.length for step in steps if isinstance(step, Chunk))


def force_writes(steps: Iterable[Step], dirty: Iterable[PageRange]) -> Iterator[Step]:
    """The same plan for a target that may hold anything in `dirty` (ascending ranges).

    What is known to be zero there becomes chunks to write, and chunks that touch it are written
    whole.
    """
    pending = iter(dirty)
    current = next(pending, None)
    for step in steps:
        while current is not None and current.end <= step.offset:
            current = next(pending, None)
        if isinstance(step, Chunk):
            touched = current is not None and current.offset < step.end
            yield Chunk(step.offset, step.length, step.reads, trim=step.trim and not touched)
            continue
        position = step.offset
        while current is not None and current.offset < step.end:
            if current.offset > position:
                yield Zeros(position, current.offset - position)
                position = current.offset
            end = min(current.end, step.end)
            while position < end:
                length = min(MAX_WRITE, end - position)
                yield Chunk(position, length, (), trim=False)
                position += length
            if current.end > step.end:
                break
            current = next(pending, None)
        if position < step.end:
            yield Zeros(position, step.end - position)


def _data(extents: Iterable[Extent]) -> Iterator[PageRange]:
    return coalesce(PageRange(e.offset, e.length) for e in extents if not e.zero and e.length)


def _chunks(data: Iterable[PageRange], chunk_size: int, gap: int) -> Iterator[Chunk]:
    first, reads = 0, list[PageRange]()
    for item in data:
        offset = item.offset
        while offset < item.end:
            if reads and (offset - reads[-1].end > gap or offset >= first + chunk_size):
                yield _chunk(first, reads)
                reads = []
            if not reads:
                first = align_down(offset, PAGE)
            end = min(item.end, first + chunk_size)
            reads.append(PageRange(offset, end - offset))
            offset = end
    if reads:
        yield _chunk(first, reads)


def _chunk(first: int, reads: list[PageRange]) -> Chunk:
    return Chunk(first, align_up(reads[-1].end, PAGE) - first, tuple(reads))
