"""Writing the disks that other programs cannot make: a footer, a child, a full table."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from vhdtools.layout import (
    DYNAMIC_HEADER_COOKIE,
    DYNAMIC_HEADER_SIZE,
    FOOTER_COOKIE,
    FOOTER_SIZE,
    NO_DATA_OFFSET,
    UNALLOCATED,
    VERSION_1_0,
    DiskType,
    DynamicHeader,
    Footer,
    ParentLocator,
    bitmap_size,
    build_bat,
    build_dynamic_header,
    build_footer,
    parse_footer,
)
from vhdtools.ranges import PAGE, align_up

BLOCK = 2 * 1024 * 1024

_HEADER_OFFSET = FOOTER_SIZE
_LOCATOR_OFFSET = _HEADER_OFFSET + DYNAMIC_HEADER_SIZE
_TABLE_OFFSET = _LOCATOR_OFFSET + PAGE
_TIMESTAMP = 700_000_000
_NO_LOCATOR = ParentLocator(bytes(4), 0, 0, 0, 0)


def append_footer(raw: Path, unique_id: bytes) -> None:
    """Make a raw disk a fixed VHD."""
    size = raw.stat().st_size
    with raw.open("ab") as file:
        file.write(build_footer(_footer(size, DiskType.FIXED, unique_id)))


def write_child(path: Path, parent: Path, unique_id: bytes, changes: Mapping[int, bytes]) -> None:
    """A differencing disk beside its *parent*: whole pages of *changes* by offset, ascending.

    No change may cross the end of a block.
    """
    with parent.open("rb") as file:
        file.seek(-FOOTER_SIZE, 2)
        footer = parse_footer(file.read(FOOTER_SIZE))
    relative = f".\\{parent.name}".encode("utf-16-le")
    header = _header(
        footer.current_size,
        parent_unique_id=footer.unique_id,
        parent_name=parent.name.encode("utf-16-be").ljust(512, b"\0"),
        locator=ParentLocator(b"W2ru", PAGE, len(relative), 0, _LOCATOR_OFFSET),
    )
    entries = header.max_table_entries
    blocks = sorted({offset // BLOCK for offset in changes})
    first = _first_block(entries)
    table = array("I", [UNALLOCATED]) * entries
    pitch = bitmap_size(BLOCK) + BLOCK
    for position, block in enumerate(blocks):
        table[block] = (first + position * pitch) // PAGE
    with path.open("wb") as file:
        _write_head(file, _footer(footer.current_size, DiskType.DIFFERENCING, unique_id), header)
        file.seek(_LOCATOR_OFFSET)
        file.write(relative)
        _write_table(file, table)
        for block in blocks:
            start = table[block] * PAGE
            bits = bytearray(bitmap_size(BLOCK))
            for offset, data in changes.items():
                if offset // BLOCK != block:
                    continue
                within = offset % BLOCK
                file.seek(start + bitmap_size(BLOCK) + within)
                file.write(data)
                for page in range(within // PAGE, (within + len(data)) // PAGE):
                    bits[page // 8] |= 0x80 >> page % 8
            file.seek(start)
            file.write(bits)
        file.seek(first + len(blocks) * pitch)
        file.write(build_footer(_footer(footer.current_size, DiskType.DIFFERENCING, unique_id)))


def write_full_table(path: Path, size: int, unique_id: bytes) -> None:
    """A dynamic disk of *size* bytes whose blocks are all allocated, though the file is sparse."""
    header = _header(size)
    first = _first_block(header.max_table_entries)
    pitch = bitmap_size(BLOCK) + BLOCK
    end = first + header.max_table_entries * pitch
    footer = _footer(size, DiskType.DYNAMIC, unique_id)
    with path.open("wb") as file:
        _write_head(file, footer, header)
        _write_table(file, array("I", range(first // PAGE, end // PAGE, pitch // PAGE)))
        file.seek(end)
        file.write(build_footer(footer))


def _footer(size: int, disk_type: DiskType, unique_id: bytes) -> Footer:
    return Footer(
        cookie=FOOTER_COOKIE,
        features=2,
        version=VERSION_1_0,
        data_offset=NO_DATA_OFFSET if disk_type is DiskType.FIXED else _HEADER_OFFSET,
        timestamp=_TIMESTAMP,
        creator_application=b"win ",
        creator_version=0x000A_0000,
        creator_host_os=b"Wi2k",
        original_size=size,
        current_size=size,
        cylinders=65535,
        heads=16,
        sectors_per_track=255,
        disk_type=disk_type,
        checksum=0,
        unique_id=unique_id,
        saved_state=0,
        reserved=bytes(427),
    ).sealed()


def _header(
    size: int,
    *,
    parent_unique_id: bytes = bytes(16),
    parent_name: bytes = bytes(512),
    locator: ParentLocator = _NO_LOCATOR,
) -> DynamicHeader:
    return DynamicHeader(
        cookie=DYNAMIC_HEADER_COOKIE,
        data_offset=NO_DATA_OFFSET,
        table_offset=_TABLE_OFFSET,
        version=VERSION_1_0,
        max_table_entries=-(-size // BLOCK),
        block_size=BLOCK,
        checksum=0,
        parent_unique_id=parent_unique_id,
        parent_timestamp=_TIMESTAMP if any(parent_unique_id) else 0,
        reserved=0,
        parent_name=parent_name,
        parent_locators=(locator, *[_NO_LOCATOR] * 7),
        reserved_tail=bytes(256),
    ).sealed()


def _first_block(entries: int) -> int:
    return align_up(_TABLE_OFFSET + entries * 4, PAGE)


def _write_head(file: BinaryIO, footer: Footer, header: DynamicHeader) -> None:
    file.write(build_footer(footer))
    file.write(build_dynamic_header(header))


def _write_table(file: BinaryIO, entries: array[int]) -> None:
    table = build_bat(entries)
    file.seek(_TABLE_OFFSET)
    file.write(table)
    file.write(b"\xff" * (-len(table) % PAGE))
