"""A disk is never written over the files that it is read from."""

from __future__ import annotations

from pathlib import Path

import pytest

import vhdtools
from tests.support.build_vhd import Recipe, child_of, place
from vhdtools.errors import UsageError
from vhdtools.target.local import LocalFileTarget
from vhdtools.transfer import UploadOptions
from vhdtools.transfer.api import preview


@pytest.mark.parametrize(
    ("name", "what"),
    [("child.vhd", "the disk itself"), ("base.vhd", "a parent"), ("link.vhd", "a parent")],
)
def test_no_file_of_the_chain_is_replaced(tmp_path: Path, name: str, what: str) -> None:
    base = place(tmp_path / "base.vhd", Recipe("A" * 8 + "-" * 8))
    child = place(tmp_path / "child.vhd", child_of("base.vhd", "-" * 8 + "B" * 8))
    (tmp_path / "link.vhd").symlink_to(base)
    with vhdtools.open(child) as image:
        assert [file.name for file in image.files] == ["child.vhd", "base.vhd"]
    before = {file: file.read_bytes() for file in (base, child)}
    with pytest.raises(UsageError, match=what):
        vhdtools.upload(child, f"file:{tmp_path / name}", options=UploadOptions(overwrite=True))
    with pytest.raises(UsageError, match=what):
        preview(child, LocalFileTarget(tmp_path / name), options=UploadOptions(overwrite=True))
    assert {file: file.read_bytes() for file in before} == before


def test_a_disk_with_the_name_of_a_partial_file(tmp_path: Path) -> None:
    disk = place(tmp_path / "x.vhd.partial", Recipe("A" * 8 + "-" * 8))
    before = disk.read_bytes()
    vhdtools.upload(disk, f"file:{tmp_path / 'x.vhd'}")
    assert disk.read_bytes() == before
    assert vhdtools.verify(disk, f"file:{tmp_path / 'x.vhd'}").blob_size > 0
