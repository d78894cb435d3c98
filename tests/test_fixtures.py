"""The sample disks are what the manifest says, and what other programs see in them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.disks import FOLDER, SAMPLE_DISKS, SampleDisk
from tests.support.oracles import program, qemu_img_convert, qemu_img_sha256, run

SampleDiskPath = Callable[[str], Path]

LARGEST_CONVERTED = 64 * 1024 * 1024

QEMU_DIFFERS = {
    "crafted/q-copy-badck.vhd": "refuses a bad checksum of the copy",
    "crafted/q-copy-differs.vhd": "believes the copy, where the footer at the end counts",
    "field/D1-dynamic-in-fixed.vhd": "believes the inner disk's footer at byte 0",
    "field/N1-fixed-extended-1M.vhd": "does not look for a footer in front of the end",
}


def every_disk(disks: list[SampleDisk]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("disk", disks, ids=lambda disk: disk.name)


def qemu_reads(disk: SampleDisk) -> bool:
    return (
        disk.guest_sha256 is not None
        and disk.disk_type in {"fixed", "dynamic"}
        and disk.virtual_size is not None
        and disk.virtual_size <= LARGEST_CONVERTED
        and disk.name not in QEMU_DIFFERS
    )


def test_manifest_and_files_are_the_same_set() -> None:
    packed = set(FOLDER.rglob("*.xz"))
    assert packed == {disk.packed for disk in SAMPLE_DISKS.values()}


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 400 * 1024


@every_disk(list(SAMPLE_DISKS.values()))
def test_file_is_the_one_in_the_manifest(disk: SampleDisk, sample_disk: SampleDiskPath) -> None:
    path = sample_disk(disk.name)
    assert path.stat().st_size == disk.file_size
    with path.open("rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == disk.sha256
    assert disk.expect in {"ok", "info", "warning", "error", "sound"}
    assert all((path.parent / Path(parent).name).exists() for parent in disk.parents)


@every_disk([disk for disk in SAMPLE_DISKS.values() if qemu_reads(disk)])
def test_qemu_sees_the_content_in_the_manifest(
    disk: SampleDisk, sample_disk: SampleDiskPath
) -> None:
    assert qemu_img_sha256(sample_disk(disk.name)) == disk.guest_sha256


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("name", "offset", "size"),
    [
        ("disks/fixed-mbr-ext4.vhd", 1 * MIB, 63 * MIB),
        ("disks/dynamic-gpt-fat-ext4.vhd", 17 * MIB, 45 * MIB),
    ],
)
def test_ext4_inside_is_sound_and_holds_the_files(
    name: str, offset: int, size: int, sample_disk: SampleDiskPath, tmp_path: Path
) -> None:
    image = tmp_path / "ext4"
    image.write_bytes(qemu_img_convert(sample_disk(name))[offset : offset + size])
    run(program("e2fsck"), "-f", "-n", str(image))
    assert run(program("debugfs"), "-R", "cat /etc/hostname", str(image)) == "sample\n"


@pytest.mark.parametrize("name", ["disks/dynamic-gpt-fat-ext4.vhd", "disks/dynamic-mbr-fat.vhd"])
def test_fat_inside_holds_the_files(name: str, sample_disk: SampleDiskPath, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(qemu_img_convert(sample_disk(name)))
    assert run(program("mtype"), "-i", f"{image}@@{MIB}", "::etc/hostname") == "sample\n"


def test_script_makes_the_disks(tmp_path: Path) -> None:
    """Other versions of its programs may lay things out differently, so hashes are left out."""
    for name in ("qemu-img", "mke2fs", "debugfs", "mkfs.fat", "mcopy", "mmd", "sfdisk"):
        program(name)
    script = FOLDER / "make_fixtures.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    entries = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    made = {entry["name"]: (entry["disk_type"], entry["virtual_size"]) for entry in entries}
    assert made == {
        name: (disk.disk_type, disk.virtual_size)
        for name, disk in SAMPLE_DISKS.items()
        if name.startswith("disks/")
    }
    assert all((tmp_path / f"{name}.xz").stat().st_size < 100 * 1024 for name in made)
