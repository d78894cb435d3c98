"""What a worker does with one step of the plan: read it, trim it, digest it, and send it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from vhdtools.checksums import crc64, crc64_combine, crc64_zeros
from vhdtools.image.disk_image import DiskImage
from vhdtools.ranges import PageRange
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.ledger import StepResult
from vhdtools.transfer.plan import MERGE_GAP, Chunk, Step, Zeros
from vhdtools.transfer.progress import Progress
from vhdtools.transfer.trim import nonzero_runs

__all__ = ["ChunkReader", "Digester", "ReadInto", "Sender", "Write"]

Write: TypeAlias = Callable[[int, memoryview, int], bool]
"""Writes bytes at an offset with their CRC-64, trying as often as it takes; True if confirmed."""

ReadInto: TypeAlias = Callable[[int, memoryview], None]
"""Fills all of a buffer with the bytes from an offset."""

_ZEROS = bytes(MAX_WRITE)


class ChunkReader:
    """Reads chunks into one buffer for each thread that asks; `read_into` fills one range."""

    def __init__(self, read_into: ReadInto) -> None:
        self._read_into = read_into
        self._local = threading.local()

    def read(self, chunk: Chunk) -> bytearray:
        """A buffer whose first `chunk.length` bytes are the chunk's, until this thread's next call.

        Raises what `read_into` raises.
        """
        buffer: bytearray | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = bytearray(MAX_WRITE)
        with memoryview(buffer) as view:
            done = 0
            for item in chunk.reads:
                start, end = item.offset - chunk.offset, item.end - chunk.offset
                view[done:start] = _ZEROS[: start - done]
                self._read_into(item.offset, view[start:end])
                done = end
            view[done : chunk.length] = _ZEROS[: chunk.length - done]
        return buffer


class Digester:
    """Takes steps without sending them: as `Sender`, for content that should be there already."""

    def __init__(self, image: DiskImage, progress: Progress) -> None:
        self._reader = ChunkReader(image.read_into)
        self._progress = progress

    def __call__(self, step: Step) -> StepResult:
        """The CRC-64 of the step, and the ranges that a `Sender` would have written."""
        if isinstance(step, Zeros):
            return StepResult(step.offset, step.length, crc64_zeros(step.length))
        buffer = self._reader.read(step)
        runs = _runs(step, buffer)
        with memoryview(buffer) as view:
            crc = crc64(view[: step.length]) if runs else crc64_zeros(step.length)
        self._progress.advance(step.length)
        writes = tuple(PageRange(step.offset + start, end - start) for start, end in runs)
        return StepResult(step.offset, step.length, crc, writes)


class Sender:
    """Takes steps: reads each, finds the pages worth sending, and writes them with their CRC-64."""

    def __init__(self, image: DiskImage, write: Write, progress: Progress) -> None:
        self._reader = ChunkReader(image.read_into)
        self._write = write
        self._progress = progress

    def __call__(self, step: Step) -> StepResult:
        """Send one step; all of it is confirmed when this returns."""
        if isinstance(step, Zeros):
            return StepResult(step.offset, step.length, crc64_zeros(step.length))
        buffer = self._reader.read(step)
        writes: list[PageRange] = []
        crc = position = unconfirmed = 0
        with memoryview(buffer) as view:
            for start, end in _runs(step, buffer):
                with view[start:end] as body:
                    run_crc = crc64(body)
                    if not self._write(step.offset + start, body, run_crc):
                        unconfirmed += 1
                crc = _append_zeros(crc, start - position)
                crc = crc64_combine(crc, run_crc, end - start)
                writes.append(PageRange(step.offset + start, end - start))
                position = end
        crc = _append_zeros(crc, step.length - position)
        self._progress.advance(step.length)
        return StepResult(step.offset, step.length, crc, tuple(writes), unconfirmed)


def _runs(chunk: Chunk, buffer: bytearray) -> list[tuple[int, int]]:
    if not chunk.trim:
        return [(0, chunk.length)]
    return nonzero_runs(buffer, chunk.length, gap=MERGE_GAP)


def _append_zeros(crc: int, length: int) -> int:
    return crc64_combine(crc, crc64_zeros(length), length) if length else crc
