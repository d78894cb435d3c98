"""Partition tables, as far as they say where the disk ends: MBR and GPT, in any sector size.

Source: UEFI specification 2.10, section 5 (GUID Partition Table). What a table says of the disk's
size is compared, and never read by. A GPT header's numbers count only with its right checksum.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

__all__ = ["GptHeader", "PartitionTable", "find_backup_gpt", "find_partition_table"]

Scheme: TypeAlias = Literal["mbr", "gpt"]

_SECTOR_SIZES = (512, 4096)
_GPT = struct.Struct("<8sIIIIQQQQ")
_GPT_MARK = b"EFI PART"
_MIN_GPT, _MAX_GPT = 92, 512
_PROTECTIVE = 0xEE
_ANY_SIZE = 0xFFFF_FFFF
_ENTRY = struct.Struct("<B3sB3sII")
_BOOT_SECTORS = ((3, b"NTFS    "), (3, b"EXFAT   "), (54, b"FAT"), (82, b"FAT32"))


class Bytes(Protocol):
    """Bytes at any offset: a file, or what a guest sees."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from byte `offset`."""
        ...


@dataclass(frozen=True, slots=True)
class GptHeader:
    """A GPT header whose checksum is right: its own place and the other one's, in sectors."""

    my_lba: int
    alternate_lba: int


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """A partition table at a disk's start.

    `end` is the first byte after the disk by a GPT (None: the GPT is too damaged to say), or
    after the last partition by an MBR, which does not say where the disk ends.
    """

    scheme: Scheme
    sector_size: int
    end: int | None


def find_partition_table(disk: Bytes, base: int = 0) -> PartitionTable | None:
    """The table of the disk that begins at byte `base`: GPT before MBR, 512-byte sectors first."""
    start = disk.read(base, max(0, min(disk.size - base, 2 * _SECTOR_SIZES[-1])))
    entries = _mbr_entries(start[:512])
    for sector in _SECTOR_SIZES:
        if not start.startswith(_GPT_MARK, sector):
            continue
        header = _gpt_header(start[sector : sector + _MAX_GPT])
        if header is not None and header.my_lba == 1:
            return PartitionTable("gpt", sector, (header.alternate_lba + 1) * sector)
        return PartitionTable("gpt", sector, _protected_end(entries, sector))
    ends = [(first + count) * 512 for kind, first, count in entries if kind != _PROTECTIVE]
    return PartitionTable("mbr", 512, max(ends)) if ends else None


def find_backup_gpt(disk: Bytes, end: int) -> PartitionTable | None:
    """The backup GPT in the last sector before byte `end`: the table's end is by its own word."""
    for sector in _SECTOR_SIZES:
        if end < sector:
            continue
        header = _gpt_header(disk.read(end - sector, min(sector, _MAX_GPT)))
        if header is not None and header.alternate_lba == 1:
            return PartitionTable("gpt", sector, (header.my_lba + 1) * sector)
    return None


def _gpt_header(data: bytes) -> GptHeader | None:
    if len(data) < _MIN_GPT or not data.startswith(_GPT_MARK):
        return None
    _, _, size, checksum, _, my_lba, alternate, _, _ = _GPT.unpack_from(data)
    if not _MIN_GPT <= size <= len(data):
        return None
    if zlib.crc32(data[:16] + bytes(4) + data[20:size]) != checksum:
        return None
    return GptHeader(my_lba, alternate)


def _protected_end(entries: list[tuple[int, int, int]], sector: int) -> int | None:
    """The disk's end by the protective MBR of a GPT, whose entry covers all of it."""
    ends = [
        (first + count) * sector
        for kind, first, count in entries
        if kind == _PROTECTIVE and first == 1 and count != _ANY_SIZE
    ]
    return max(ends) if ends else None


def _mbr_entries(sector: bytes) -> list[tuple[int, int, int]]:
    """Type, first sector and count of each partition; none for a file system's boot sector."""
    if sector[510:512] != b"\x55\xaa" or any(
        sector.startswith(mark, at) for at, mark in _BOOT_SECTORS
    ):
        return []
    entries = [_ENTRY.unpack_from(sector, 446 + 16 * number) for number in range(4)]
    if any(entry[0] not in (0x00, 0x80) for entry in entries):
        return []
    return [
        (kind, first, count) for _, _, kind, _, first, count in entries if kind and first and count
    ]
