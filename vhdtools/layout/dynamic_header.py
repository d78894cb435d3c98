"""The dynamic disk header with its parent locators: 1024 bytes at the footer's data offset.

Source: Microsoft VHD specification 1.0, "Dynamic Disk Header Format" and "Parent Locator".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from construct import Array, Bytes, Int32ub, Int64ub, Struct

from vhdtools.checksums import vhd_checksum
from vhdtools.layout.declared import decode, encode, field_places

__all__ = [
    "DYNAMIC_HEADER_COOKIE",
    "DYNAMIC_HEADER_FIELDS",
    "DYNAMIC_HEADER_SIZE",
    "DynamicHeader",
    "ParentLocator",
    "build_dynamic_header",
    "parse_dynamic_header",
]

DYNAMIC_HEADER_SIZE = 1024
DYNAMIC_HEADER_COOKIE = b"cxsparse"

_CHECKSUM_OFFSET = 36
_LOCATORS = 8

_LOCATOR = Struct(
    "platform_code" / Bytes(4),
    "data_space" / Int32ub,
    "data_length" / Int32ub,
    "reserved" / Int32ub,
    "data_offset" / Int64ub,
)

_DYNAMIC_HEADER = Struct(
    "cookie" / Bytes(8),
    "data_offset" / Int64ub,
    "table_offset" / Int64ub,
    "version" / Int32ub,
    "max_table_entries" / Int32ub,
    "block_size" / Int32ub,
    "checksum" / Int32ub,
    "parent_unique_id" / Bytes(16),
    "parent_timestamp" / Int32ub,
    "reserved" / Int32ub,
    "parent_name" / Bytes(512),
    "parent_locators" / Array(_LOCATORS, _LOCATOR),
    "reserved_tail" / Bytes(256),
)

DYNAMIC_HEADER_FIELDS = field_places(_DYNAMIC_HEADER)
"""Where each field is in a dynamic disk header."""


@dataclass(frozen=True, slots=True)
class ParentLocator:
    """Where the file keeps one spelling of the parent's path.

    `platform_code` is 4 raw bytes (all zero: unused). `data_length` is in bytes; `data_space` in
    sectors by the specification, in bytes as most producers write it; `data_offset` in bytes
    from the start of the file.
    """

    platform_code: bytes
    data_space: int
    data_length: int
    reserved: int
    data_offset: int


@dataclass(frozen=True, slots=True)
class DynamicHeader:
    """A dynamic disk header's fields, as they stand in its bytes; nothing here is judged.

    `table_offset` (of the BAT) and `data_offset` are in bytes from the start of the file,
    `block_size` in bytes (without the sector bitmap), `max_table_entries` in BAT entries.
    `parent_name` is the raw 512 bytes, UTF-16BE by the specification.
    """

    cookie: bytes
    data_offset: int
    table_offset: int
    version: int
    max_table_entries: int
    block_size: int
    checksum: int
    parent_unique_id: bytes
    parent_timestamp: int
    reserved: int
    parent_name: bytes
    parent_locators: tuple[ParentLocator, ...]
    reserved_tail: bytes

    @property
    def computed_checksum(self) -> int:
        """The checksum that these fields should have."""
        return vhd_checksum(build_dynamic_header(self), _CHECKSUM_OFFSET)

    @property
    def checksum_ok(self) -> bool:
        """Whether the stored checksum is the computed one."""
        return self.checksum == self.computed_checksum

    def sealed(self) -> DynamicHeader:
        """This header with the checksum that its fields call for."""
        return replace(self, checksum=self.computed_checksum)


def parse_dynamic_header(data: bytes | bytearray | memoryview) -> DynamicHeader:
    """The header in 1024 bytes. ValueError for another length; bad values parse, and show."""
    parsed = decode(_DYNAMIC_HEADER, data, "a dynamic disk header")
    locators = tuple(
        ParentLocator(**{f.name: item[f.name] for f in fields(ParentLocator)})
        for item in parsed.pop("parent_locators")
    )
    return DynamicHeader(**parsed, parent_locators=locators)


def build_dynamic_header(header: DynamicHeader) -> bytes:
    """The 1024 bytes of `header`, with the checksum it carries (see `DynamicHeader.sealed`)."""
    values: dict[str, Any] = {f.name: getattr(header, f.name) for f in fields(header)}
    values["parent_locators"] = [
        {f.name: getattr(item, f.name) for f in fields(item)} for item in header.parent_locators
    ]
    return encode(_DYNAMIC_HEADER, values, "dynamic disk header")
