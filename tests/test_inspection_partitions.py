"""Partition tables, as firmware would find them."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.partition_tables import (
    BIOS_BOOT_TYPE,
    ESP_TYPE,
    LINUX_TYPE,
    fat_sector,
    gpt_disk,
    mbr,
)
from vhdtools.inspection.partitions import PartitionTables, is_fat, read_partitions

MIB = 1 << 20
SIZE = 4 * MIB
PARTITIONS = [(ESP_TYPE, 64, 127), (LINUX_TYPE, 128, 4095)]


def tables(disk: bytes | bytearray) -> PartitionTables:
    """What is found, by reads of whole sectors inside the disk."""

    def read(offset: int, length: int) -> bytes:
        assert 0 < length <= MIB
        assert not offset % 512
        assert not length % 512
        assert offset + length <= len(disk)
        return bytes(disk[offset : offset + length])

    return read_partitions(read, len(disk))


def checksummed(header: bytes) -> bytes:
    """A GPT header with its own checksum made right."""
    return (
        header[:16] + struct.pack("<I", crc32(header[:16] + bytes(4) + header[20:])) + header[20:]
    )


def test_an_mbr_is_read() -> None:
    found = tables(mbr((0x80, 0x83, 1, 3), (0, 0xEF, 4, 2)) + bytes(511 * 512))
    assert found.scheme == "mbr"
    assert (found.boot_signature, found.boot_code) == (True, True)
    assert [(part.type, part.offset, part.length, part.bootable) for part in found.partitions] == [
        ("0x83", 512, 1536, True),
        ("0xef", 2048, 1024, False),
    ]
    assert found.primary is found.backup is None


def test_logical_partitions_are_not_looked_at() -> None:
    found = tables(mbr((0x80, 0x83, 1, 3), (0, 0x0F, 4, 2)) + bytes(511 * 512))
    assert [part.type for part in found.partitions] == ["0x83"]
    assert not found.complete


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_gpt_is_read(sector: int) -> None:
    found = tables(gpt_disk(SIZE, PARTITIONS, sector=sector))
    assert found.scheme == "gpt"
    assert found.sector_size == sector
    assert (found.primary, found.backup) == ("valid", "valid")
    assert [(part.type, part.offset, part.length) for part in found.partitions] == [
        (ESP_TYPE, 64 * sector, 64 * sector),
        (LINUX_TYPE, 128 * sector, 3968 * sector),
    ]
    assert not found.boot_code
    assert not found.hybrid


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("at", [0, 16, 24, 40, 72, 80, 84, 88])
def test_a_damaged_primary_has_its_backup(at: int, sector: int) -> None:
    disk = gpt_disk(SIZE, PARTITIONS, sector=sector)
    disk[sector + at] ^= 1
    found = tables(disk)
    assert found.scheme == "gpt"
    assert found.sector_size == sector
    assert (found.primary, found.backup) == ("damaged" if at else "missing", "valid")
    assert [part.type for part in found.partitions] == [ESP_TYPE, LINUX_TYPE]


def test_damaged_entries_are_not_trusted() -> None:
    disk = gpt_disk(SIZE, PARTITIONS)
    disk[1024 + 32] ^= 1
    assert (tables(disk).primary, tables(disk).backup) == ("damaged", "valid")
    disk[-33 * 512 + 32] ^= 1
    assert (tables(disk).primary, tables(disk).backup) == ("damaged", "damaged")
    assert tables(disk).partitions == ()


def test_a_disk_that_grew_has_its_backup_where_it_ended() -> None:
    found = tables(gpt_disk(SIZE, PARTITIONS) + bytes(MIB))
    assert (found.primary, found.backup) == ("valid", "valid")


def test_a_protective_mbr_alone_is_a_lost_gpt() -> None:
    found = tables(mbr((0, 0xEE, 1, 8191)) + bytes(SIZE - 512))
    assert (found.scheme, found.primary, found.backup) == ("gpt", "missing", "missing")


def test_a_copy_of_another_place_is_not_the_primary() -> None:
    disk = gpt_disk(SIZE, PARTITIONS)
    disk[512:1024] = disk[-512:]
    assert tables(disk).primary == "damaged"


@pytest.mark.parametrize(
    ("count", "step"),
    [(1 << 31, 128), (8192 + 1, 128), (128, 48), (128, 0), (0xFFFFFFFF, 0xFFFFFFF8), (128, 129)],
)
def test_hostile_numbers_are_bounded(count: int, step: int) -> None:
    disk = gpt_disk(SIZE, PARTITIONS)
    for at in (512, SIZE - 512):
        raw = bytearray(disk[at : at + 92])
        raw[80:88] = struct.pack("<II", count, step)
        disk[at : at + 92] = checksummed(bytes(raw))
    found = tables(disk)
    assert (found.primary, found.backup) == ("damaged", "damaged")


def test_a_partition_past_the_end_is_not_read() -> None:
    found = tables(gpt_disk(SIZE, [(ESP_TYPE, 1 << 50, 1 << 51)]))
    assert [part.fat for part in found.partitions] == [False]


def test_file_systems_are_seen() -> None:
    disk = gpt_disk(SIZE, PARTITIONS)
    disk[64 * 512 : 65 * 512] = fat_sector()
    assert [part.fat for part in tables(disk).partitions] == [True, None]
    disk = gpt_disk(SIZE, [(LINUX_TYPE, 128, 200), (LINUX_TYPE, 64, 127)])
    disk[64 * 512 : 65 * 512] = fat_sector()
    assert [part.fat for part in tables(disk).partitions] == [False, True]
    assert tables(disk).complete


def test_a_file_system_on_the_whole_disk_is_no_table() -> None:
    found = tables(fat_sector() + bytes(SIZE - 512))
    assert found.scheme is None
    assert found.fat
    ntfs = bytearray(fat_sector())
    ntfs[14:17] = bytes(3)  # no reserved sectors, no FATs
    assert not is_fat(bytes(ntfs))
    assert tables(bytes(512)).scheme is None
    assert tables(b"").scheme is None


def test_a_hybrid_mbr_and_bios_flags_are_seen() -> None:
    hybrid = mbr((0, 0xEE, 1, 63), (0x80, 0x83, 128, 100))
    assert tables(gpt_disk(SIZE, PARTITIONS, first=hybrid)).hybrid
    passive = mbr((0, 0xEE, 1, 63), (0, 0x83, 128, 100))
    assert not tables(gpt_disk(SIZE, PARTITIONS, first=passive)).hybrid
    flagged = tables(gpt_disk(SIZE, [(BIOS_BOOT_TYPE, 64, 127)], attributes=4))
    assert flagged.partitions[0].bootable
    assert flagged.boot_code is False


@given(st.binary(max_size=8192), st.integers(0, 40))
def test_any_bytes_are_read(noise: bytes, sectors: int) -> None:
    tables(noise.ljust(sectors * 512, b"\0")[: sectors * 512])


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, 255)), max_size=20))
def test_any_damage_is_survived(changes: list[tuple[int, int]]) -> None:
    disk = gpt_disk(SIZE, PARTITIONS)
    for place, value in changes:
        for at in (place % 1200, place):
            disk[at] = value
    assert tables(disk).scheme in {"gpt", "mbr", None}
