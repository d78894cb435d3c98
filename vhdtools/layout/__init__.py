"""The bytes of a VHD, declared with construct, to and from frozen dataclasses; none is judged."""

from __future__ import annotations

from vhdtools.layout.bat import (
    BAT_ENTRY_SIZE,
    UNALLOCATED,
    allocated_blocks,
    allocated_entries,
    build_bat,
    parse_bat,
)
from vhdtools.layout.bitmap import bitmap_size
from vhdtools.layout.declared import FieldPlace
from vhdtools.layout.dynamic_header import (
    DYNAMIC_HEADER_COOKIE,
    DYNAMIC_HEADER_FIELDS,
    DYNAMIC_HEADER_SIZE,
    DynamicHeader,
    ParentLocator,
    build_dynamic_header,
    parse_dynamic_header,
)
from vhdtools.layout.footer import (
    EPOCH,
    FOOTER_COOKIE,
    FOOTER_FIELDS,
    FOOTER_SIZE,
    NO_DATA_OFFSET,
    VERSION_1_0,
    DiskType,
    Footer,
    build_footer,
    parse_footer,
)
from vhdtools.layout.geometry import Geometry, geometry_for

__all__ = [
    "BAT_ENTRY_SIZE",
    "DYNAMIC_HEADER_COOKIE",
    "DYNAMIC_HEADER_FIELDS",
    "DYNAMIC_HEADER_SIZE",
    "EPOCH",
    "FOOTER_COOKIE",
    "FOOTER_FIELDS",
    "FOOTER_SIZE",
    "NO_DATA_OFFSET",
    "UNALLOCATED",
    "VERSION_1_0",
    "DiskType",
    "DynamicHeader",
    "FieldPlace",
    "Footer",
    "Geometry",
    "ParentLocator",
    "allocated_blocks",
    "allocated_entries",
    "bitmap_size",
    "build_bat",
    "build_dynamic_header",
    "build_footer",
    "geometry_for",
    "parse_bat",
    "parse_dynamic_header",
    "parse_footer",
]
