"""A repair is offered only if it would work: tried on the bytes in memory, before it is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build_vhd import Recipe, patch, place
from tests.support.disks import unpack
from vhdtools.inspection import Finding, inspect
from vhdtools.layout import DiskType

DISK = Recipe("A" * 8)


def finding(path: Path, code: str) -> Finding:
    matching = [found for found in inspect(path).findings if found.code == code]
    assert matching
    return matching[0]


def test_a_repair_that_works_is_offered_and_not_carried_out(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A" * 8, end_size=0))
    before = path.read_bytes()
    assert finding(path, "end-footer-missing").remedy == f"`vhdtool repair {path} --write`"
    assert path.read_bytes() == before


def test_a_repair_is_not_offered_for_a_disk_that_was_cut(tmp_path: Path) -> None:
    path = unpack("field/N2-xo-cut.vhd", tmp_path)
    assert "vhdtool repair" not in finding(path, "end-footer-missing").remedy


def test_a_repair_that_leaves_an_error_is_not_offered(tmp_path: Path) -> None:
    """Given a right checksum, the damaged type at the end would count."""
    recipe = Recipe("A" * 8, footer={"checksum": 1}, copy={"checksum": 1})
    path = place(tmp_path / "disk.vhd", recipe)
    patch(path, -512 + 60, DiskType.FIXED.to_bytes(4, "big"))
    remedy = finding(path, "footer-checksum").remedy
    assert "--fix-checksum footer" not in remedy
    assert "--fix-checksum copy" in remedy


@pytest.mark.parametrize("part", ["footer", "copy"])
def test_of_the_checksums_only_those_that_are_wrong_are_offered(part: str, tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DISK)
    for where, offset in (("footer", -512), ("copy", 0)):
        patch(path, offset + 64, b"\1\2\3\4")
        if where != part:
            patch(path, offset, b"\0" * 8)
    remedy = finding(path, "footer-checksum").remedy
    assert f"--fix-checksum {part} --write" in remedy
    assert remedy.count("--fix-checksum") == 1


def test_a_copy_of_a_disk_with_errors_is_not_offered(tmp_path: Path) -> None:
    path = unpack("generated/vbox/resized.vhd", tmp_path)
    assert "`" not in finding(path, "trailing-bytes").remedy
