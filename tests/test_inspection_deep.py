"""What reading a whole disk tells: its CRC-64, its zeros, and bitmaps that contradict the data."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.build_vhd import Recipe, child_of, guest_view, patch, place, write
from tests.support.recipes import dynamic_recipes, fixed_recipes
from tests.support.uploads import Stages
from vhdtools.checksums import crc64
from vhdtools.errors import SourceReadError
from vhdtools.inspection import DeepResult, Inspection, Level, inspect, inspecting
from vhdtools.inspection.deep import nonzero_pages
from vhdtools.layout import DiskType


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def deep(path: Path) -> DeepResult:
    result = inspect(path, deep=True, bitmap_rule="bitmap").deep
    assert result is not None
    return result


def nonzero_sectors(view: bytes) -> int:
    return sum(any(view[at : at + 512]) for at in range(0, len(view), 512))


@given(recipe=st.one_of(dynamic_recipes(), fixed_recipes))
def test_the_crc64_is_the_guests_view(folder: Path, recipe: Recipe) -> None:
    view = guest_view(recipe.content)
    result = deep(place(folder / "disk.vhd", recipe))
    assert result.crc64 == crc64(view)
    assert result.data_pages == nonzero_sectors(view)
    assert result.data_pages + result.zero_pages == len(recipe.content)
    if recipe.disk_type == DiskType.DYNAMIC:
        assert result.blocks is not None
        assert result.blocks.sectors_set == len(recipe.content.replace("-", ""))


def test_the_crc64_of_a_child_is_of_the_whole_view(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", Recipe("AAAAAAAA" + "B0------"))
    result = deep(place(tmp_path / "disk.vhd", child_of("parent.vhd", "-C------" + "--------")))
    assert result.crc64 == crc64(guest_view("-C------" + "--------", "AAAAAAAA" + "B0------"))
    assert result.data_pages == 9


def test_blocks_are_counted(tmp_path: Path) -> None:
    content = 8 * "A" + 8 * "0" + "A-------" + 8 * "-" + 8 * "-"
    result = deep(place(tmp_path / "disk.vhd", Recipe(content, allocated=[3])))
    assert result.blocks is not None
    assert result.blocks.allocated == 4
    assert result.blocks.full == 2
    assert result.blocks.empty == 1
    assert result.blocks.all_zero == 2  # the second, and the empty one
    assert result.blocks.sectors_set == 17
    assert result.blocks.clear_over_data == 0
    assert result.blocks.first_clear_over_data is None


def clear_over_data(inspection: Inspection) -> list[tuple[Level, int | None]]:
    return [
        (finding.level, finding.offset)
        for finding in inspection.findings
        if finding.code == "bitmap-clear-over-data"
    ]


def test_data_under_clear_bits_is_counted(tmp_path: Path) -> None:
    recipe = Recipe("AA--AAAA" + "AAAA---A", under_clear=0x5A)
    path = place(tmp_path / "disk.vhd", recipe)
    first = 2048 + 512 + 2 * 512
    assert clear_over_data(inspect(path, deep=True)) == [(Level.ERROR, first)]
    inspection = inspect(path, deep=True, bitmap_rule="bitmap")
    assert inspection.deep is not None
    assert inspection.deep.blocks is not None
    assert inspection.deep.blocks.clear_over_data == 5
    assert clear_over_data(inspection) == [(Level.WARNING, first)]
    # By that rule such sectors read as zeros, and the CRC-64 agrees.
    assert inspection.deep.crc64 == crc64(guest_view(recipe.content))
    assert not inspection.has_errors


def test_a_childs_clear_bits_mean_the_parent(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", Recipe("AAAAAAAA"))
    child = child_of("parent.vhd", "-C------", under_clear=0x5A)
    inspection = inspect(place(tmp_path / "disk.vhd", child), deep=True)
    assert [level for level, _ in clear_over_data(inspection)] == [Level.INFO]


def test_what_is_behind_the_disks_end_is_not_looked_at(tmp_path: Path) -> None:
    """The last block is whole in the file, whatever the disk's size."""
    recipe = Recipe("AA", size=1024, under_clear=0x5A, spare_bits=True)
    inspection = inspect(place(tmp_path / "disk.vhd", recipe), deep=True)
    assert clear_over_data(inspection) == []
    assert inspection.deep is not None
    assert inspection.deep.blocks is not None
    assert inspection.deep.blocks.full == 1


