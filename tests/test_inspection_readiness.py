"""What a disk is ready for in Azure, purpose by purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_vhd import Recipe, place, write
from tests.support.partition_tables import (
    BIOS_BOOT_TYPE,
    ESP_TYPE,
    LINUX_TYPE,
    fat_sector,
    gpt_disk,
    mbr,
)
from tests.test_inspection_azure import dynamic, fixed
from tests.test_inspection_json import CHECK
from vhdtools.inspection import PURPOSES, Purpose, Readiness, inspect
from vhdtools.inspection.partitions import PartitionTables, read_partitions
from vhdtools.inspection.readiness import readiness_of_size, readiness_to_json
from vhdtools.layout import DiskType

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
LINUX = [(LINUX_TYPE, 2048, 4095)]
CODE = b"\xfa\x31\xc0"
BOOTS_BIOS = mbr((0x80, 0x83, 2048, 2048))
PROTECTIVE = mbr((0, 0xEE, 1, 8191), code=CODE)


def tables(disk: bytes | bytearray) -> PartitionTables:
    padded = bytes(disk).ljust(4 * MIB, b"\0")
    return read_partitions(lambda at, length: padded[at : at + length], len(padded))


def with_fat(disk: bytes | bytearray, sector: int) -> bytearray:
    disk = bytearray(disk).ljust(4 * MIB, b"\0")
    disk[sector * 512 : sector * 512 + 512] = fat_sector()
    return disk


def gpt(*partitions: tuple[str, int, int], **how: Any) -> bytearray:
    return gpt_disk(4 * MIB, list(partitions), **how)


def of(readiness: tuple[Readiness, ...], purpose: Purpose) -> Readiness:
    return next(each for each in readiness if each.purpose == purpose)


def lacking(size: int, purpose: Purpose, disk: bytes | bytearray = BOOTS_BIOS) -> list[str]:
    return [item.code for item in of(readiness_of_size(size, tables(disk)), purpose).lacking]


@pytest.mark.parametrize(
    ("purpose", "size", "codes"),
    [
        ("page-blob", 512, []),
        ("page-blob", 8 * TIB - MIB, []),
        ("page-blob", 8 * TIB, ["page-blob-size"]),
        ("managed-disk", 20 * MIB, []),
        ("managed-disk", 19 * MIB + 512, []),  # padded
        ("managed-disk", 19 * MIB, ["minimum-size"]),
        ("managed-disk", 35_183_298_347_520 - 512, []),
        ("managed-disk", 35_183_298_347_520, ["maximum-size"]),
        ("boot-gen1", 2048 * GIB, []),
        ("boot-gen1", 2048 * GIB + 512, ["boot-size"]),
        ("boot-gen1", 19 * MIB, ["minimum-size"]),
    ],
)
def test_sizes_decide(purpose: Purpose, size: int, codes: list[str]) -> None:
    assert lacking(size, purpose) == codes


@pytest.mark.parametrize(("size", "codes"), [(4095 * GIB, []), (4095 * GIB + 1, ["boot-size"])])
def test_generation_2_boots_from_4095_gib(size: int, codes: list[str]) -> None:
    assert lacking(size, "boot-gen2", with_fat(gpt((ESP_TYPE, 2048, 4095)), 2048)) == codes


FIRMWARE: dict[str, tuple[bytes | bytearray, list[str], bool | None, list[str], bool | None]] = {
    "active MBR": (BOOTS_BIOS, [], True, ["efi-system-partition"], False),
    "MBR, nothing active": (
        mbr((0, 0x83, 2048, 2048)),
        ["active-partition"],
        None,
        ["efi-system-partition"],
        False,
    ),
    "MBR without code": (
        mbr((0x80, 0x83, 2048, 2048), code=b""),
        ["boot-code"],
        False,
        ["efi-system-partition"],
        False,
    ),
    "MBR, a FAT that is no ESP": (
        with_fat(mbr((0x80, 0x0C, 2048, 2048)), 2048),
        [],
        True,
        ["efi-system-partition"],
        None,
    ),
    "MBR, logical partitions": (
        mbr((0x80, 0x83, 2048, 2048), (0, 5, 4096, 10)),
        [],
        True,
        ["efi-system-partition"],
        None,
    ),
    "MBR with an ESP": (
        with_fat(mbr((0, 0xEF, 2048, 9)), 2048),
        ["active-partition"],
        None,
        [],
        True,
    ),
    "GPT with an ESP": (
        with_fat(gpt((ESP_TYPE, 2048, 4095)), 2048),
        ["boot-code"],
        False,
        [],
        True,
    ),
    "GPT, ESP not formatted": (
        gpt((ESP_TYPE, 2048, 4095)),
        ["boot-code"],
        False,
        ["efi-file-system"],
        False,
    ),
    "GPT without an ESP": (gpt(*LINUX), ["boot-code"], False, ["efi-system-partition"], False),
    "GPT for both": (
        with_fat(gpt((ESP_TYPE, 2048, 4095), (BIOS_BOOT_TYPE, 34, 2047), first=PROTECTIVE), 2048),
        [],
        True,
        [],
        True,
    ),
    "GPT with code and no place for more": (
        gpt(*LINUX, first=PROTECTIVE),
        ["bios-boot-partition"],
        None,
        ["efi-system-partition"],
        False,
    ),
    "GPT for Syslinux": (
        gpt(*LINUX, first=PROTECTIVE, attributes=4),
        [],
        True,
        ["efi-system-partition"],
        False,
    ),
    "hybrid": (
        gpt(*LINUX, first=mbr((0, 0xEE, 1, 2047), (0x80, 0x83, 2048, 2048))),
        [],
        True,
        ["efi-system-partition"],
        False,
    ),
    "GPT lost": (PROTECTIVE, ["bios-boot-partition"], None, ["gpt"], False),
    "GPT of 4096-byte sectors": (
        gpt((ESP_TYPE, 256, 511), sector=4096),
        ["sector-size"],
        False,
        ["sector-size"],
        False,
    ),
    "FAT on the whole disk": (
        with_fat(b"", 0),
        ["partition-table"],
        None,
        ["efi-system-partition"],
        None,
    ),
    "zeros": (b"", ["boot-sector"], False, ["efi-system-partition"], False),
}


@pytest.mark.parametrize("case", FIRMWARE.values(), ids=FIRMWARE)
def test_partition_tables_decide_what_boots(
    case: tuple[bytes | bytearray, list[str], bool | None, list[str], bool | None],
) -> None:
    disk, codes_1, ready_1, codes_2, ready_2 = case
    readiness = readiness_of_size(GIB, tables(disk))
    assert of(readiness, "page-blob").ready is of(readiness, "managed-disk").ready is True
    for purpose, codes, ready in (("boot-gen1", codes_1, ready_1), ("boot-gen2", codes_2, ready_2)):
        found = next(each for each in readiness if each.purpose == purpose)
        assert [item.code for item in found.lacking] == codes
        assert found.ready is ready


def test_a_damaged_primary_gpt_has_a_backup() -> None:
    disk = with_fat(gpt((ESP_TYPE, 2048, 4095)), 2048)
    disk[600] ^= 1
    assert lacking(GIB, "boot-gen2", disk) == []


def test_what_was_not_read_is_not_known() -> None:
    readiness = readiness_of_size(GIB, None)
    assert [each.ready for each in readiness] == [True, True, None, None]
    assert [each.ready_as_is for each in readiness] == [None] * 4
    assert [each.lacking_as_is for each in readiness] == [None] * 4


def test_a_file_is_judged_as_it_is_too(tmp_path: Path) -> None:
    readiness = inspect(dynamic(tmp_path / "disk.vhd", 64 * MIB)).readiness
    assert [each.purpose for each in readiness] == list(PURPOSES)
    assert [each.ready for each in readiness] == [True, True, False, False]
    assert [each.ready_as_is for each in readiness] == [True, False, False, False]
    as_is = of(readiness, "managed-disk").lacking_as_is
    assert as_is is not None
    assert [item.code for item in as_is] == ["disk-type", "file-size"]
    assert as_is[0].remedy == "vhdtool upload makes it fixed."


@pytest.mark.parametrize(("size", "ready"), [(20 * MIB, True), (20 * MIB - 512, False)])
def test_padding_is_no_merit_of_the_file(size: int, ready: bool, tmp_path: Path) -> None:
    found = of(inspect(fixed(tmp_path / "disk.vhd", size)).readiness, "managed-disk")
    assert found.ready
    assert found.ready_as_is is ready
    assert found.lacking_as_is is not None
    codes = [] if ready else ["whole-mib", "minimum-size"]
    assert [item.code for item in found.lacking_as_is] == codes


def test_a_file_of_broken_pages_is_no_page_blob_as_it_is(tmp_path: Path) -> None:
    recipe = Recipe(40960 * "0", disk_type=DiskType.FIXED, trail=bytes(9))
    found = of(inspect(place(tmp_path / "disk.vhd", recipe)).readiness, "page-blob")
    assert found.ready
    assert found.ready_as_is is False


def test_an_unknown_first_byte_stands_against_everything(tmp_path: Path) -> None:
    path = place(
        tmp_path / "disk.vhd", Recipe(40960 * "0", disk_type=DiskType.FIXED, lead=bytes(512))
    )
    assert [each.ready for each in inspect(path).readiness] == [False] * 4
    assert [each.ready for each in inspect(path, fixed_base="end").readiness][:2] == [True, True]


@pytest.mark.parametrize("content", [b"", b"vhdxfile" + bytes(600), b"x" * 511])
def test_what_is_no_vhd_is_ready_for_nothing(content: bytes, tmp_path: Path) -> None:
    for each in inspect(write(tmp_path / "disk.vhd", content)).readiness:
        assert each.ready is each.ready_as_is is False
        assert [item.code for item in each.lacking] == ["readable"]


def test_the_json_has_a_key_for_each_purpose(tmp_path: Path) -> None:
    document = json.loads(json.dumps(inspect(fixed(tmp_path / "disk.vhd", 9 * MIB)).to_json()))
    CHECK.validate(document)
    assert list(document["readiness"]) == ["page_blob", "managed_disk", "boot_gen1", "boot_gen2"]
    managed = document["readiness"]["managed_disk"]
    assert managed["ready"] is managed["ready_as_is"] is False
    assert managed["lacking"] == managed["lacking_as_is"]
    lack = managed["lacking"][0]
    assert (lack["code"], lack["known"]) == ("minimum-size", True)
    assert (lack["requirement"], lack["actual"]) == ("at least 20 MiB", "9 MiB")
    assert "Resize-VHD" in lack["remedy"]
    of_an_image = readiness_to_json(readiness_of_size(GIB, None))
    assert of_an_image["boot_gen1"]["ready"] is None
    assert of_an_image["page_blob"]["lacking_as_is"] is None


@pytest.mark.parametrize(
    ("guest", "current", "as_is"),
    [(25 * MIB, 25 * MIB + 17 * 512, False), (25 * MIB - 9 * 17 * 512, 25 * MIB, True)],
)
def test_whole_mib_is_judged_by_the_size_that_the_service_goes_by(
    guest: int, current: int, as_is: bool, tmp_path: Path
) -> None:
    """A dynamic disk whose guest sees the geometry; the service goes by the current size."""
    shape = {"heads": 1, "sectors_per_track": 1, "cylinders": guest // 512}
    path = dynamic(tmp_path / "disk.vhd", current, footer={"creator_application": b"vpc ", **shape})
    inspection = inspect(path)
    assert inspection.virtual_size == guest
    check = next(check for check in inspection.azure.checks if check.code == "whole-mib")
    assert check.as_is is as_is
    assert check.uploaded
    assert check.found == f"{guest:,} bytes; {current:,} by the footer"
    assert check.remedy
