"""The batmap header that blktap puts behind the BAT: a map of the blocks that are full.

Source: blktap's include/libvhd.h, struct vhd_batmap_header; the specification does not know it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from construct import Bytes, Int8ub, Int32ub, Int64ub, Struct

from vhdtools.checksums import vhd_checksum
from vhdtools.layout.declared import decode, encode, field_places

__all__ = [
    "BATMAP_COOKIE",
    "BATMAP_HEADER_FIELDS",
    "BATMAP_HEADER_SIZE",
    "BatmapHeader",
    "build_batmap_header",
    "parse_batmap_header",
]

BATMAP_COOKIE = b"tdbatmap"
BATMAP_HEADER_SIZE = 512

_BATMAP_HEADER = Struct(
    "cookie" / Bytes(8),
    "map_offset" / Int64ub,
    "map_sectors" / Int32ub,
    "version" / Int32ub,
    "checksum" / Int32ub,
    "marker" / Int8ub,
    "key_hash" / Bytes(65),
    "reserved" / Bytes(418),
)

BATMAP_HEADER_FIELDS = field_places(_BATMAP_HEADER)
"""Where each field is in a batmap header."""


@dataclass(frozen=True, slots=True)
class BatmapHeader:
    """The header's fields, as they stand in its bytes; nothing here is judged.

    `map_offset` is in bytes from the start of the file, `map_sectors` in sectors of 512 bytes;
    `checksum` is that of the map's bytes; `key_hash` starts with a 1 where blocks are encrypted.
    """

    cookie: bytes
    map_offset: int
    map_sectors: int
    version: int
    checksum: int
    marker: int
    key_hash: bytes
    reserved: bytes

    @property
    def encrypted(self) -> bool:
        """Whether a key's hash is set: the blocks hold cipher text."""
        return any(self.key_hash)


def parse_batmap_header(data: bytes | bytearray | memoryview) -> BatmapHeader:
    """The header in 512 bytes. ValueError for another length; bad values parse, and show."""
    return BatmapHeader(**decode(_BATMAP_HEADER, data, "a batmap header"))


def build_batmap_header(header: BatmapHeader) -> bytes:
    """The 512 bytes of `header`, with the checksum it carries."""
    values = {f.name: getattr(header, f.name) for f in fields(header)}
    return encode(_BATMAP_HEADER, values, "batmap header")


def batmap_checksum(bitmap: bytes | bytearray | memoryview) -> int:
    """The checksum that a batmap's header should carry for the map's bytes."""
    return vhd_checksum(bitmap, len(bitmap))
