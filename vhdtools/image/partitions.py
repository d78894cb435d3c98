"""Where partition tables say that a disk ends: MBR and GPT, in any sector size.

What a table says of the disk's size is compared, and never read by. A GPT header's numbers count
only with its right checksum.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

from vhdtools.image.partition_tables import (
    GPT_SIGNATURE,
    PROTECTIVE,
    SECTOR_SIZES,
    MbrEntry,
    gpt_header,
    mbr_entries,
)

__all__ = [
    "PARTITION_HEAD",
    "Bytes",
    "PartitionEnd",
    "PartitionTable",
    "find_backup_gpt",
    "find_partition_table",
    "is_backup_header",
    "partition_end",
]

Scheme: TypeAlias = Literal["mbr", "gpt"]

PARTITION_HEAD = 1024
"""As many bytes of a disk's start as `partition_end` looks at: the MBR and the GPT header."""

_SECTOR = 512
_ANY_SIZE = 0xFFFF_FFFF  # of a protective partition: more than it can say
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


class PartitionTable(NamedTuple):
    """A partition table at a disk's start.

    `end` is the first byte after the disk by a GPT (None: the GPT is too damaged to say), or
    after the last partition by an MBR, which does not say where the disk ends.
    """

    scheme: Scheme
    sector_size: int
    end: int | None


def find_partition_table(disk: Bytes, base: int = 0) -> PartitionTable | None:
    """The table of the disk that begins at byte `base`: GPT before MBR, 512-byte sectors first."""
    start = disk.read(base, max(0, min(disk.size - base, 2 * SECTOR_SIZES[-1])))
    entries = _partitions(start[:_SECTOR])
    for sector in SECTOR_SIZES:
        if not start.startswith(GPT_SIGNATURE, sector):
            continue
        header = gpt_header(start[sector:])
        if header is not None and header.own == 1:
            return PartitionTable("gpt", sector, (header.other + 1) * sector)
        return PartitionTable("gpt", sector, _protected_end(entries, sector))
    ends = [(part.first + part.sectors) * _SECTOR for part in entries if part.kind != PROTECTIVE]
    return PartitionTable("mbr", _SECTOR, max(ends)) if ends else None


def find_backup_gpt(disk: Bytes, end: int) -> PartitionTable | None:
    """The backup GPT in the last sector before byte `end`: the table's end is by its own word."""
    for sector in SECTOR_SIZES:
        if end < sector:
            continue
        header = gpt_header(disk.read(end - sector, _SECTOR))
        if header is not None and header.other == 1:
            return PartitionTable("gpt", sector, (header.own + 1) * sector)
    return None


class PartitionEnd(NamedTuple):
    """A partition table reaches to byte `end` of the disk; `table` is "GPT" or "MBR".

    Of a GPT that is the end of the disk (its backup header lies in the last sector), of an MBR the
    end of its last partition, behind which the disk may have more.
    """

    table: str
    end: int


def partition_end(head: bytes) -> PartitionEnd | None:
    """What the first `PARTITION_HEAD` bytes of a disk say; None without a partition table.

    A GPT says it in its header, or, where that is damaged, in the protective MBR in front of it.
    """
    header = gpt_header(head[_SECTOR:])
    if header is not None and header.own == 1 and header.other > 1:
        return PartitionEnd("GPT", (header.other + 1) * _SECTOR)
    is_gpt = head.startswith(GPT_SIGNATURE, _SECTOR)
    ends = [
        (part.first + part.sectors) * _SECTOR
        for part in _partitions(head[:_SECTOR])
        if (part.kind == PROTECTIVE) == is_gpt and part.sectors != _ANY_SIZE
    ]
    return PartitionEnd("GPT" if is_gpt else "MBR", max(ends)) if ends else None


def is_backup_header(sector: bytes, size: int) -> bool:
    """Whether `sector` may be a GPT's backup header, in the last sector of a disk of `size`."""
    if not sector.startswith(GPT_SIGNATURE):
        return False
    found = gpt_header(sector)
    return found is None or ((found.own + 1) * _SECTOR == size and found.other == 1)


def _protected_end(entries: list[MbrEntry], sector: int) -> int | None:
    """The disk's end by the protective MBR of a GPT, whose entry covers all of it."""
    ends = [
        (part.first + part.sectors) * sector
        for part in entries
        if part.kind == PROTECTIVE and part.first == 1 and part.sectors != _ANY_SIZE
    ]
    return max(ends) if ends else None


def _partitions(sector: bytes) -> list[MbrEntry]:
    """The partitions of an MBR; none of a file system's boot sector."""
    if any(sector.startswith(mark, at) for at, mark in _BOOT_SECTORS):
        return []
    return [part for part in mbr_entries(sector) if part.first and part.sectors]
