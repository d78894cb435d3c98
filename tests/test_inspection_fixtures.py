"""The sample disks of fixtures/: each gets the level that its manifest gives, no more, no less."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disks import SAMPLE_DISKS, unpack
from vhdtools.inspection import Inspection, Level, inspect

_ACCEPTED: dict[str, set[Level | None]] = {
    # Notes are no remark on a disk's soundness.
    "ok": {None, Level.INFO},
    "info": {Level.INFO},
    "warning": {Level.WARNING},
    "error": {Level.ERROR},
    "sound": {None, Level.INFO, Level.WARNING},
}


def worst(inspection: Inspection) -> Level | None:
    return inspection.findings[0].level if inspection.findings else None


@pytest.mark.parametrize("name", sorted(SAMPLE_DISKS))
def test_sample_disks_get_their_level(name: str, tmp_path: Path) -> None:
    disk = SAMPLE_DISKS[name]
    inspection = inspect(unpack(name, tmp_path))
    codes = [finding.code for finding in inspection.findings]
    assert worst(inspection) in _ACCEPTED[disk.expect], codes
    if disk.expect != "error":
        assert inspection.disk_type == disk.disk_type
        assert inspection.virtual_size == disk.virtual_size
        assert inspection.file_size == disk.file_size


def test_the_producers_damage_is_named(tmp_path: Path) -> None:
    """VirtualBox destroys an empty disk by resizing it; vhd-util fill cuts its disk off."""
    resized = inspect(unpack("generated/vbox/resized.vhd", tmp_path))
    filled = inspect(unpack("generated/xen/filled.vhd", tmp_path))
    assert "bat-outside-file" in [finding.code for finding in resized.findings]
    codes = [finding.code for finding in filled.findings]
    assert {"block-past-end", "end-footer-missing"} <= set(codes)
