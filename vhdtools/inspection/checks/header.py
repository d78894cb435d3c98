"""What is to be said about the dynamic disk header, apart from where its blocks are."""

from __future__ import annotations

from collections.abc import Iterator

from vhdtools.image.structure import Structure
from vhdtools.inspection.describe import quantity, size_text, version_text
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.kinds import header as kinds
from vhdtools.layout import (
    DYNAMIC_HEADER_COOKIE,
    DYNAMIC_HEADER_FIELDS,
    NO_DATA_OFFSET,
    DiskType,
    DynamicHeader,
)
from vhdtools.layout.unique_id import guid

__all__ = ["check_header"]

_USUAL_BLOCK_SIZES = (512 * 1024, 2 * 1024 * 1024)
_SECTOR = 512

_AT = {place.name: place.offset for place in DYNAMIC_HEADER_FIELDS}


def check_header(structure: Structure) -> Iterator[Finding]:
    """What the header's fields say. Nothing, where there is no header."""
    header, at = structure.header, structure.header_offset
    if header is None or at is None or header.cookie != DYNAMIC_HEADER_COOKIE:
        return
    if at % _SECTOR:
        yield kinds.HEADER_UNALIGNED.found(
            f"the dynamic disk header begins at byte {at:,}, inside a sector", at
        )
    if header.table_offset % _SECTOR:
        yield kinds.BAT_UNALIGNED.found(
            f"the BAT begins at byte {header.table_offset:,}, inside a sector",
            header.table_offset,
        )
    if header.version >> 16 == 1 and header.version & 0xFFFF:
        yield kinds.HEADER_VERSION_MINOR.found(
            f"the dynamic disk header is of version {version_text(header.version)}, not 1.0",
            at + _AT["version"],
        )
    if header.data_offset != NO_DATA_OFFSET:
        yield kinds.HEADER_DATA_OFFSET.found(
            f"the header's data offset is 0x{header.data_offset:X} instead of all ones",
            at + _AT["data_offset"],
        )
    for field, raw in (
        ("reserved", header.reserved.to_bytes(4, "big")),
        ("reserved_tail", header.reserved_tail),
    ):
        count = sum(byte != 0 for byte in raw)
        if count:
            yield kinds.HEADER_RESERVED.found(
                f"{quantity(count, 'reserved byte')} of the dynamic disk header "
                f"{'is' if count == 1 else 'are'} not zero",
                at + _AT[field],
            )
    size = header.block_size
    power_of_two = size >= _SECTOR and not size & (size - 1)
    if power_of_two and size not in _USUAL_BLOCK_SIZES:
        yield kinds.BLOCK_SIZE_UNUSUAL.found(
            f"the block size is {size_text(size)}", at + _AT["block_size"]
        )
    if structure.footer is not None and structure.footer.disk_type == DiskType.DYNAMIC:
        yield from _check_no_parent(header, at, structure.footer.creator_application)


def _check_no_parent(header: DynamicHeader, at: int, creator: bytes) -> Iterator[Finding]:
    if any(header.parent_unique_id):
        yield kinds.PARENT_ID_IN_DYNAMIC.found(
            f"the disk is dynamic, but names a parent: {guid(header.parent_unique_id, creator)}",
            at + _AT["parent_unique_id"],
        )
    locators = sum(any(locator.platform_code) for locator in header.parent_locators)
    fields = [
        name
        for name, is_set in (
            ("a parent name", any(header.parent_name)),
            ("a parent time stamp", header.parent_timestamp != 0),
            (quantity(locators, "parent locator"), locators > 0),
        )
        if is_set
    ]
    if fields:
        yield kinds.PARENT_FIELDS_IN_DYNAMIC.found(
            f"the disk is dynamic, and has {', '.join(fields)}", at + _AT["parent_name"]
        )
