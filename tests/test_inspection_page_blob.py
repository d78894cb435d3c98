"""Inspection of disks that already are in page blobs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.support.build_vhd import Recipe, build, child_of
from tests.support.doubles import MemoryTarget
from tests.test_inspection_json import CHECK
from vhdtools.errors import AccessError
from vhdtools.inspection import Inspection, Level
from vhdtools.inspection.page_blob import UploadMarks, inspect_page_blob
from vhdtools.layout import DiskType
from vhdtools.ranges import PAGE

WHOLE = Recipe(40960 * "A", disk_type=DiskType.FIXED, footer={"creator_application": b"win "})
"""A fixed disk of 20 MiB."""


def no_marks(_: Mapping[str, str]) -> UploadMarks:
    return UploadMarks(None, None)


def blob_of(data: bytes) -> MemoryTarget:
    """A blob whose pages that are not zeros were written."""
    target = MemoryTarget()
    data = data.ljust(-(-len(data) // PAGE) * PAGE, b"\0")
    pages = [(at, data[at : at + PAGE]) for at in range(0, len(data), PAGE)]
    target.exists_with(len(data), *((at, page) for at, page in pages if any(page)))
    return target


def look(target: MemoryTarget, marks: UploadMarks | None = None) -> Inspection:
    inspection = inspect_page_blob(target, no_marks if marks is None else lambda _: marks)
    CHECK.validate(json.loads(json.dumps(inspection.to_json())))
    return inspection


def codes(inspection: Inspection) -> list[str]:
    return [finding.code for finding in inspection.findings]


def test_a_good_blob_has_no_findings() -> None:
    inspection = look(blob_of(build(WHOLE)))
    assert inspection.findings == ()
    assert inspection.path == "memory://target"
    assert inspection.azure.ready_as_is
    assert inspection.disk_type == "fixed"
    assert inspection.virtual_size == 20 << 20
    assert inspection.remote is not None
    assert inspection.remote.range_count == 1
    assert inspection.remote.range_bytes == (20 << 20) + 512
    assert inspection.allocated_bytes == 20 << 20  # the footer is not the disk's


def test_a_footer_is_not_held_of_the_disk() -> None:
    empty = Recipe(40960 * "0", disk_type=DiskType.FIXED, footer={"creator_application": b"win "})
    inspection = look(blob_of(build(empty)))
    assert inspection.remote is not None
    assert inspection.remote.range_bytes == 512
    assert inspection.allocated_bytes == 0


def test_little_of_the_blob_is_read() -> None:
    target = blob_of(build(WHOLE))
    read = []

    def note(operation: str, offset: int) -> None:
        if operation == "read_into":
            read.append(offset)

    target.before = note
    look(target)
    assert len(read) <= 6
    assert all(offset < 64 * 1024 or offset >= (20 << 20) - 64 * 1024 for offset in read)


def test_a_dynamic_disk_in_a_blob_is_no_disk_for_azure() -> None:
    inspection = look(blob_of(build(Recipe("A-" * 8))))
    assert inspection.disk_type == "dynamic"
    assert not inspection.has_errors
    assert not inspection.azure.ready_as_is
    assert not next(check for check in inspection.azure.checks if check.code == "disk-type").as_is


def test_a_differencing_disk_in_a_blob_lacks_its_parent() -> None:
    assert "parent-missing" in codes(look(blob_of(build(child_of("parent.vhd", "A-" * 8)))))


def test_an_unfinished_upload_is_an_error() -> None:
    inspection = look(blob_of(build(WHOLE)), UploadMarks(4 << 20, None))
    assert codes(inspection) == ["upload-unfinished"]
    assert inspection.findings[0].level is Level.ERROR
    assert inspection.findings[0].offset == 4 << 20
    assert not inspection.azure.ready_as_is


def test_a_finished_upload_shows_its_crc64() -> None:
    inspection = look(blob_of(build(WHOLE)), UploadMarks(None, 0x1234))
    assert inspection.findings == ()
    assert inspection.to_json()["remote"]["crc64"] == "0000000000001234"


def test_a_lease_is_told() -> None:
    target = blob_of(build(WHOLE))
    target.acquire_lease("somebody")
    assert codes(look(target)) == ["blob-leased"]
    assert "without an end" not in look(target).findings[0].message
    target.leased_forever = True
    inspection = look(target)
    assert "without an end" in inspection.findings[0].message
    assert inspection.to_json()["remote"]["leased_forever"] is True


def test_an_empty_blob_is_told() -> None:
    target = MemoryTarget()
    target.exists_with(1 << 20)
    assert "blob-empty" in codes(look(target))
    target.exists_with(0)
    assert {"blob-empty", "empty-file"} <= set(codes(look(target)))


def test_what_is_no_vhd_is_recognized() -> None:
    inspection = look(blob_of(b"vhdxfile" + bytes(100_000)))
    assert codes(inspection) == ["not-a-vhd"]
    assert inspection.format == "vhdx"


def test_a_missing_blob_is_a_finding() -> None:
    inspection = look(MemoryTarget())
    assert codes(inspection) == ["blob-unreadable"]
    assert "no such blob" in inspection.findings[0].message
    assert "names of the container and the blob" in (inspection.findings[0].remedy or "")


@pytest.mark.parametrize("failing", ["state", "read_into", "page_ranges"])
def test_a_blob_that_may_not_be_read_is_a_finding(failing: str) -> None:
    target = blob_of(build(WHOLE))

    def refuse(operation: str, _: int) -> None:
        if operation == failing:
            raise AccessError(target.name, "the SAS has expired", "Make a new one.")

    target.before = refuse
    inspection = look(target)
    assert codes(inspection) == ["blob-unreadable"]
    assert inspection.findings[0].message == "the SAS has expired"
    assert inspection.findings[0].remedy == "Make a new one."