def test_without_deep_nothing_is_read(tmp_path: Path) -> None:
    recipe = Recipe("AA--AAAA", under_clear=0x5A)
    inspection = inspect(place(tmp_path / "disk.vhd", recipe))
    assert inspection.deep is None
    assert clear_over_data(inspection) == []


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("AA", header={"block_size": 3}),
        Recipe("AA", disk_type=DiskType.FIXED, lead=bytes(512)),
    ],
)
def test_a_disk_that_cannot_be_read_has_no_content(recipe: Recipe, tmp_path: Path) -> None:
    inspection = inspect(place(tmp_path / "disk.vhd", recipe), deep=True)
    assert inspection.deep is None
    assert not inspection.azure.ready


@pytest.mark.parametrize(
    "recipe", [Recipe(30 * "A0-" + 500 * "-"), Recipe(3000 * "A", disk_type=DiskType.FIXED)]
)
def test_progress_sums_to_the_disk(recipe: Recipe, tmp_path: Path) -> None:
    progress = Stages()
    inspect(place(tmp_path / "disk.vhd", recipe), deep=True, progress=progress)
    assert progress.totals == [("reading", len(recipe.content) * 512)]
    progress.assert_complete()


@pytest.mark.parametrize("length", [512, 1024, 4096, 65536, 1 << 20, (1 << 20) - 512])
def test_pages_are_counted(length: int) -> None:
    pages = length // 512
    assert nonzero_pages(bytes(length)) == 0
    assert nonzero_pages(b"\1" * length) == pages
    for page in {0, 1, pages // 2, pages - 1} & set(range(pages)):
        data = bytearray(length)
        data[page * 512 + 511] = 1
        assert nonzero_pages(bytes(data)) == 1


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", b"")
    place(path, Recipe(4096 * "A", block_size=512 * 1024))

    class Cutter(Stages):
        def advance(self, amount: int) -> None:
            os.truncate(path, 4096)

    inspection = inspect(path, deep=True, progress=Cutter())
    codes = [finding.code for finding in inspection.findings]
    assert "file-unreadable" in codes
    assert "file-changed" in codes
    assert inspection.deep is None
    assert inspection.has_errors


def test_a_file_that_is_written_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe(8 * "A"))
    os.utime(path, ns=(1, 1))

    class Writer(Stages):
        def advance(self, amount: int) -> None:
            patch(path, 0, b"c")

    inspection = inspect(path, deep=True, progress=Writer())
    assert [finding.code for finding in inspection.findings if finding.level is Level.ERROR] == [
        "file-changed"
    ]


def test_a_raw_parent_that_is_written_while_it_is_read_is_told(tmp_path: Path) -> None:
    base = write(tmp_path / "base.raw", bytes(8 * 512))
    os.utime(base, ns=(1, 1))
    path = place(tmp_path / "disk.vhd", child_of("base.raw", 8 * "-", parent_id=bytes(16)))

    class Writer(Stages):
        def advance(self, amount: int) -> None:
            patch(base, 0, b"c")

    inspection = inspect(path, deep=True, raw_parent=True, progress=Writer())
    (changed,) = [finding for finding in inspection.findings if finding.code == "file-changed"]
    assert str(base) in changed.message


def test_a_late_failure_drops_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place(
        tmp_path / "disk.vhd",
        Recipe(8 * "A", disk_type=DiskType.FIXED, footer={"saved_state": 1}),
    )

    def fail(*_arguments: object) -> None:
        raise SourceReadError(str(path), "cannot be read: input/output error", "", 0)

    monkeypatch.setattr(inspecting, "data_runs", fail)
    inspection = inspect(path)
    codes = [finding.code for finding in inspection.findings]
    assert codes[0] == "file-unreadable"
    assert "saved-state" in codes
    assert inspection.allocated_bytes is None
    assert inspection.virtual_size == 8 * 512
