"""The hard disk footer: 512 bytes at the end of a VHD, and a copy at the start of a dynamic one.

Source: Microsoft Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from enum import IntEnum

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int64ub, Struct

from vhdtools.checksums import vhd_checksum
from vhdtools.layout.declared import decode, encode, field_places
from vhdtools.layout.geometry import Geometry

__all__ = [
    "EPOCH",
    "FOOTER_COOKIE",
    "FOOTER_FIELDS",
    "FOOTER_SIZE",
    "NO_DATA_OFFSET",
    "VERSION_1_0",
    "DiskType",
    "Footer",
    "build_footer",
    "parse_footer",
]

FOOTER_SIZE = 512
FOOTER_COOKIE = b"conectix"
VERSION_1_0 = 0x0001_0000
NO_DATA_OFFSET = 0xFFFF_FFFF_FFFF_FFFF
"""Data offset of a fixed disk: all 64 bits 1, as every producer writes (the spec prints 32)."""
EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""Time stamps count seconds from here."""

_CHECKSUM_OFFSET = 64
_RESERVED_SIZE = 427


class DiskType(IntEnum):
    """The disk types that are in use; 0, 1, 5 and 6 are "none" and deprecated ones."""

    FIXED = 2
    DYNAMIC = 3
    DIFFERENCING = 4


_FOOTER = Struct(
    "cookie" / Bytes(8),
    "features" / Int32ub,
    "version" / Int32ub,
    "data_offset" / Int64ub,
    "timestamp" / Int32ub,
    "creator_application" / Bytes(4),
    "creator_version" / Int32ub,
    "creator_host_os" / Bytes(4),
    "original_size" / Int64ub,
    "current_size" / Int64ub,
    "cylinders" / Int16ub,
    "heads" / Int8ub,
    "sectors_per_track" / Int8ub,
    "disk_type" / Int32ub,
    "checksum" / Int32ub,
    "unique_id" / Bytes(16),
    "saved_state" / Int8ub,
    "reserved" / Bytes(_RESERVED_SIZE),
)

FOOTER_FIELDS = field_places(_FOOTER)
"""Where each field is in a footer."""


@dataclass(frozen=True, slots=True)
class Footer:
    """A footer's fields, as they stand in its bytes; nothing here is judged.

    Sizes and `data_offset` are in bytes, `timestamp` in seconds since 2000-01-01 UTC. Of
    `version` and `creator_version` the upper 16 bits are major, the lower minor. The 4- and
    16-byte fields are raw bytes. `reserved` starts at byte 85 (tapdisk keeps "hidden" there).
    """

    cookie: bytes
    features: int
    version: int
    data_offset: int
    timestamp: int
    creator_application: bytes
    creator_version: int
    creator_host_os: bytes
    original_size: int
    current_size: int
    cylinders: int
    heads: int
    sectors_per_track: int
    disk_type: int
    checksum: int
    unique_id: bytes
    saved_state: int
    reserved: bytes

    @property
    def computed_checksum(self) -> int:
        """The checksum that these fields should have."""
        return vhd_checksum(build_footer(self), _CHECKSUM_OFFSET)

    @property
    def checksum_ok(self) -> bool:
        """Whether the stored checksum is the computed one."""
        return self.checksum == self.computed_checksum

    @property
    def geometry(self) -> Geometry:
        """Cylinders, heads and sectors per track."""
        return Geometry(self.cylinders, self.heads, self.sectors_per_track)

    @property
    def created(self) -> datetime:
        """The time stamp as a time."""
        return EPOCH + timedelta(seconds=self.timestamp)

    def sealed(self) -> Footer:
        """This footer with the checksum that its fields call for."""
        return replace(self, checksum=self.computed_checksum)


def parse_footer(data: bytes | bytearray | memoryview) -> Footer:
    """The footer in 512 bytes. ValueError for another length; bad values parse, and show."""
    return Footer(**decode(_FOOTER, data, "a VHD footer"))


def build_footer(footer: Footer) -> bytes:
    """The 512 bytes of `footer`, with the checksum it carries (see `Footer.sealed`)."""
    return encode(_FOOTER, {f.name: getattr(footer, f.name) for f in fields(footer)}, "footer")
