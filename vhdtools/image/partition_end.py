"""Where the partition table at the start of a disk says that the disk ends."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

__all__ = ["PARTITION_HEAD", "PartitionEnd", "is_backup_header", "partition_end"]

PARTITION_HEAD = 1024
"""As many bytes of a disk's start as `partition_end` looks at: the MBR and the GPT header."""

_SECTOR = 512
_GPT_SIGNATURE = b"EFI PART"
_GPT_HEADER = struct.Struct("<8s4sIIIQQ")  # UEFI specification 2.10, table 5-5
_CRC_OFFSET, _SMALLEST_HEADER = 16, 92
_MBR_ENTRIES, _MBR_ENTRY = 446, struct.Struct("<B3xB3xII")
_PROTECTIVE = 0xEE
_UNKNOWN = 0xFFFF_FFFF  # of a protective partition: more than it can say


@dataclass(frozen=True, slots=True)
class PartitionEnd:
    """A partition table reaches to byte `end` of the disk.

    Of a GPT that is the end of the disk (its backup header lies in the last sector), of an MBR the
    end of its last partition, which the disk may go on behind.
    """

    table: str
    """ "GPT" or "MBR"."""
    end: int


def partition_end(head: bytes) -> PartitionEnd | None:
    """What the first `PARTITION_HEAD` bytes of a disk say; None without a partition table.

    A GPT says it in its header, or, where that is damaged, in the protective MBR in front of it.
    """
    sector = head[_SECTOR:]
    is_gpt = sector.startswith(_GPT_SIGNATURE)
    header = _header(sector)
    if header is not None and header[0] == 1 and header[1] > 1:
        return PartitionEnd("GPT", (header[1] + 1) * _SECTOR)
    if head[510:512] != b"\x55\xaa":
        return None
    entries = [_MBR_ENTRY.unpack_from(head, _MBR_ENTRIES + 16 * number) for number in range(4)]
    # A boot sector without partitions has the same mark; what is no boot flag there is its code.
    if any(flag not in (0x00, 0x80) for flag, _, _, _ in entries):
        return None
    ends = [
        (first + count) * _SECTOR
        for _, kind, first, count in entries
        if kind and (kind == _PROTECTIVE) == is_gpt and first and 0 < count < _UNKNOWN
    ]
    return PartitionEnd("GPT" if is_gpt else "MBR", max(ends)) if ends else None


def is_backup_header(sector: bytes, size: int) -> bool:
    """Whether `sector` may be a GPT's backup header, in the last sector of a disk of `size`."""
    if not sector.startswith(_GPT_SIGNATURE):
        return False
    found = _header(sector)
    return found is None or ((found[0] + 1) * _SECTOR == size and found[1] == 1)


def _header(sector: bytes) -> tuple[int, int] | None:
    """The LBAs of this GPT header and of its counterpart; None where its CRC-32 is wrong."""
    if len(sector) < _SMALLEST_HEADER or not sector.startswith(_GPT_SIGNATURE):
        return None
    _, _, size, checksum, _, own, other = _GPT_HEADER.unpack_from(sector)
    if not _SMALLEST_HEADER <= size <= len(sector[:_SECTOR]):
        return None
    counted = sector[:_CRC_OFFSET] + bytes(4) + sector[_CRC_OFFSET + 4 : size]
    return (own, other) if zlib.crc32(counted) == checksum else None
