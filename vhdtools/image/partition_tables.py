"""The structures of partition tables, as they lie on a disk: MBR entries and GPT headers.

Layouts: UEFI specification 2.10, chapter 5. Nothing is judged here but whether a structure is one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

__all__ = [
    "GPT_SIGNATURE",
    "PROTECTIVE",
    "SECTOR_SIZES",
    "GptHeader",
    "MbrEntry",
    "gpt_header",
    "mbr_entries",
]

GPT_SIGNATURE = b"EFI PART"
SECTOR_SIZES = (512, 4096)
"""The sizes of sectors that a GPT may be laid out for."""
PROTECTIVE = 0xEE
"""Type of the MBR partition that covers a GPT."""

_MBR_ENTRY = struct.Struct("<B3xB3xII")
_ENTRIES_OFFSET = 446
_GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_MAX_HEADER = 512


class MbrEntry(NamedTuple):
    """A used entry of an MBR: its first sector, and how many it has, of 512 bytes each."""

    active: bool
    kind: int
    first: int
    sectors: int


class GptHeader(NamedTuple):
    """A GPT header whose checksum is right: its own place and its copy's, and its table's.

    Places are in sectors of whatever size the GPT is laid out for, `entry_size` is in bytes.
    """

    own: int
    other: int
    table: int
    entry_count: int
    entry_size: int
    table_crc32: int


def mbr_entries(sector: bytes) -> list[MbrEntry]:
    """The used entries of an MBR, a disk's first 512 bytes.

    None where their place holds something else: a boot sector without partitions ends with the
    same mark, and has code where the boot flags would be.
    """
    if sector[510:512] != b"\x55\xaa":
        return []
    raw = [_MBR_ENTRY.unpack_from(sector, _ENTRIES_OFFSET + 16 * number) for number in range(4)]
    if any(flag not in (0x00, 0x80) for flag, _, _, _ in raw):
        return []
    return [MbrEntry(flag == 0x80, kind, first, count) for flag, kind, first, count in raw if kind]


def gpt_header(sector: bytes) -> GptHeader | None:
    """The GPT header in a sector's bytes; None where none is, or its CRC-32 is wrong."""
    data = sector[:_MAX_HEADER]
    if len(data) < _GPT_HEADER.size or not data.startswith(GPT_SIGNATURE):
        return None
    _, _, size, checksum, _, own, other, _, _, _, table, count, step, table_crc32 = (
        _GPT_HEADER.unpack_from(data)
    )
    if not _GPT_HEADER.size <= size <= len(data):
        return None
    if crc32(data[:16] + bytes(4) + data[20:size]) != checksum:
        return None
    return GptHeader(own, other, table, count, step, table_crc32)
