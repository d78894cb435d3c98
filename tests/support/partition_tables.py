"""Partition tables for tests: MBR and GPT, with every checksum, of any sector size."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from zlib import crc32

__all__ = ["BIOS_BOOT_TYPE", "ESP_TYPE", "LINUX_TYPE", "fat_sector", "gpt_disk", "mbr"]

ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT_TYPE = "21686148-6449-6e6f-744e-656564454649"
LINUX_TYPE = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def mbr(*entries: tuple[int, int, int, int], code: bytes = b"\xfa\x31\xc0") -> bytes:
    """A first sector with entries of (status, type, first sector, sectors)."""
    table = b"".join(
        struct.pack("<B3sB3sII", status, b"", kind, b"", first, count)
        for status, kind, first, count in entries
    )
    return code.ljust(446, b"\0") + table.ljust(64, b"\0") + b"\x55\xaa"


def fat_sector() -> bytes:
    """The first sector of a FAT16 file system."""
    bpb = struct.pack("<HBHBHHBH", 512, 4, 4, 2, 512, 8192, 0xF8, 32)
    return (b"\xeb\x3c\x90" + b"mkfs.fat" + bpb).ljust(510, b"\0") + b"\x55\xaa"


def gpt_disk(
    size: int,
    partitions: Sequence[tuple[str, int, int]],
    *,
    sector: int = 512,
    first: bytes = b"",
    attributes: int = 0,
) -> bytearray:
    """A disk of `size` bytes with a GPT of partitions (type, first sector, last sector).

    `first` replaces the protective MBR. The `attributes` are every partition's.
    """
    disk = bytearray(size)
    disk[: len(first) or 512] = first or mbr((0, 0xEE, 1, size // sector - 1), code=b"")
    table = b"".join(
        struct.pack(
            "<16s16sQQQ72s",
            uuid.UUID(kind).bytes_le,
            bytes([number + 1] * 16),
            start,
            end,
            attributes,
            "data".encode("utf-16-le"),
        )
        for number, (kind, start, end) in enumerate(partitions)
    ).ljust(128 * 128, b"\0")
    end = size // sector - 1
    backup_table = end - len(table) // sector
    for own, other, entries in ((1, end, 2), (end, 1, backup_table)):
        header = _header(own, other, entries, table)
        disk[own * sector : own * sector + 92] = header
        disk[entries * sector : entries * sector + len(table)] = table
    return disk


def _header(own: int, other: int, entries: int, table: bytes) -> bytes:
    def packed(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            *(
                b"EFI PART",
                0x10000,
                92,
                checksum,
                0,
                own,
                other,
                34,
                other - 34 if other > 34 else 0,
            ),
            *(b"\7" * 16, entries, 128, 128, crc32(table)),
        )

    return packed(crc32(packed(0)))
