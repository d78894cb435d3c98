"""The partition tables of a disk, MBR and GPT, from a few bounded reads.

Layouts: UEFI specification, chapter 5 (protective and legacy MBR, GPT). A GPT is looked for where
disks of 512-byte and of 4096-byte sectors have it, its checksums are compared, and its backup
stands in for a damaged primary, as firmware does it.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias
from zlib import crc32

from vhdtools.image.partition_tables import (
    GPT_SIGNATURE,
    PROTECTIVE,
    SECTOR_SIZES,
    MbrEntry,
    gpt_header,
    mbr_entries,
)

__all__ = [
    "BIOS_BOOT",
    "EFI_SYSTEM",
    "GptState",
    "Partition",
    "PartitionScheme",
    "PartitionTables",
    "is_fat",
    "read_partitions",
]

PartitionScheme: TypeAlias = Literal["mbr", "gpt"]
GptState: TypeAlias = Literal["valid", "damaged", "missing"]
Read: TypeAlias = Callable[[int, int], bytes]

EFI_SYSTEM = ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef")
"""Types of an EFI system partition, in a GPT and in an MBR."""
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
"""GPT type of the partition that holds the second stage of GRUB for BIOS."""

_SECTOR = 512
_HEAD = 34 * _SECTOR  # MBR, primary header and the usual 128 entries; 4096-byte header, too
_ENTRY = struct.Struct("<16s16sQQQ")
_MAX_TABLE = 1 << 20
_LEGACY_BOOTABLE = 1 << 2
_EXTENDED = (0x05, 0x0F, 0x85)
_MAX_LOOKED_AT = 32


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; `offset` and `length` in bytes, as the table has them, perhaps past the disk.

    `type` is a GUID (GPT) or such as "0x83" (MBR). `bootable`: active in an MBR, or legacy BIOS
    bootable in a GPT. `fat`: whether a FAT file system begins there; None: not looked at.
    """

    type: str
    offset: int
    length: int
    bootable: bool
    fat: bool | None = None


@dataclass(frozen=True, slots=True)
class PartitionTables:
    """What the first sectors of a disk, and a GPT's backup, say.

    `scheme` is None for a disk without a partition table. `sector_size` is what the table's
    numbers count: 4096 for a GPT that was laid out for such sectors. `boot_signature`: the first
    sector ends with 55 AA; `boot_code`: its first 440 bytes are not all zeros; `fat`: it begins a
    FAT file system itself. `primary` and `backup` are the copies of a GPT, None for other disks.
    `hybrid`: the MBR of a GPT has partitions of its own, one of them active. `complete`: every
    partition was looked at.
    """

    scheme: PartitionScheme | None
    partitions: tuple[Partition, ...] = ()
    sector_size: int = _SECTOR
    boot_signature: bool = False
    boot_code: bool = False
    fat: bool = False
    primary: GptState | None = None
    backup: GptState | None = None
    hybrid: bool = False
    complete: bool = True


def read_partitions(read: Read, size: int) -> PartitionTables:
    """The partition tables of a disk of `size` bytes, a multiple of 512.

    `read(offset, length)` gives the disk's bytes; it is called for whole sectors inside the disk,
    at most 1 MiB at once. What `read` raises passes through.
    """
    head = read(0, min(size, _HEAD)) if size else b""
    sector = head[:_SECTOR].ljust(_SECTOR, b"\0")
    found = PartitionTables(
        None,
        boot_signature=sector[510:512] == b"\x55\xaa",
        boot_code=any(sector[:440]),
        fat=is_fat(sector),
    )
    entries = mbr_entries(sector)
    protective = any(entry.kind == PROTECTIVE for entry in entries)
    sizes = [s for s in SECTOR_SIZES if head.startswith(GPT_SIGNATURE, s)]
    if protective or sizes:
        found = _with_gpt(found, read, size, head, sizes)
        others = [entry for entry in entries if entry.kind != PROTECTIVE]
        found = replace(found, hybrid=any(other.active for other in others))
    elif entries:
        partitions = tuple(_of_mbr(entry) for entry in entries if entry.kind not in _EXTENDED)
        complete = len(partitions) == len(entries)  # logical partitions are not looked at
        found = replace(found, scheme="mbr", partitions=partitions, complete=complete)
    return _with_file_systems(found, read, size)


