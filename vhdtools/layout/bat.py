"""The block allocation table: for each block of the disk, where the file keeps it.

Source: Microsoft VHD specification 1.0, "Block Allocation Table and Data Blocks". A 2040 GiB disk
has 1,044,480 entries: they are kept as one compact array, not as a million Python objects.
"""

from __future__ import annotations

import operator
import sys
from array import array
from collections.abc import Iterator
from itertools import compress, repeat
from typing import Any

from construct import Adapter, Bytes

from vhdtools.layout.declared import encode

__all__ = [
    "BAT_ENTRY_SIZE",
    "UNALLOCATED",
    "allocated_blocks",
    "allocated_entries",
    "build_bat",
    "parse_bat",
]

UNALLOCATED = 0xFFFF_FFFF
"""The entry of a block that the file does not hold."""
BAT_ENTRY_SIZE = 4

_STRETCH = 4096
_EMPTY_STRETCH = memoryview(b"\xff" * (_STRETCH * BAT_ENTRY_SIZE))

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


def allocated_blocks(bat: array[int], first: int = 0) -> Iterator[int]:
    """The numbers of the blocks, from `first`, that the file holds."""
    for start, stretch in _stretches(bat, first):
        held = map(operator.ne, stretch, repeat(UNALLOCATED))
        yield from compress(range(start, start + len(stretch)), held)


def allocated_entries(bat: array[int]) -> array[int]:
    """The entries of the blocks that the file holds, in the order of the disk."""
    entries = array(bat.typecode)
    for _, stretch in _stretches(bat, 0):
        if UNALLOCATED in stretch:
            entries.extend(filter(UNALLOCATED.__ne__, stretch))
        else:
            entries.extend(stretch)
    return entries


def _stretches(bat: array[int], first: int) -> Iterator[tuple[int, array[int]]]:
    """The BAT in pieces, as (number of the first entry, entries), but for those all unallocated.

    Most of a large disk is unallocated: that is passed over without looking at each entry.
    """
    with memoryview(bat) as entries, entries.cast("B") as raw:
        for start in range(first, len(bat), _STRETCH):
            end = min(start + _STRETCH, len(bat))
            with raw[start * BAT_ENTRY_SIZE : end * BAT_ENTRY_SIZE] as stretch:
                empty = stretch == _EMPTY_STRETCH[: len(stretch)]
            if not empty:
                yield start, bat[start:end]
