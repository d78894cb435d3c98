"""The sample disks of many producers read as the manifest says, and the damaged ones do not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.disks import SAMPLE_DISKS, SampleDisk
from vhdtools.errors import ImageError
from vhdtools.image import DiskImage
from vhdtools.image import open as open_image

DISKS = list(SAMPLE_DISKS.values())
CHUNK = 1 << 20


def every_disk(disks: list[SampleDisk]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("disk", disks, ids=lambda disk: disk.name)


def guest_sha256(image: DiskImage) -> str:
    """Of the guest's view, known zeros not read."""
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    for extent in image.extents():
        for offset in range(extent.offset, extent.end, CHUNK):
            part = memoryview(buffer)[: min(CHUNK, extent.end - offset)]
            if extent.zero:
                part[:] = bytes(len(part))
            else:
                image.read_into(offset, part)
            digest.update(part)
    return digest.hexdigest()


@every_disk([disk for disk in DISKS if disk.expect != "error"])
def test_sound_disks_read_as_the_manifest_says(
    disk: SampleDisk, sample_disk: Callable[[str], Path]
) -> None:
    with open_image(sample_disk(disk.name)) as image:
        assert image.virtual_size == disk.virtual_size
        if disk.guest_sha256 is not None:
            assert guest_sha256(image) == disk.guest_sha256


@every_disk([disk for disk in DISKS if disk.expect == "error"])
def test_damaged_disks_are_refused(disk: SampleDisk, sample_disk: Callable[[str], Path]) -> None:
    with pytest.raises(ImageError) as raised:
        open_image(sample_disk(disk.name))
    assert raised.value.remedy
