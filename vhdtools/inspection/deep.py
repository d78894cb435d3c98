"""What only reading the whole disk tells: bitmaps against data, zeros, and the content's CRC-64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from vhdtools.checksums import crc64, crc64_combine, crc64_zeros
from vhdtools.image.batmap import blocks_called_full, is_called_full
from vhdtools.image.buffer import page_buffer
from vhdtools.image.chain import Link
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.source import data_runs
from vhdtools.image.zeros import is_zero
from vhdtools.layout import UNALLOCATED, bitmap_size
from vhdtools.layout.bitmap import SECTOR, runs
from vhdtools.progress import Progress
from vhdtools.ranges import PAGE

__all__ = ["BlockStatistics", "DeepResult", "read_all"]

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class BlockStatistics:
    """The blocks of a dynamic or differencing disk, looked at one by one.

    Of `allocated` blocks, `full` have every sector's bit set (or are full by the batmap), `empty`
    none; `all_zero` hold nothing but zeros, whatever their bits say. `sectors_set` is the sum of
    set bits. `clear_over_data` sectors have a clear bit and are not zero, the first of them at
    byte `first_clear_over_data` of the file (None where there is none).
    """

    allocated: int
    full: int
    empty: int
    all_zero: int
    sectors_set: int
    clear_over_data: int
    first_clear_over_data: int | None


@dataclass(frozen=True, slots=True)
class DeepResult:
    """What reading all told.

    `crc64` is the CRC-64 (CRC-64/NVME, as Azure's) of all `virtual_size` bytes that the guest
    sees. `data_pages` of its 512-byte pages hold anything but zeros, `zero_pages` do not.
    `blocks` is None for a fixed disk.
    """

    crc64: int
    data_pages: int
    zero_pages: int
    blocks: BlockStatistics | None

    def to_json(self) -> dict[str, Any]:
        """Fit for json.dumps; the CRC-64 as 16 hex digits."""
        from dataclasses import asdict

        return {**asdict(self), "crc64": f"{self.crc64:016x}"}


def read_all(image: DiskImage, link: Link, progress: Progress) -> DeepResult:
    """Read all of `image`, and all blocks of its first file, that of `link`, once.

    Holes, unallocated blocks and clear bits are not read for the content. Memory is bounded by a
    piece of 1 MiB and a block's sector bitmap. Raises SourceReadError, DamagedImageError.
    """
    survey = _Survey(link) if link.structure.header is not None else None
    checksum = data_pages = 0
    buffer = page_buffer(_PIECE)
    with closing(progress.task("reading", image.virtual_size, subject=str(image.path))) as task:
        for extent in image.extents():
            if survey is not None:
                survey.look_until(extent.offset)
            if extent.zero:
                zeros = crc64_zeros(extent.length)
                checksum = crc64_combine(checksum, zeros, extent.length)
                task.advance(extent.length)
                continue
            for offset in range(extent.offset, extent.end, _PIECE):
                length = min(_PIECE, extent.end - offset)
                piece = buffer[:length]
                if survey is not None:
                    survey.look_until(offset + length)
                image.read_into(offset, piece)
                checksum = crc64(piece, checksum)
                data_pages += nonzero_pages(piece)
                task.advance(length)
    if survey is not None:
        survey.look_until(image.virtual_size)
    return DeepResult(
        checksum,
        data_pages,
        image.virtual_size // PAGE - data_pages,
        None if survey is None else survey.statistics(),
    )


def nonzero_pages(data: bytes | memoryview) -> int:
    """How many 512-byte pages of `data` (at most 1 MiB; the last may be short) are not zeros."""
    return _nonzero_pages(memoryview(data), _PIECE)


def _nonzero_pages(view: memoryview, size: int) -> int:
    # Whole runs of zeros are told by one comparison; only what is mixed is looked at closely.
    if is_zero(view):
        return 0
    if size == PAGE:
        return 1
    part = max(size // 16, PAGE)
    return sum(_nonzero_pages(view[at : at + part], part) for at in range(0, len(view), part))


class _Survey:
    """Looks at blocks in the disk's order, each shortly before its content is read."""

    def __init__(self, link: Link) -> None:
        structure, size = link.structure, link.soundness.guest_size
        header = structure.header
        assert header is not None
        self._source = link.source
        self._bat = structure.bat
        self._block_size = header.block_size
        self._guest_size = size
        self._needed = min(len(structure.bat), -(-size // header.block_size))
        made = link.reading.bitmaps
        by_batmap = made is None or made.choice == "auto"
        self._called_full = blocks_called_full(structure) if by_batmap else b""
        self._pending = self._allocated()
        self._next = next(self._pending, None)
        self._blocks = self._full = self._empty = self._all_zero = self._set = self._clear = 0
        self._first_clear: int | None = None

    def look_until(self, end: int) -> None:
        """Look at the blocks that begin before byte `end` of the disk, and were not looked at."""
        while self._next is not None and self._next * self._block_size < end:
            self._look(self._next)
            self._next = next(self._pending, None)

    def statistics(self) -> BlockStatistics:
        """What was seen so far."""
        return BlockStatistics(
            self._blocks,
            self._full,
            self._empty,
            self._all_zero,
            self._set,
            self._clear,
            self._first_clear,
        )

    def _allocated(self) -> Iterator[int]:
        for block in range(self._needed):
            if self._bat[block] != UNALLOCATED:
                yield block

    def _look(self, block: int) -> None:
        place = self._bat[block] * SECTOR
        size = bitmap_size(self._block_size)
        bitmap = self._source.read(place, size)
        if is_called_full(self._called_full, block):
            bitmap = b"\xff" * size
        # What lies past the disk's end is nobody's, in the last block.
        length = min(self._block_size, self._guest_size - block * self._block_size)
        sectors = -(-length // SECTOR)
        set_bits, clear_before = 0, self._clear
        zero = True
        for first, count, is_set in runs(bitmap, 0, sectors):
            offset = place + size + first * SECTOR
            if is_set:
                set_bits += count
                zero = zero and self._is_zero(offset, count * SECTOR)
            else:
                self._count_clear(offset, count * SECTOR)
        self._blocks += 1
        self._set += set_bits
        self._full += set_bits == sectors
        self._empty += set_bits == 0
        self._all_zero += zero and self._clear == clear_before

    def _is_zero(self, offset: int, length: int) -> bool:
        return all(is_zero(piece) for _, piece in self._pieces(offset, length))

    def _count_clear(self, offset: int, length: int) -> None:
        for at, piece in self._pieces(offset, length):
            count = nonzero_pages(piece)
            if count and self._first_clear is None:
                self._first_clear = next(
                    at + i for i in range(0, len(piece), PAGE) if any(piece[i : i + PAGE])
                )
            self._clear += count

    def _pieces(self, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
        for start, size, is_data in data_runs(self._source, offset, offset + length):
            if is_data:
                for at in range(start, start + size, _PIECE):
                    yield at, self._source.read(at, min(_PIECE, start + size - at))
