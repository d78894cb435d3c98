"""The blocks of one dynamic or differencing file: what it holds of the disk, and what not."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

from vhdtools.image.source import Source, data_runs
from vhdtools.image.zeros import fill_zeros
from vhdtools.layout import UNALLOCATED, allocated_blocks, bitmap_size
from vhdtools.layout.bitmap import SECTOR, runs
from vhdtools.ranges import PageRange, align_up, coalesce

__all__ = ["BlockFile", "Held"]

Held: TypeAlias = Literal["data", "zero", "absent"]
"""Whether a file holds a run as bytes, as a hole (zeros), or not at all."""

_CACHED_BITMAP_BYTES = 2 * 1024 * 1024
_READ_THROUGH = 64 * 1024
"""Clear sectors between set ones that are read along: cheaper than another call to the system."""


class BlockFile:
    """The blocks of an open file, whose BAT was found sound; `size` is the virtual size in bytes.

    Safe from several threads. The sector bitmaps are kept as they are read, a bounded number.
    """

    __slots__ = ("_bat", "_bitmap", "_bitmap_size", "_block_size", "_full", "size", "source")

    def __init__(self, source: Source, bat: array[int], block_size: int, size: int) -> None:
        self.source = source
        self.size = size
        self._bat = bat
        self._block_size = block_size
        self._bitmap_size = bitmap_size(block_size)
        self._full = b"\xff" * max(1, block_size // SECTOR // 8)
        cached = max(1, _CACHED_BITMAP_BYTES // self._bitmap_size)
        self._bitmap = lru_cache(maxsize=cached)(self._read_bitmap)

    def runs(self, start: int) -> Iterator[tuple[int, int, Held]]:
        """The disk from byte `start` to its last sector's end, as (offset, length, held).

        Neighbours may be alike. `start` is a multiple of 512.
        """
        end = align_up(self.size, SECTOR)
        position = start
        first = start // self._block_size
        for block in allocated_blocks(self._bat, first):
            block_start = block * self._block_size
            if block_start >= end:
                break
            if block_start > position:
                yield position, block_start - position, "absent"
                position = block_start
            block_end = min(block_start + self._block_size, end)
            yield from self._runs_in_block(block, position, block_end)
            position = block_end
        if position < end:
            yield position, end - position, "absent"

    def fill(self, offset: int, view: memoryview) -> list[tuple[int, memoryview]]:
        """Fill the parts of `view` that this file holds; the others are returned, as they lie.

        `view` takes the bytes from `offset`; what lies past the disk's end becomes zeros. Other
        parts than those returned must not be read before these are filled too.
        """
        missing: list[tuple[int, memoryview]] = []
        inside = max(0, min(len(view), self.size - offset))
        fill_zeros(view[inside:])
        done = 0
        while done < inside:
            block, within = divmod(offset + done, self._block_size)
            length = min(self._block_size - within, inside - done)
            part = view[done : done + length]
            if self._bat[block] == UNALLOCATED:
                missing.append((offset + done, part))
            else:
                missing += self._fill_from_block(block, within, offset + done, part)
            done += length
        return missing

    def _fill_from_block(
        self, block: int, within: int, offset: int, part: memoryview
    ) -> list[tuple[int, memoryview]]:
        data = self._data_offset(block)
        bitmap = self._bitmap(block)
        if bitmap.startswith(self._full):
            self.source.read_into(data + within, part)
            return []
        first = within // SECTOR
        sectors = -(-(within + len(part)) // SECTOR) - first
        held: list[PageRange] = []
        missing: list[tuple[int, memoryview]] = []
        for sector, number, is_set in runs(bitmap, first, sectors):
            start = max(sector * SECTOR - within, 0)
            end = min((sector + number) * SECTOR - within, len(part))
            if is_set:
                held.append(PageRange(start, end - start))
            else:
                missing.append((offset + start, part[start:end]))
        for item in coalesce(held, gap=_READ_THROUGH):
            self.source.read_into(data + within + item.offset, part[item.offset : item.end])
        return missing

    def _runs_in_block(self, block: int, start: int, end: int) -> Iterator[tuple[int, int, Held]]:
        bitmap = self._bitmap(block)
        block_start = block * self._block_size
        to_file = self._data_offset(block) - block_start
        first, sectors = (start - block_start) // SECTOR, (end - start) // SECTOR
        whole = bitmap.startswith(self._full)
        for sector, number, is_set in (
            ((first, sectors, True),) if whole else runs(bitmap, first, sectors)
        ):
            offset, length = block_start + sector * SECTOR, number * SECTOR
            if not is_set:
                yield offset, length, "absent"
                continue
            file_offset = offset + to_file
            for at, size, is_data in data_runs(self.source, file_offset, file_offset + length):
                yield at - to_file, size, "data" if is_data else "zero"

    def _data_offset(self, block: int) -> int:
        return self._bat[block] * SECTOR + self._bitmap_size

    def _read_bitmap(self, block: int) -> bytes:
        return self.source.read(self._bat[block] * SECTOR, self._bitmap_size)
