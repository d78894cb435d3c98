"""Uploads to Azurite: real disks and edges of size, compared with what qemu-img makes of them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from tests.support.azurite import Azurite
from tests.support.build_vhd import SECTOR, child_of, guest_view, place
from tests.support.oracles import qemu_img_convert
from tests.support.uploads import (
    BLOCK,
    PER_MIB,
    QUICK,
    Stages,
    dynamic,
    expected_blob,
    fixed,
    nonzero_pages,
    send,
    target_at,
)
from vhdtools.checksums import crc64
from vhdtools.errors import ChecksumError, TargetExistsError
from vhdtools.image import open as open_image
from vhdtools.layout import DiskType, parse_footer
from vhdtools.ranges import PageRange
from vhdtools.transfer.footer import padded_size
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.plan import MERGE_GAP
from vhdtools.transfer.verify import verify_image


class Blob:
    """A blob that is not there yet, and what is in it later."""

    def __init__(self, azurite: Azurite, container: ContainerClient) -> None:
        name = f"{uuid.uuid4().hex}.vhd"
        self.url = azurite.blob_url(container.container_name, name)
        self.url += "?" + azurite.sas(container.container_name, name)
        self._client = container.get_blob_client(name)

    def content(self) -> bytes:
        return self._client.download_blob().readall()

    def ranges(self) -> list[tuple[int, int]]:
        found = []
        for item in self._client.list_page_ranges():
            assert item.start is not None
            assert item.end is not None
            found.append((item.start, item.end - item.start + 1))
        return found

    def metadata(self) -> dict[str, str]:
        return dict(self._client.get_blob_properties().metadata or {})


@pytest.fixture
def blob(azurite: Azurite, container: ContainerClient) -> Blob:
    return Blob(azurite, container)


def options(**changes: Any) -> UploadOptions:
    return UploadOptions(**{"retry": QUICK, "workers": 4, **changes})


ZEROS = "-" * PER_MIB

EDGES = {
    "one block": dynamic("A" * 9 + "-" * (2 * PER_MIB - 10) + "B"),
    "a partial last block": dynamic("-" * (4 * PER_MIB) + "A" * 100 + ZEROS[100:]),
    "a disk that is no whole MiB": dynamic("A" * 1025),
    "a fixed disk that is no whole MiB": fixed("A" * 1025),
    "data up to a chunk's edge": dynamic("-" * (8 * PER_MIB - 1) + "A" + ZEROS),
    "data from a chunk's edge on": dynamic("-" * (8 * PER_MIB) + "A" + ZEROS[1:]),
    "data across a chunk's edge": fixed("A" * (8 * PER_MIB + 1) + ZEROS[1:]),
    "the first and the last sector": dynamic("A" + "-" * (9 * PER_MIB - 2) + "B"),
    "the first and the last sector, fixed": fixed("A" + "-" * (9 * PER_MIB - 2) + "B"),
    "an empty dynamic disk": dynamic("-" * (3 * PER_MIB)),
    "an empty fixed disk": fixed("-" * (3 * PER_MIB)),
    "a full dynamic disk": dynamic("A" * (6 * PER_MIB)),
    "a full fixed disk": fixed("A" * (6 * PER_MIB)),
    "zeros that were written": dynamic("A" + "0" * (4 * PER_MIB - 2) + "B"),
    "blocks out of order": dynamic(("A" * 4000 + "-" * 96) * 4, order=[2, 0, 3, 1], gap=3),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_blob_is_what_qemu_img_makes_of_the_disk(name: str, tmp_path: Path, blob: Blob) -> None:
    disk = place(tmp_path / "disk.vhd", EDGES[name])
    progress = Stages()
    result = send(disk, blob.url, options(progress=progress))
    guest = qemu_img_convert(disk)
    content = blob.content()
    assert content == expected_blob(disk, guest)
    assert len(content) == padded_size(len(guest)) + SECTOR
    footer = parse_footer(content[-SECTOR:])
    assert footer.checksum_ok
    assert footer.disk_type == DiskType.FIXED
    assert footer.current_size == len(content) - SECTOR
    assert result.crc64 == crc64(content)
    assert result.virtual_size == len(guest)
    assert result.unconfirmed_requests == 0
    assert result.verified is None
    assert not result.already_there
    assert progress.names == ["uploading"]
    progress.assert_complete()
    assert blob.metadata() == {"vhdtools_crc64": f"{crc64(content):016x}"}


def test_only_pages_that_are_not_zero_are_sent(tmp_path: Path, blob: Blob) -> None:
    gap = MERGE_GAP // SECTOR
    word = "A" * 5 + "0" * (gap + 1) + "B" + "-" * (3 * PER_MIB) + "C0D" + "0" * 5
    disk = place(tmp_path / "disk.vhd", dynamic(word.ljust(6 * PER_MIB, "-")))
    result = send(disk, blob.url)
    content = blob.content()
    runs = nonzero_pages(content)
    gaps = [after - offset - length for (offset, length), (after, _) in pairwise(runs)]
    joined = sum(gap for gap in gaps if gap <= MERGE_GAP)
    assert result.sent_bytes == sum(length for _, length in runs) + joined
    assert result.requests == 4
    assert sum(length for _, length in blob.ranges()) == result.sent_bytes


@pytest.mark.parametrize(
    "name",
    ["disks/dynamic-mbr-fat.vhd", "disks/fixed-mbr-ext4.vhd", "disks/dynamic-gpt-fat-ext4.vhd"],
)
def test_disks_with_file_systems_arrive(
    name: str, sample_disk: Callable[[str], Path], blob: Blob
) -> None:
    disk = sample_disk(name)
    result = send(disk, blob.url, options(verify=True, content_md5=True))
    content = blob.content()
    assert content == expected_blob(disk, qemu_img_convert(disk))
    assert result.verified
    assert result.content_md5 == hashlib.md5(content, usedforsecurity=False).digest()


def test_a_differencing_disk_arrives_as_its_guest_sees_it(tmp_path: Path, blob: Blob) -> None:
    parent = ("A" * 3000 + "-" * 1096) * 2
    child = "-" * 2000 + "B" * 500 + "0" * 1000 + "-" * 4692
    place(tmp_path / "parent.vhd", dynamic(parent))
    disk = place(tmp_path / "child.vhd", child_of("parent.vhd", child, block_size=BLOCK))
    send(disk, blob.url)
    assert blob.content() == expected_blob(disk, guest_view(child, parent))


def test_a_wrong_crc_is_refused_and_nothing_is_written(blob: Blob) -> None:
    data = memoryview(b"\1" * 4096)
    with target_at(blob.url) as target:
        target.create(1 << 20, {}, replace=False)
        with pytest.raises(ChecksumError):
            target.write(0, data, crc64(data) ^ 1)
        assert list(target.page_ranges(0, 1 << 20)) == []
        assert target.write(0, data, crc64(data))
        assert list(target.page_ranges(0, 1 << 20)) == [PageRange(0, 4096)]


def test_what_is_there_is_refused_without_overwrite(tmp_path: Path, blob: Blob) -> None:
    old = place(tmp_path / "old.vhd", fixed("B" * (3 * PER_MIB)))
    new = place(tmp_path / "new.vhd", fixed("-" * PER_MIB + "A" * PER_MIB))
    send(old, blob.url)
    before = blob.content()
    with pytest.raises(TargetExistsError, match="--overwrite"):
        send(new, blob.url)
    assert blob.content() == before
    send(new, blob.url, options(overwrite=True))
    assert blob.content() == expected_blob(new)
    assert blob.metadata().keys() == {"vhdtools_crc64"}


def test_a_finished_upload_is_recognized_and_read_back(tmp_path: Path, blob: Blob) -> None:
    disk = place(tmp_path / "disk.vhd", dynamic(("A" * 1000 + "-" * 3096) * 2))
    first = send(disk, blob.url)
    progress = Stages()
    again = send(disk, blob.url, options(progress=progress))
    assert again.already_there
    assert again.resumed_proven
    assert (again.sent_bytes, again.requests) == (0, 0)
    assert again.crc64 == first.crc64
    assert (again.already_there_by, again.verified) == ("read back", True)
    assert progress.names == ["checking", "verifying"]
    progress.assert_complete()
    place(disk, dynamic(("A" * 999 + "-" * 3097) * 2))
    with pytest.raises(TargetExistsError, match="other content"):
        send(disk, blob.url)


def test_the_same_disk_of_another_kind_is_recognised(tmp_path: Path, blob: Blob) -> None:
    word = ("A" * 1000 + "-" * 3096) * 2
    send(place(tmp_path / "dynamic.vhd", dynamic(word)), blob.url)
    assert send(place(tmp_path / "fixed.vhd", fixed(word)), blob.url).already_there


def test_verify_reads_what_was_uploaded(tmp_path: Path, blob: Blob) -> None:
    disk = place(tmp_path / "disk.vhd", dynamic(("A" * 1000 + "-" * 3096) * 3))
    result = send(disk, blob.url)
    progress = Stages()
    with open_image(disk) as image, target_at(blob.url) as target:
        found = verify_image(image, target, workers=4, retry=QUICK, progress=progress)
    assert found.crc64 == result.crc64 == crc64(blob.content())
    assert found.footer_rebuilt
    assert found.read_bytes < result.blob_size
    assert progress.names == ["verifying"]
    progress.assert_complete()


def test_the_same_path_writes_a_local_file(tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", EDGES["blocks out of order"])
    out = tmp_path / "out.vhd"
    progress = Stages()
    result = send(disk, f"file:{out}", options(verify=True, progress=progress))
    assert out.read_bytes() == expected_blob(disk, qemu_img_convert(disk))
    assert qemu_img_convert(out)[: result.virtual_size] == qemu_img_convert(disk)
    assert result.verified
    progress.assert_complete()
    with pytest.raises(TargetExistsError):
        send(disk, f"file:{out}")
    send(disk, f"file:{out}", options(overwrite=True))
    assert out.read_bytes() == expected_blob(disk)
    assert {path.name for path in tmp_path.iterdir()} == {"disk.vhd", "out.vhd"}
