"""The sample disks are what the manifest says, and what other programs see in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.disks import FOLDER, SAMPLE_DISKS, SampleDisk
from tests.support.oracles import qemu_img_sha256

SampleDiskPath = Callable[[str], Path]

LARGEST_CONVERTED = 64 * 1024 * 1024

QEMU_DIFFERS = {
    "crafted/q-copy-badck.vhd": "refuses a bad checksum of the copy",
    "crafted/q-copy-differs.vhd": "believes the copy, where the footer at the end counts",
    "crafted/q-vpc-chs.vhd": "is told to go by the current size, where geometry counts",
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
