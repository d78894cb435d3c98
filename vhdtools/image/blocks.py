"""The blocks of one dynamic or differencing file: what it holds of the disk, and what not."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

from vhdtools.errors import DamagedImageError
from vhdtools.image.batmap import is_called_full
from vhdtools.image.source import Source, data_runs
from vhdtools.image.zeros import fill_zeros, is_zero
from vhdtools.layout import UNALLOCATED, allocated_blocks, bitmap_size
from vhdtools.layout.bitmap import SECTOR, runs
from vhdtools.ranges import PageRange, align_up, coalesce
from vhdtools.reruns import BITMAPS_COUNT, DATA_COUNTS

__all__ = ["BlockFile", "Clear", "Held", "first_data"]

Held: TypeAlias = Literal["data", "zero", "absent"]
"""Whether a file holds a run as bytes, as a hole (zeros), or not at all."""

Clear: TypeAlias = Literal["absent", "checked", "parent", "data"]
"""What a clear bit of an allocated block means: the file does not hold the sector ("absent"); it
does not, and what lies there must be zeros ("checked"), or must be where no bit of the block is set
("parent"); or nothing, and the sector is data like any other ("data")."""

_CACHED_BITMAP_BYTES = 2 * 1024 * 1024
_READ_THROUGH = 64 * 1024
"""Clear sectors between set ones that are read along: cheaper than another call to the system."""
_COMPARED = 1024 * 1024


class BlockFile:
    """The blocks of an open file, whose BAT was found sound; `size` is the virtual size in bytes.

    Safe from several threads. The sector bitmaps are kept as they are read, a bounded number.
    """

    __slots__ = (
        "_bat",
        "_bitmap",
        "_bitmap_size",
        "_block_size",
        "_called_full",
        "_clear",
        "_full",
        "size",
        "source",
    )

    def __init__(
        self,
        source: Source,
        bat: array[int],
        block_size: int,
        size: int,
        *,
        clear: Clear = "absent",
        called_full: bytes = b"",
    ) -> None:
        """`called_full` has a set bit for each block whose sector bitmap does not count."""
        self.source = source
        self.size = size
        self._clear = clear
        self._called_full = called_full
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
        if self._clear == "checked":
            self.source.read_into(data + within, part)
            self._refuse_data_under_clear(block, bitmap, within, part)
            return []
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
        whole = self._clear == "checked" or bitmap.startswith(self._full)
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

    def _refuse_data_under_clear(
        self, block: int, bitmap: bytes, within: int, part: memoryview
    ) -> None:
        """Raise where the bytes of `part`, as read, are not zeros where their bits are clear."""
        first = within // SECTOR
        sectors = -(-(within + len(part)) // SECTOR) - first
        for sector, number, is_set in runs(bitmap, first, sectors):
            start = max(sector * SECTOR - within, 0)
            end = min((sector + number) * SECTOR - within, len(part))
            if not is_set and not all(
                is_zero(part[at : min(at + _COMPARED, end)]) for at in range(start, end, _COMPARED)
            ):
                place = next(at for at in range(start, end) if part[at])
                raise self._contradiction(block, self._data_offset(block) + within + place)

    def _refuse_data_in_empty(self, block: int) -> None:
        """Raise where a block holds anything, though none of its bits is set."""
        start = self._data_offset(block)
        end = start + min(self._block_size, self.size - block * self._block_size)
        place = first_data(self.source, start, end)
        if place is not None:
            raise self._contradiction(block, place)

    def _contradiction(self, block: int, place: int) -> DamagedImageError:
        return DamagedImageError(
            str(self.source.path),
            f"block {block:,} holds data where its sector bitmap says that nothing was written",
            "",
            place // SECTOR * SECTOR,
            reruns=(BITMAPS_COUNT, DATA_COUNTS),
        )

    def _data_offset(self, block: int) -> int:
        return self._bat[block] * SECTOR + self._bitmap_size

    def _read_bitmap(self, block: int) -> bytes:
        if self._clear == "data" or is_called_full(self._called_full, block):
            return b"\xff" * self._bitmap_size
        bitmap = self.source.read(self._bat[block] * SECTOR, self._bitmap_size)
        if self._clear == "parent" and not any(bitmap):
            self._refuse_data_in_empty(block)
        return bitmap


def first_data(source: Source, start: int, end: int) -> int | None:
    """Where the first byte of `source` from `start` to `end` is that is not zero; holes are not."""
    for offset, length, is_data in data_runs(source, start, end):
        for at in range(offset, offset + length, _COMPARED) if is_data else ():
            piece = source.read(at, min(_COMPARED, offset + length - at))
            if not is_zero(piece):
                return at + len(piece) - len(piece.lstrip(b"\0"))
    return None
