"""The block allocation table: for each block of the disk, where the file keeps it.

Source: Microsoft VHD specification 1.0, "Block Allocation Table and Data Blocks". A 2040 GiB disk
has 1,044,480 entries: they are kept as one compact array, not as a million Python objects.
"""

from __future__ import annotations

import sys
from array import array
from typing import Any

from construct import Adapter, Bytes

from vhdtools.layout.declared import encode

__all__ = ["BAT_ENTRY_SIZE", "UNALLOCATED", "build_bat", "parse_bat"]

UNALLOCATED = 0xFFFF_FFFF
"""The entry of a block that the file does not hold."""
BAT_ENTRY_SIZE = 4

_UINT32 = next(code for code in "IL" if array(code).itemsize == BAT_ENTRY_SIZE)


class _BigEndianTable(Adapter):  # type: ignore[misc]  # construct has no types
    """Big-endian 32-bit numbers as one array.array, turned round in place."""

    def _decode(self, obj: bytes, context: Any, path: str) -> array[int]:
        table = array(_UINT32, obj)
        if sys.byteorder == "little":
            table.byteswap()
        return table

    def _encode(self, obj: array[int], context: Any, path: str) -> bytes:
        table = array(_UINT32, obj)
        if sys.byteorder == "little":
            table.byteswap()
        return table.tobytes()


def parse_bat(data: bytes | bytearray | memoryview) -> array[int]:
    """The entries in `data`: sector numbers of the blocks' bitmaps, or `UNALLOCATED`.

    4 bytes an entry, in memory too. ValueError where `data` is not whole entries.
    """
    if len(data) % BAT_ENTRY_SIZE:
        raise ValueError(f"a BAT has a multiple of {BAT_ENTRY_SIZE} bytes, not {len(data)}")
    table: array[int] = _BigEndianTable(Bytes(len(data))).parse(bytes(data))
    return table


def build_bat(entries: array[int]) -> bytes:
    """The bytes of a BAT, without padding."""
    return encode(_BigEndianTable(Bytes(len(entries) * BAT_ENTRY_SIZE)), entries, "BAT")  # type: ignore[arg-type]
