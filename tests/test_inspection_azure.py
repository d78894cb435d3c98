"""What Azure would say of a disk, before anything is sent to it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_vhd import Recipe, footer_of, place
from vhdtools.image.footers import FoundFooter
from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import Structure
from vhdtools.inspection import AzureVerdict, inspect
from vhdtools.inspection.azure import judge
from vhdtools.inspection.readiness import MAX_UPLOAD, MIN_UPLOAD
from vhdtools.layout import DiskType, build_footer, parse_bat

MIB = 1 << 20
GIB = 1 << 30


def fixed(path: Path, size: int, start: bytes = b"", **footer: Any) -> Path:
    """A sparse fixed disk of any size."""
    with path.open("wb") as file:
        file.write(start)
        os.truncate(path, size)
        file.seek(size)
        changes = {"creator_application": b"win ", **footer}
        recipe = Recipe("", disk_type=DiskType.FIXED, size=size, footer=changes)
        file.write(build_footer(footer_of(recipe)))
    return path


def dynamic(path: Path, size: int, **changes: Any) -> Path:
    """An empty dynamic disk of any size up to 16 GiB."""
    entries = -(-size // (2 * MIB))
    header = {"max_table_entries": entries}
    bat_end = 1536 + 4 * entries
    recipe = Recipe("-", block_size=2 * MIB, size=size, header=header, **changes)
    place(path, recipe)
    data = path.read_bytes()
    with path.open("wb") as file:
        file.write(data[:1536])
        file.write(b"\xff" * (-(-bat_end // 512) * 512 - 1536))
        file.write(data[2048:])
    return path


def verdict(path: Path, **options: Any) -> AzureVerdict:
    return inspect(path, **options).azure


def failing(verdict: AzureVerdict) -> dict[str, tuple[bool, bool]]:
    return {
        check.code: (check.uploaded, check.as_is)
        for check in verdict.checks
        if not (check.uploaded and check.as_is)
    }


def test_a_fixed_disk_of_whole_mib_is_ready_as_it_is(tmp_path: Path) -> None:
    found = verdict(fixed(tmp_path / "disk.vhd", 20 * MIB))
    assert found.ready
    assert found.ready_as_is
    assert found.upload_size == MIN_UPLOAD == 20 * MIB + 512
    assert found.reasons == ()


def test_a_dynamic_disk_is_ready_for_our_upload_alone(tmp_path: Path) -> None:
    found = verdict(dynamic(tmp_path / "disk.vhd", 64 * MIB))
    assert found.ready
    assert not found.ready_as_is
    assert failing(found) == {"disk-type": (True, False), "file-size": (True, False)}
    assert any("fixed" in reason for reason in found.reasons)


def test_a_size_between_mib_is_padded(tmp_path: Path) -> None:
    found = verdict(fixed(tmp_path / "disk.vhd", 30 * MIB + 512))
    assert found.ready
    assert not found.ready_as_is
    assert failing(found) == {"whole-mib": (True, False)}
    assert found.upload_size == 31 * MIB + 512


@pytest.mark.parametrize(("size", "ready"), [(19 * MIB, False), (20 * MIB - 512, True)])
def test_the_minimum_is_20_mib(size: int, ready: bool, tmp_path: Path) -> None:
    found = verdict(fixed(tmp_path / "disk.vhd", size))
    assert found.ready is ready
    assert not found.ready_as_is
    # What padding adds is no merit of the file.
    assert failing(found)["minimum-size"] == (ready, False)


@pytest.mark.parametrize(
    ("size", "ready", "remedy"),
    [
        (8 * 1024 * GIB - MIB, True, ""),
        (8 * 1024 * GIB, True, "straight to a managed disk"),
        (MAX_UPLOAD - 512, True, "straight to a managed disk"),
        (MAX_UPLOAD - 512 + MIB, False, "No Azure disk is that large"),
    ],
)
def test_the_maximum_is_what_a_managed_disk_takes(size: int, ready: bool, remedy: str) -> None:
    # Larger than most file systems' files, so it is judged without one.
    footer = footer_of(Recipe("", disk_type=DiskType.FIXED, size=size))
    found = FoundFooter(size, 512, footer)
    structure = Structure(
        Path("disk.vhd"),
        size + 512,
        found,
        None,
        found,
        None,
        parse_bat(b""),
        b"",
        None,
        None,
        (),
    )
    result = judge(structure, Soundness(size, ()), (), base_known=False, partitions=None)
    assert result.ready is result.ready_as_is is ready
    assert remedy in " ".join(result.reasons)


@pytest.mark.parametrize(
    ("size", "start", "reason"),
    [
        (2048 * GIB, b"", ""),
        (2049 * GIB, b"", "generation 1 machine cannot boot"),
        (2049 * GIB, bytes(446) + b"\x80\0\0\0\7" + bytes(59) + b"\x55\xaa", "It has an MBR"),
        (4096 * GIB, b"", "no virtual machine can boot"),
    ],
)
def test_os_disk_limits_are_warnings(size: int, start: bytes, reason: str, tmp_path: Path) -> None:
    found = verdict(fixed(tmp_path / "disk.vhd", size, start))
    assert found.ready
    assert found.ready_as_is
    assert bool(found.reasons) == bool(reason)
    assert reason in " ".join(found.reasons)


@pytest.mark.parametrize(
    ("recipe", "codes"),
    [
        (Recipe("", disk_type=DiskType.FIXED, end_size=511), {"footer", "file-size"}),
        (Recipe("", disk_type=DiskType.FIXED, trail=bytes(9)), {"footer", "file-size"}),
    ],
)
def test_the_footer_must_be_at_the_end(recipe: Recipe, codes: set[str], tmp_path: Path) -> None:
    content = 40960 * "0"

    found = verdict(place(tmp_path / "disk.vhd", replace(recipe, content=content)))
    assert found.ready
    assert not found.ready_as_is
    assert set(failing(found)) == codes


def test_a_file_too_long_is_ready_once_its_base_is_known(tmp_path: Path) -> None:
    recipe = Recipe(40960 * "0", disk_type=DiskType.FIXED, lead=bytes(512))
    path = place(tmp_path / "disk.vhd", recipe)
    assert not verdict(path).ready
    assert verdict(path, fixed_base="end").ready
    assert not verdict(path, fixed_base="end").ready_as_is


def test_errors_make_nothing_ready(tmp_path: Path) -> None:
    found = verdict(dynamic(tmp_path / "disk.vhd", 64 * MIB, footer={"version": 0}))
    assert not found.ready
    assert not found.ready_as_is
    assert found.checks[0].code == "readable"


def test_a_missing_file_is_not_ready(tmp_path: Path) -> None:
    found = verdict(tmp_path / "missing.vhd")
    assert not found.ready
    assert not found.ready_as_is
    assert found.upload_size is None


def test_the_partition_table_of_a_disk_is_read(tmp_path: Path) -> None:
    start = bytes(446) + b"\x80\0\0\0\7" + bytes(59) + b"\x55\xaa"
    assert verdict(fixed(tmp_path / "disk.vhd", 20 * MIB, start)).partition_table == "mbr"
    assert verdict(dynamic(tmp_path / "other.vhd", 20 * MIB)).partition_table is None
