"""The sector bitmap in front of each block: one bit a sector, most significant bit first.

Source: Microsoft VHD specification 1.0, "Block Allocation Table and Data Blocks". A set bit means
that the block holds the sector; what a clear one means depends on the disk's type.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["SECTOR", "bitmap_size", "runs"]

SECTOR = 512


def bitmap_size(block_size: int) -> int:
    """Bytes that the bitmap of a block of `block_size` bytes takes: whole sectors, at least one."""
    bits = block_size // SECTOR
    return -(-bits // (8 * SECTOR)) * SECTOR


def runs(bitmap: bytes | bytearray | memoryview, sectors: int) -> Iterator[tuple[int, int, bool]]:
    """The runs of equal bits among the first `sectors`, as (first sector, count, set)."""
    # As one big number, runs are found by its arithmetic: no loop over single bits.
    width = sectors
    value = int.from_bytes(bitmap, "big") >> (len(bitmap) * 8 - width)
    position = 0
    while position < sectors:
        left = sectors - position
        full = (1 << left) - 1
        value &= full
        bit = bool(value >> (left - 1))
        # The first bit that differs from this one is the highest set bit after a flip.
        differing = (value ^ full) if bit else value
        count = left - differing.bit_length()
        yield position, count, bit
        position += count
