"""Writing the disks that other programs cannot make: a footer, a child, a full table."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tests.support.build_vhd import Recipe, footer_of, header_of
from vhdtools.layout import (
    FOOTER_SIZE,
    UNALLOCATED,
    DiskType,
    DynamicHeader,
    Footer,
    bitmap_size,
    build_bat,
    build_dynamic_header,
    build_footer,
    parse_footer,
)
from vhdtools.ranges import PAGE, align_up

BLOCK = 2 * 1024 * 1024

_PITCH = bitmap_size(BLOCK) + BLOCK
_LOCATOR_SPACE = 1024


def append_footer(raw: Path, unique_id: bytes) -> None:
    """Make a raw disk a fixed VHD."""
    footer = _footer(raw.stat().st_size, DiskType.FIXED, unique_id)
    with raw.open("ab") as file:
        file.write(build_footer(footer))


def write_child(path: Path, parent: Path, unique_id: bytes, changes: Mapping[int, bytes]) -> None:
    """A differencing disk beside its *parent*: whole pages of *changes* by offset.

    No change may cross the end of a block, or overlap another.
    """
    with parent.open("rb") as file:
        file.seek(-FOOTER_SIZE, 2)
        of_parent = parse_footer(file.read(FOOTER_SIZE))
    size = of_parent.current_size
    name = f".\\{parent.name}".encode("utf-16-le")
    header = header_of(
        Recipe(
            "",
            block_size=BLOCK,
            extra_entries=_entries(size),
            parent_id=of_parent.unique_id,
            parent_name=parent.name.encode("utf-16-be"),
            locators=[(b"W2ru", name)],
        )
    )
    blocks = dict[int, list[int]]()
    for offset in sorted(changes):
        blocks.setdefault(offset // BLOCK, []).append(offset)
    first = _first_block(header)
    table = array("I", [UNALLOCATED]) * header.max_table_entries
    with path.open("wb") as file:
        for place, (block, offsets) in enumerate(blocks.items()):
            start = first + place * _PITCH
            table[block] = start // PAGE
            _write_block(file, start, {offset % BLOCK: changes[offset] for offset in offsets})
        file.seek(header.parent_locators[0].data_offset)
        file.write(name)
        footer = _footer(size, DiskType.DIFFERENCING, unique_id)
        _write_around(file, footer, header, table, first + len(blocks) * _PITCH)


def write_full_table(path: Path, size: int, unique_id: bytes) -> None:
    """A dynamic disk of *size* bytes whose blocks are all allocated, though the file is sparse."""
    header = header_of(Recipe("", block_size=BLOCK, extra_entries=_entries(size)))
    first = _first_block(header)
    end = first + header.max_table_entries * _PITCH
    table = array("I", range(first // PAGE, end // PAGE, _PITCH // PAGE))
    with path.open("wb") as file:
        _write_around(file, _footer(size, DiskType.DYNAMIC, unique_id), header, table, end)


def _footer(size: int, disk_type: DiskType, unique_id: bytes) -> Footer:
    # The maximal geometry: readers that go by geometry then take the size instead.
    maximal = {"cylinders": 65535, "heads": 16, "sectors_per_track": 255}
    changes = {"unique_id": unique_id, "creator_application": b"win ", **maximal}
    return footer_of(Recipe("", disk_type=disk_type, size=size, footer=changes))


def _entries(size: int) -> int:
    return -(-size // BLOCK)


def _first_block(header: DynamicHeader) -> int:
    end = align_up(header.table_offset + header.max_table_entries * 4, PAGE)
    return end + _LOCATOR_SPACE


def _write_block(file: BinaryIO, start: int, changes: Mapping[int, bytes]) -> None:
    bits = bytearray(bitmap_size(BLOCK))
    for offset, data in changes.items():
        file.seek(start + len(bits) + offset)
        file.write(data)
        for page in range(offset // PAGE, (offset + len(data)) // PAGE):
            bits[page // 8] |= 0x80 >> page % 8
    file.seek(start)
    file.write(bits)


def _write_around(
    file: BinaryIO, footer: Footer, header: DynamicHeader, table: array[int], end: int
) -> None:
    """Everything but blocks and locators: both footers, the header, the BAT."""
    file.seek(0)
    file.write(build_footer(footer))
    file.write(build_dynamic_header(header))
    file.seek(header.table_offset)
    file.write(build_bat(table))
    file.write(b"\xff" * (-len(table) * 4 % PAGE))
    file.seek(end)
    file.write(build_footer(footer))
