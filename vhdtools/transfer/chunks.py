"""What a worker does with one step of the plan: read it, trim it, digest it, and send it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from vhdtools.checksums import crc64, crc64_combine, crc64_zeros
from vhdtools.image.buffer import page_buffer
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.zeros import fill_zeros, is_zero
from vhdtools.progress import Task
from vhdtools.ranges import PageRange, split
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.ledger import StepResult
from vhdtools.transfer.plan import MERGE_GAP, Chunk, Step, Zeros
from vhdtools.transfer.trim import nonzero_runs

__all__ = ["ChunkReader", "Digester", "ReadInto", "Sender", "Write"]

Write: TypeAlias = Callable[[int, memoryview, int], bool]
"""Writes bytes at an offset with their CRC-64, trying as often as it takes; True if confirmed."""

ReadInto: TypeAlias = Callable[[int, memoryview], None]
"""Fills all of a buffer with the bytes from an offset."""

_ZEROS = memoryview(bytes(MAX_WRITE))

_PIECE = 2 * 1024 * 1024
"""Much of it stays in the processors' caches; smaller pieces cost more calls than they gain."""


class ChunkReader:
    """Reads chunks into one buffer for each thread that asks; `read_into` fills one range."""

    def __init__(self, read_into: ReadInto) -> None:
        self._read_into = read_into
        self._local = threading.local()
        # Looking for zeros is the processors' work: more threads at it than there are processors
        # only get into each other's way.
        self._turns = threading.BoundedSemaphore(os.cpu_count() or 1)

    def read(self, chunk: Chunk) -> memoryview:
        """The chunk's bytes, until this thread's next call. Raises what `read_into` raises."""
        view = self._buffer(chunk.length)
        self._fill(view, chunk, 0, chunk.reads)
        return view

    def read_unless_zero(self, chunk: Chunk) -> memoryview | None:
        """As `read`, or None where the whole chunk is zero: faster, if there is much of that."""
        view = self._buffer(chunk.length)
        with self._turns:
            found = self._first_data(view, chunk.reads)
        if found is None:
            return None
        piece, rest = found
        start, end = piece.offset - chunk.offset, piece.end - chunk.offset
        if start:
            view[start:end] = view[: piece.length]
            fill_zeros(view[:start])
        self._fill(view, chunk, end, rest)
        return view

    def _first_data(
        self, view: memoryview, reads: Sequence[PageRange]
    ) -> tuple[PageRange, list[PageRange]] | None:
        """The first piece that is not zero, now at the buffer's start, and what follows it.

        Every piece is read to that one place, which so stays in the processor's cache.
        """
        for index, item in enumerate(reads):
            for piece in split((item,), _PIECE):
                self._read_into(piece.offset, view[: piece.length])
                if not is_zero(view[: piece.length]):
                    rest = PageRange(piece.end, item.end - piece.end)
                    return piece, [rest, *reads[index + 1 :]]
        return None

    def _fill(self, view: memoryview, chunk: Chunk, done: int, reads: Iterable[PageRange]) -> None:
        """Read `reads` to their places in the chunk, and make the rest from `done` on zero."""
        for item in reads:
            start, end = item.offset - chunk.offset, item.end - chunk.offset
            fill_zeros(view[done:start])
            if start < end:
                self._read_into(item.offset, view[start:end])
            done = end
        fill_zeros(view[done:])

    def _buffer(self, length: int) -> memoryview:
        if length > MAX_WRITE:
            raise ValueError(f"a chunk has at most {MAX_WRITE} bytes, not {length}")
        buffer: memoryview | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = page_buffer(MAX_WRITE)
        return buffer[:length]


class Digester:
    """Takes steps without sending them: as `Sender`, for content that should be there already."""

    def __init__(self, image: DiskImage, task: Task) -> None:
        self._reader = ChunkReader(image.read_into)
        self._task = task

    def __call__(self, step: Step) -> StepResult:
        """The CRC-64 of the step, and the ranges that a `Sender` would have written."""
        if isinstance(step, Zeros):
            return StepResult(step.offset, step.length, crc64_zeros(step.length))
        view = self._reader.read_unless_zero(step)
        runs = _runs(step, view)
        crc = crc64_zeros(step.length) if view is None else crc64(view)
        self._task.advance(step.length)
        writes = tuple(PageRange(step.offset + start, end - start) for start, end in runs)
        return StepResult(step.offset, step.length, crc, writes)


class Sender:
    """Takes steps: reads each, finds the pages worth sending, and writes them with their CRC-64."""

    def __init__(self, image: DiskImage, write: Write, task: Task) -> None:
        self._reader = ChunkReader(image.read_into)
        self._write = write
        self._task = task

    def __call__(self, step: Step) -> StepResult:
        """Send one step; all of it is confirmed when this returns."""
        if isinstance(step, Zeros):
            return StepResult(step.offset, step.length, crc64_zeros(step.length))
        view = self._reader.read_unless_zero(step)
        content = _ZEROS if view is None else view
        writes: list[PageRange] = []
        crc = position = unconfirmed = 0
        for start, end in _runs(step, view):
            body = content[start:end]
            run_crc = crc64(body)
            if not self._write(step.offset + start, body, run_crc):
                unconfirmed += 1
            crc = _append_zeros(crc, start - position)
            crc = crc64_combine(crc, run_crc, end - start)
            writes.append(PageRange(step.offset + start, end - start))
            position = end
        crc = _append_zeros(crc, step.length - position)
        self._task.advance(step.length)
        return StepResult(step.offset, step.length, crc, tuple(writes), unconfirmed)


def _runs(chunk: Chunk, view: memoryview | None) -> list[tuple[int, int]]:
    """The parts of a chunk to be written; `view` as `read_unless_zero` gives it."""
    if not chunk.trim:
        return [(0, chunk.length)]
    return [] if view is None else nonzero_runs(view, gap=MERGE_GAP)


def _append_zeros(crc: int, length: int) -> int:
    return crc64_combine(crc, crc64_zeros(length), length) if length else crc
