"""The sector bitmap in front of each block: one bit a sector, most significant bit first.

Source: Microsoft VHD specification 1.0, "Block Allocation Table and Data Blocks". A set bit means
that the block holds the sector; what a clear one means depends on the disk's type.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["SECTOR", "bitmap_size", "runs"]

SECTOR = 512

_PIECE = 512  # bytes: long numbers are slow to take apart, and a usual bitmap has no more


def bitmap_size(block_size: int) -> int:
    """Bytes that the bitmap of a block of `block_size` bytes takes: whole sectors, at least one."""
    bits = block_size // SECTOR
    return -(-bits // (8 * SECTOR)) * SECTOR


def runs(
    bitmap: bytes | bytearray | memoryview, first: int, count: int
) -> Iterator[tuple[int, int, bool]]:
    """The runs of equal bits among `count` sectors from `first`, as (first sector, count, set).

    Neighbouring runs differ. ValueError where the bitmap has not that many bits.
    """
    end = first + count
    if first < 0 or end > len(bitmap) * 8:
        raise ValueError(f"sectors {first} to {end} are not in a bitmap of {len(bitmap)} bytes")
    run_start, run_bit = first, False
    for start, _, bit in _piecewise(bitmap, first, end):
        if start == first:
            run_bit = bit
        elif bit != run_bit:
            yield run_start, start - run_start, run_bit
            run_start, run_bit = start, bit
    if count > 0:
        yield run_start, end - run_start, run_bit


def _piecewise(
    bitmap: bytes | bytearray | memoryview, first: int, end: int
) -> Iterator[tuple[int, int, bool]]:
    """`runs`, cut at every multiple of `_PIECE` bytes."""
    position = first
    while position < end:
        byte = position // (8 * _PIECE) * _PIECE
        piece = bitmap[byte : byte + _PIECE]
        stop = min((byte + len(piece)) * 8, end)
        # As one number, runs are found by its arithmetic: no loop over single bits.
        value = int.from_bytes(piece, "big") >> ((byte + len(piece)) * 8 - stop)
        while position < stop:
            full = (1 << (stop - position)) - 1
            value &= full
            bit = bool(value >> (stop - position - 1))
            # The first bit that differs from this one is the highest set one after a flip.
            differing = value ^ full if bit else value
            length = stop - position - differing.bit_length()
            yield position, length, bit
            position += length
