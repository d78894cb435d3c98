"""An upload says what the blob will be ready for, and can be made to depend on it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import vhdtools
from tests.pageblob_server import PageBlobServer
from tests.support.build_vhd import Recipe, build, place
from tests.support.doubles import MemoryImage
from tests.support.partition_tables import mbr
from tests.support.uploads import dynamic
from vhdtools.cli import main
from vhdtools.inspection import PURPOSES
from vhdtools.layout import DiskType
from vhdtools.target.local import LocalFileTarget


def warned(folder: Path) -> Path:
    """A disk with a warning."""
    footer = {"creator_application": b"win ", "saved_state": 1}
    return place(folder / "disk.vhd", Recipe("A" * 4096, block_size=2 << 20, footer=footer))


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer() as running:
        running.create_container("disks")
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return place(tmp_path / "disk.vhd", dynamic("A-" * 8))


def ready(judged: Any) -> dict[str, bool | None]:
    return {each.purpose: each.ready for each in judged.readiness}


def run(*arguments: object) -> Result:
    clean = {name: None for name in os.environ if name.startswith("AZURE_")}
    return CliRunner().invoke(main, [str(item) for item in arguments], env=clean)


def test_a_result_and_a_preview_have_the_readiness(disk: Path, tmp_path: Path) -> None:
    target = LocalFileTarget(tmp_path / "fixed.vhd")
    preview = vhdtools.preview(disk, target)
    result = vhdtools.upload(disk, target)
    expected = {"page-blob": True, "managed-disk": False, "boot-gen1": False, "boot-gen2": False}
    assert ready(result) == ready(preview) == expected
    assert result.readiness == preview.readiness == vhdtools.inspect(disk).readiness


def test_what_inspection_found_is_kept(tmp_path: Path) -> None:
    disk = warned(tmp_path)
    target = LocalFileTarget(tmp_path / "fixed.vhd")
    found = vhdtools.inspect(disk).findings
    assert "saved-state" in [finding.code for finding in found]
    assert vhdtools.preview(disk, target).findings == found
    assert vhdtools.upload(disk, target).findings == found


def test_a_purpose_that_is_lacking_stops_before_anything_is_sent(
    disk: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fixed.vhd"
    for call in (vhdtools.upload, vhdtools.preview):
        with pytest.raises(vhdtools.NotUploadableError) as error:
            call(disk, LocalFileTarget(out), require=["page-blob", "managed-disk"])
        assert error.value.subject == str(disk)
        assert error.value.problem == (
            "not ready for managed-disk: requires at least 20 MiB, found 1 MiB"
        )
        assert error.value.remedy.startswith("Enlarge the disk to 20 MiB")
    assert not out.exists()
    assert vhdtools.upload(disk, f"file:{out}", require=["page-blob"]).sent_bytes


def test_what_is_not_known_is_not_enough(tmp_path: Path) -> None:
    image = MemoryImage(mbr((0, 0x83, 2048, 9)).ljust(21 << 20, b"\0"), reads_zeros=True)
    target = LocalFileTarget(tmp_path / "fixed.vhd")
    with pytest.raises(vhdtools.NotUploadableError, match="not known to be ready for boot-gen1"):
        vhdtools.upload(image, target, require=["boot-gen1"])


@pytest.mark.parametrize("require", ["page-blob", ["page_blob"], ["boot"]])
def test_a_purpose_must_exist(require: Any, disk: Path, tmp_path: Path) -> None:
    image = MemoryImage(bytes(1024), reads_zeros=True)
    for source in (disk, image):
        with pytest.raises(vhdtools.UsageError, match="The purposes are page-blob, managed-disk"):
            vhdtools.upload(source, f"file:{tmp_path / 'fixed.vhd'}", require=require)


def test_an_opened_image_is_judged_by_what_is_known_of_it(tmp_path: Path) -> None:
    image = MemoryImage(mbr((0x80, 0x83, 2048, 9)).ljust(21 << 20, b"\0"), reads_zeros=True)
    result = vhdtools.upload(image, f"file:{tmp_path / 'fixed.vhd'}", require=["boot-gen1"])
    expected = {"page-blob": True, "managed-disk": True, "boot-gen1": True, "boot-gen2": False}
    assert ready(result) == expected
    assert [each.lacking_as_is for each in result.readiness] == [None] * len(PURPOSES)
    assert result.findings == ()
    with pytest.raises(vhdtools.NotUploadableError, match="boot-gen2"):
        vhdtools.upload(image, f"file:{tmp_path / 'other.vhd'}", require=["boot-gen2"])


def test_the_disk_that_was_judged_is_the_one_that_is_read(disk: Path, tmp_path: Path) -> None:
    """The disk is opened once: whoever replaces it after the inspection is noticed."""
    other = place(tmp_path / "other.vhd", dynamic("B-" * 8))

    def replace(inspection: vhdtools.Inspection) -> None:
        assert inspection.path == str(disk)
        other.replace(disk)

    with pytest.raises(vhdtools.SourceChangedError):
        vhdtools.upload(disk, f"file:{tmp_path / 'fixed.vhd'}", inspected=replace)


def test_a_refused_disk_is_closed_again(disk: Path, tmp_path: Path) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("no list of open files here")
    damaged = place(tmp_path / "damaged.vhd", Recipe("A-", header={"version": 0}))
    unknown = place(tmp_path / "long.vhd", Recipe("A0", disk_type=DiskType.FIXED, lead=bytes(512)))
    vhdtools.inspect(disk)
    before = sorted(open_files.iterdir())
    for path, require in ((disk, ["managed-disk"]), (damaged, []), (unknown, [])):
        with pytest.raises(vhdtools.ImageError):
            vhdtools.upload(path, f"file:{tmp_path / 'fixed.vhd'}", require=require)  # type: ignore[arg-type]
        vhdtools.inspect(path)
    assert sorted(open_files.iterdir()) == before


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--json"]])
def test_the_command_refuses_before_any_request(
    options: list[str], disk: Path, server: PageBlobServer
) -> None:
    url = server.blob_url("disks/disk.vhd")
    found = run("upload", disk, url, "--require", "managed-disk", "--no-progress", *options)
    assert found.exit_code == 1
    assert "not ready for managed-disk: requires at least 20 MiB, found 1 MiB" in found.stderr
    assert "Enlarge the disk" in found.stderr
    assert not server.requests


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_the_command_says_what_is_lacking(
    options: list[str], server: PageBlobServer, tmp_path: Path
) -> None:
    disk = warned(tmp_path)
    url = server.blob_url("disks/disk.vhd")
    found = run("upload", disk, url, "--require", "page-blob", *options)
    assert found.exit_code == 0
    rows = dict(line.strip().split("  ", 1) for line in found.stdout.splitlines()[1:])
    assert rows["page blob"].strip() == "ready"
    assert rows["managed disk"].strip() == "not ready: requires at least 20 MiB, found 2 MiB"
    assert rows["boot disk, generation 2"].strip().startswith("not ready: ")
    assert rows["warning"].endswith("[saved-state]")
    if not options:
        said = found.stderr.splitlines()
        assert said[0].startswith("warning: ")
        assert said[1:2] == ["not ready: managed disk: requires at least 20 MiB, found 2 MiB"]
    document = json.loads(run("upload", disk, url, "--json", "--no-progress", *options).stdout)
    assert document["readiness"]["managed_disk"]["ready"] is False
    assert document["readiness"]["managed_disk"]["lacking"][0]["code"] == "minimum-size"
    assert [item["code"] for item in document["findings"]] == ["saved-state"]
    assert document["findings"][0]["level"] == "warning"


def test_a_blob_is_judged_as_it_is(server: PageBlobServer, disk: Path) -> None:
    url = server.blob_url("disks/disk.vhd")
    assert run("upload", disk, url).exit_code == 0
    assert run("inspect", url, "--require", "page-blob").exit_code == 0
    found = run("inspect", url, "--require", "managed-disk")
    assert found.exit_code == 1
    assert "not ready for managed-disk" in found.stderr
    assert " of it in the blob (" in " ".join(found.stdout.split())
    assert "held in the blob" in found.stdout
    assert "file" not in found.stdout.partition("Findings")[0]


def test_a_dynamic_disk_in_a_blob_is_no_managed_disk(server: PageBlobServer) -> None:
    """Though vhdtool would make one of the same file."""
    recipe = Recipe("A" * 40960, block_size=2 << 20, footer={"creator_application": b"win "})
    data = build(recipe)
    server.create_blob("disks/disk.vhd", len(data), (0, data))
    url = server.blob_url("disks/disk.vhd")
    assert run("inspect", url, "--require", "page-blob").exit_code == 0
    found = run("inspect", url, "--require", "managed-disk")
    assert found.exit_code == 1
    assert "not ready for managed-disk: requires a fixed disk, found dynamic" in found.stderr