def is_fat(sector: bytes) -> bool:
    """Whether a sector begins a FAT file system, by its BIOS parameter block."""
    if len(sector) < _SECTOR or sector[0] not in (0xEB, 0xE9):
        return False
    per_sector, per_cluster, reserved, fats = struct.unpack_from("<HBHB", sector, 11)
    return (
        per_sector in (512, 1024, 2048, 4096)
        and per_cluster in (1, 2, 4, 8, 16, 32, 64, 128)
        and reserved > 0
        and fats in (1, 2)
        and sector[21] >= 0xF0
    )


def _of_mbr(entry: MbrEntry) -> Partition:
    kind = f"{entry.kind:#04x}"
    return Partition(kind, entry.first * _SECTOR, entry.sectors * _SECTOR, entry.active)


class _Gpt(NamedTuple):
    """One copy of a GPT: where its other copy should be, and its entries if it is valid."""

    state: GptState
    other: int | None = None
    partitions: tuple[Partition, ...] = ()


def _with_gpt(
    found: PartitionTables, read: Read, size: int, head: bytes, sizes: list[int]
) -> PartitionTables:
    """`found` with the GPT that the disk has, or should have."""

    def inside(offset: int, length: int) -> bytes:
        if offset + length <= len(head):
            return head[offset : offset + length]
        return read(offset, length)

    primary, sector_size = _Gpt("missing"), sizes[0] if sizes else _SECTOR
    for candidate in sizes:
        copy = _gpt(inside, size, candidate, candidate)
        if copy.state == "valid" or primary.state == "missing":
            primary, sector_size = copy, candidate
        if copy.state == "valid":
            break
    backup = _Gpt("missing")
    for candidate in [sector_size] if sizes else SECTOR_SIZES:
        # A disk that was enlarged has its backup where the old end was.
        for place in (primary.other, size - candidate):
            if backup.state != "valid" and place is not None and place > candidate:
                copy = _gpt(inside, size, place, candidate)
                if copy.state != "missing":
                    backup, sector_size = copy, candidate
    good = primary if primary.state == "valid" else backup
    return replace(
        found,
        scheme="gpt",
        partitions=good.partitions,
        sector_size=sector_size,
        primary=primary.state,
        backup=backup.state,
    )


def _gpt(read: Read, size: int, offset: int, sector_size: int) -> _Gpt:
    """The copy of a GPT whose header is at `offset`."""
    if offset % _SECTOR or offset + _SECTOR > size:
        return _Gpt("missing")
    raw = read(offset, _SECTOR)
    if not raw.startswith(GPT_SIGNATURE):
        return _Gpt("missing")
    header = gpt_header(raw)
    if header is None or header.own * sector_size != offset:
        return _Gpt("damaged")
    total = header.entry_count * header.entry_size
    start = header.table * sector_size
    padded = -(-total // _SECTOR) * _SECTOR
    small = header.entry_size < _ENTRY.size or header.entry_size % 8
    if small or total > _MAX_TABLE or start + padded > size:
        return _Gpt("damaged")
    entries = read(start, padded)[:total] if total else b""
    if crc32(entries) != header.table_crc32:
        return _Gpt("damaged")
    found = _gpt_entries(entries, header.entry_size, sector_size)
    return _Gpt("valid", header.other * sector_size, tuple(found))


def _gpt_entries(table: bytes, step: int, sector_size: int) -> Iterator[Partition]:
    for at in range(0, len(table), step):
        kind, _, first, last, attributes = _ENTRY.unpack_from(table, at)
        if any(kind):
            yield Partition(
                str(uuid.UUID(bytes_le=kind)),
                first * sector_size,
                max(0, last - first + 1) * sector_size,
                bool(attributes & _LEGACY_BOOTABLE),
            )


def _with_file_systems(found: PartitionTables, read: Read, size: int) -> PartitionTables:
    """`found` with what its partitions begin with: EFI system partitions, else all."""
    parts = list(found.partitions)
    wanted = [i for i, part in enumerate(parts) if part.type in EFI_SYSTEM]
    looked_at = wanted or list(range(len(parts)))
    for i in looked_at[:_MAX_LOOKED_AT]:
        offset = parts[i].offset
        fat = offset + _SECTOR <= size and is_fat(read(offset, _SECTOR))
        parts[i] = replace(parts[i], fat=fat)
    complete = found.complete and all(part.fat is not None for part in parts)
    return replace(found, partitions=tuple(parts), complete=complete)
