"""What is not what it says: files that were cut, grown, wrapped or packed, and what to do."""

from __future__ import annotations

import struct
import tarfile
import zlib
from pathlib import Path
from typing import cast

import pytest

from tests.support.build_vhd import Recipe, build
from tests.support.disks import unpack
from vhdtools.errors import UnrecognizedImageError
from vhdtools.image import open as open_image
from vhdtools.image.misplaced import find_misplaced_footer
from vhdtools.image.partitions import find_backup_gpt, find_partition_table
from vhdtools.image.source import Source, open_source
from vhdtools.inspection import Finding, Inspection, Level, inspect
from vhdtools.layout import DiskType

MIB = 1 << 20
GROWN = "field/N1-fixed-extended-1M.vhd"
FIXED_END = 24 * MIB
"""Where the disk of GROWN ends, and its footer begins."""


def gpt_header(lba: int, other: int) -> bytes:
    """A GPT header with a right checksum."""
    rest = struct.pack("<IQQ", 0, lba, other).ljust(72, b"\0")
    plain = struct.pack("<8sII", b"EFI PART", 0x10000, 92)
    return plain + struct.pack("<I", zlib.crc32(plain + bytes(4) + rest)) + rest


def gpt_disk(size: int, sector: int = 512) -> bytearray:
    """A disk with both copies of a GPT, and data all over."""
    disk = bytearray(b"d" * size)
    disk[:sector] = bytes(sector)
    last = size // sector - 1
    disk[sector : sector + 92] = gpt_header(1, last)
    disk[-sector : 92 - sector] = gpt_header(last, 1)
    return disk


def mbr_disk(size: int, partition_end: int) -> bytearray:
    disk = bytearray(b"d" * size)
    entry = struct.pack("<B3xB3xII", 0x80, 0x83, 8, partition_end // 512 - 8)
    disk[446:512] = entry.ljust(64, b"\0") + b"\x55\xaa"
    return disk


def file_of(folder: Path, data: bytes | bytearray, name: str = "disk.vhd") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def finding(inspection: Inspection, code: str) -> Finding:
    matching = [found for found in inspection.findings if found.code == code]
    assert matching, [found.code for found in inspection.findings]
    return matching[0]


# A4: what was cut.


@pytest.mark.parametrize("kept", [9 * MIB, 24 * MIB + 512 - 700, 24 * MIB - 512, 24 * MIB])
def test_a_cut_fixed_disk_is_called_cut_and_not_raw(kept: int, tmp_path: Path) -> None:
    whole = unpack(GROWN, tmp_path).read_bytes()
    path = file_of(tmp_path, whole[:kept])
    inspection = inspect(path)
    if kept == FIXED_END:  # the footer alone is missing: a raw disk, nothing of it lost
        assert finding(inspection, "not-a-vhd").remedy.startswith("Convert it")
        return
    found = finding(inspection, "file-cut")
    assert found.level is Level.ERROR
    assert f"{FIXED_END + 512 - kept:,} bytes are missing" in found.message
    assert "qemu-img" not in found.remedy
    with pytest.raises(UnrecognizedImageError, match="was cut"):
        open_image(path)


@pytest.mark.parametrize("name", ["disk.vhd", "disk.img"])
@pytest.mark.parametrize(
    "disk",
    [gpt_disk(4 * MIB)[: 3 * MIB], mbr_disk(3 * MIB, 4 * MIB), gpt_disk(4 * MIB)[MIB:]],
    ids=["primary GPT", "MBR", "backup GPT"],
)
def test_a_partition_table_tells_how_much_is_missing(
    disk: bytearray, name: str, tmp_path: Path
) -> None:
    found = finding(inspect(file_of(tmp_path, disk, name)), "file-cut")
    at_start = disk[-512:].startswith(b"EFI PART")
    missing = MIB + (512 if name == "disk.vhd" and not at_start else 0)
    assert f"{missing:,} bytes are missing" in found.message


def test_a_length_that_no_vhd_has_shows_a_cut(tmp_path: Path) -> None:
    data = b"\xd8data" * 1000
    assert "512" in finding(inspect(file_of(tmp_path, data)), "file-cut").message
    unknown = finding(inspect(file_of(tmp_path, data, "disk.bin")), "footer-missing")
    assert "no footer" in unknown.message


@pytest.mark.parametrize("disk", [gpt_disk(4 * MIB), mbr_disk(4 * MIB, 4 * MIB)])
def test_whole_raw_disks_are_not_called_cut(disk: bytearray, tmp_path: Path) -> None:
    assert "-f raw" in finding(inspect(file_of(tmp_path, disk)), "not-a-vhd").remedy


def test_a_disk_that_was_converted_after_it_was_cut(tmp_path: Path) -> None:
    recipe = Recipe(content="0" * 2048, disk_type=DiskType.FIXED)
    data = bytearray(build(recipe))
    data[:MIB] = gpt_disk(2 * MIB)[:MIB]
    found = finding(inspect(file_of(tmp_path, data)), "partition-past-end")
    assert found.level is Level.WARNING
    assert f"{2 * MIB:,}" in found.message


# A5: a footer that is not at the end.


@pytest.mark.parametrize("grown", [MIB, 512 * MIB, 3 * MIB + 7])
def test_a_grown_file_is_read_up_to_its_footer(grown: int, tmp_path: Path) -> None:
    whole = unpack(GROWN, tmp_path).read_bytes()[: FIXED_END + 512]
    path = file_of(tmp_path, whole)
    with path.open("r+b") as file:
        file.truncate(len(whole) + grown)
    found = finding(inspect(path), "footer-misplaced")
    assert (found.level, found.offset) == (Level.WARNING, FIXED_END + 512)
    assert f"`head -c {FIXED_END + 512} {path}" in found.remedy
    with open_image(path) as image:
        assert image.virtual_size == FIXED_END


class Hollow:
    """A file that goes on in a hole of an exbibyte behind its `data`; it counts the looks at it."""

    def __init__(self, data: bytes) -> None:
        self.path = Path("hollow.vhd")
        self.size = 1 << 60
        self.looks = 0
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        assert length <= MIB
        return self._data[offset : offset + length].ljust(length, b"\0")

    def run_at(self, offset: int) -> tuple[int, bool]:
        self.looks += 1
        assert self.looks < 1000
        return (len(self._data), True) if offset < len(self._data) else (self.size, False)


@pytest.mark.parametrize("data", [b"", build(Recipe("A" * 64, disk_type=DiskType.FIXED))])
def test_a_hole_costs_few_looks_however_large_it_is(data: bytes) -> None:
    found = find_misplaced_footer(cast(Source, Hollow(data)))
    assert (found.offset if found else None) == (64 * 512 if data else None)


@pytest.mark.parametrize("indent", ["", "  "])
def test_comments_are_read_once_and_not_in_every_way(indent: str, tmp_path: Path) -> None:
    lines = f"{indent}-- said\n" * 100
    for end, format in (("use ieee.std_logic_1164.all;", "VHDL"), ("select 1;", "a text file")):
        path = file_of(tmp_path, (lines + end).encode())
        assert format in finding(inspect(path), "not-a-vhd").message


def test_a_companions_name_may_be_longer_than_any_file_has(tmp_path: Path) -> None:
    header = struct.pack(">4sIQIIQIIQ", b"QFI\xfb", 3, 200, 300, 16, MIB, 0, 1, 4096)
    qcow2 = (header.ljust(200, b"\0") + b"n" * 300).ljust(8192, b"\0")
    found = finding(inspect(file_of(tmp_path, qcow2)), "not-a-vhd")
    assert "copy that file beside it" in found.remedy
    vmdk = f'# Disk DescriptorFile\nRW 100 FLAT "{"n" * 300}" 0\n'.encode()
    assert "not beside it" in finding(inspect(file_of(tmp_path, vmdk)), "not-a-vhd").message


def test_zeros_that_are_written_are_looked_back_over_too(tmp_path: Path) -> None:
    recipe = Recipe(content="A" * 64, disk_type=DiskType.FIXED, trail=bytes(MIB))
    with open_image(file_of(tmp_path, build(recipe))) as image:
        assert image.virtual_size == 64 * 512


def test_a_gpt_tells_where_the_footer_is_though_data_follows(tmp_path: Path) -> None:
    recipe = Recipe(content="0" * 2048, disk_type=DiskType.FIXED, trail=b"data" * MIB)
    data = bytearray(build(recipe))
    data[:MIB] = gpt_disk(MIB)
    assert finding(inspect(file_of(tmp_path, data)), "footer-misplaced").offset == MIB + 512
    data[512:604] = gpt_header(1, 4 * MIB // 512)  # the disk was grown, footer and all
    assert "a GPT" in finding(inspect(file_of(tmp_path, data)), "not-a-vhd").message


def test_what_a_guest_stored_is_no_footer_of_the_disk(tmp_path: Path) -> None:
    """A raw disk that holds a small fixed VHD, and zeros behind it."""
    inner = build(Recipe(content="A" * 64, disk_type=DiskType.FIXED))
    path = file_of(tmp_path, b"boot" * 1024 + inner + bytes(MIB))
    assert finding(inspect(path), "footer-missing").level is Level.ERROR


# A6: an image inside the disk.


@pytest.mark.parametrize(
    ("name", "called", "size"),
    [
        ("field/D1-dynamic-in-fixed.vhd", "a VHD (dynamic)", 4_197_888),
        ("field/D2-fixed-in-fixed.vhd", "a VHD (fixed)", 25_166_336),
        ("field/D4-qcow2-in-fixed.vhd", "a qcow2 disk image", 1_048_576),
    ],
)
def test_a_disk_image_inside_a_disk(name: str, called: str, size: int, tmp_path: Path) -> None:
    path = unpack(name, tmp_path)
    found = finding(inspect(path), "disk-image-inside")
    assert found.level is Level.WARNING
    assert called in found.message
    assert "qemu-img convert -f raw" in found.message
    assert f"`head -c {size} {path} > " in found.remedy


def test_a_padded_fixed_vhd_is_seen_inside_a_disk(tmp_path: Path) -> None:
    inner = build(Recipe(content="A" * 64, disk_type=DiskType.FIXED))
    outer = Recipe(content="0" * 2048, disk_type=DiskType.FIXED)
    data = bytearray(build(outer))
    data[: len(inner)] = inner
    assert "a VHD (fixed)" in finding(inspect(file_of(tmp_path, data)), "disk-image-inside").message


# A7: partitions for other sectors.


def test_a_gpt_for_4096_byte_sectors(tmp_path: Path) -> None:
    found = finding(inspect(unpack("field/K1-gpt-4kn.vhd", tmp_path)), "partition-table-4096")
    assert found.level is Level.WARNING
    assert "512 bytes" in found.azure


def test_a_table_is_read_in_the_sectors_that_it_is_laid_out_for(tmp_path: Path) -> None:
    for sector in (512, 4096):
        source = open_source(file_of(tmp_path, gpt_disk(MIB, sector)))
        for table in (find_partition_table(source), find_backup_gpt(source, MIB)):
            assert table is not None
            assert (table.scheme, table.sector_size, table.end) == ("gpt", sector, MIB)
        source.close()


# A9: containers first.


@pytest.mark.parametrize("member", ["D1-dynamic-in-fixed.vhd", "N2-xo-cut.vhd"])
@pytest.mark.parametrize("name", ["disk.tar", "disk.vhd", "box.ova"])
def test_a_tar_that_holds_a_vhd_is_a_tar(name: str, member: str, tmp_path: Path) -> None:
    disk = unpack(f"field/{member}", tmp_path)
    path = tmp_path / name
    with tarfile.open(path, "w") as archive:
        archive.add(disk, member)
    inspection = inspect(path)
    found = finding(inspection, "not-a-vhd")
    assert found.message.startswith("this is a tar archive")
    assert member in found.message
    assert found.remedy == f"Unpack it: `tar -xf {path}`"
    assert inspection.format == "tar"
    with pytest.raises(UnrecognizedImageError, match="a tar archive"):
        open_image(path)


def test_a_vhd_whose_guest_has_a_tar_is_a_vhd(tmp_path: Path) -> None:
    recipe = Recipe(content="0" * 2048, disk_type=DiskType.FIXED)
    data = bytearray(build(recipe))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(__file__, "a")
    archived = (tmp_path / "a.tar").read_bytes()
    data[: len(archived)] = archived
    inspection = inspect(file_of(tmp_path, data))
    assert inspection.disk_type == "fixed"
    assert "a tar archive" in finding(inspection, "disk-image-inside").message


# D7, D11: what it is, and what to do with this file.


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("V1-differencing.avhdx", "is differencing", "Convert-VHD"),
        ("V3-dirty-log.vhdx", "changes in its log", "qemu-img check -r all"),
        ("R1-azure-error-bom.vhd", "in XML (AuthenticationFailed)", "download it again"),
        ("R3-lfs.vhd", "a Git LFS pointer", "git lfs pull"),
        ("R4-vhdl.vhd", "VHDL source text", "Name a disk image"),
    ],
)
def test_the_remedy_is_for_the_file_at_hand(
    name: str, message: str, remedy: str, tmp_path: Path
) -> None:
    found = finding(inspect(unpack(f"field/{name}", tmp_path)), "not-a-vhd")
    assert message in found.message
    assert remedy in found.remedy
