"""Repairs: what is planned, what is refused, and what is written and put back."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.support.build_vhd import Recipe, build, footer_of, patch, place, write
from tests.support.recipes import dynamic_recipes
from vhdtools.cli import main
from vhdtools.errors import DamagedImageError, SourceChangedError, SourceReadError, UsageError
from vhdtools.image.source import Readable
from vhdtools.image.structure import Structure
from vhdtools.inspection import inspect, repairing
from vhdtools.inspection.repair import Patch, Which, plan_checksums, plan_footers
from vhdtools.inspection.repairing import Repair, plan_repair, plan_undo, write_repair
from vhdtools.layout import DiskType, build_footer

DISK = Recipe("A" * 9 + "-" * 7, footer={"creator_application": b"win "})
SOUND = build(DISK)
FIXED = Recipe("AB", disk_type=DiskType.FIXED, footer={"creator_application": b"win "})


def footers(path: Path, use: Which | None = None) -> Repair:
    def plan(structure: Structure, source: Readable) -> tuple[Patch, ...]:
        return plan_footers(structure, source, use)

    return plan_repair(path, plan)


def checksums(path: Path, *parts: Any) -> Repair:
    return plan_repair(path, lambda structure, source: plan_checksums(structure, source, parts))


def mended(path: Path, use: Which | None = None) -> bytes:
    """The disk after its repair; what the repair did is undone by its backup."""
    before = path.read_bytes()
    backup = write_repair(footers(path, use))
    after = path.read_bytes()
    assert footers(path, use).patches == ()
    write_repair(plan_undo(path, backup))
    assert path.read_bytes() == before
    return after


@pytest.mark.parametrize("recipe", [DISK, FIXED])
def test_sound_disks_need_nothing(recipe: Recipe, tmp_path: Path) -> None:
    assert footers(place(tmp_path / "disk.vhd", recipe)).patches == ()


DAMAGE = {
    "cut off": SOUND[:-512],
    "cut through": SOUND[:-300],
    "overwritten": SOUND[:-512] + b"\xff" * 512,
    "zeros": SOUND[:-512] + bytes(512),
    "a flipped byte": SOUND[:-200] + b"\1" + SOUND[-199:],
    "a bad cookie": SOUND[:-512] + b"connectx" + SOUND[-504:],
    "no last byte": SOUND[:-1],
    "the copy overwritten": b"\xff" * 512 + SOUND[512:],
    "a flipped byte of the copy": SOUND[:100] + b"\1" + SOUND[101:],
    "the copy lost": bytes(512) + SOUND[512:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_footer_is_made_from_the_other_one(damage: str, tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", DAMAGE[damage])
    assert mended(path) == SOUND


def test_the_repaired_disk_has_no_findings(tmp_path: Path) -> None:
    recipe = Recipe("A" * 1024, block_size=512 * 1024, size=1 << 20, footer=DISK.footer)
    data = build(Recipe("A" * 2048, block_size=512 * 1024, footer=recipe.footer))
    path = write(tmp_path / "disk.vhd", data[:-512])
    assert [finding.code for finding in inspect(path).findings] == ["end-footer-missing"]
    write_repair(footers(path))
    assert inspect(path).findings == ()


@given(
    recipe=dynamic_recipes(),
    damage=st.sampled_from(["end", "copy"]),
    cut=st.integers(0, 512),
)
def test_any_lost_footer_comes_back(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, damage: str, cut: int
) -> None:
    sound = build(replace(recipe, end_size=512))
    lost = sound[: len(sound) - cut] if damage == "end" else bytes(cut) + sound[cut:]
    path = write(tmp_path_factory.getbasetemp() / "any.vhd", lost)
    repair = footers(path)
    for item in repair.patches:
        data = bytearray(lost)
        assert data[item.offset : item.offset + len(item.old)] == item.old
        data[item.offset : item.offset + len(item.new)] = item.new
        assert data == sound


def test_a_footer_of_511_bytes_gets_its_last(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("AB", disk_type=DiskType.FIXED, end_size=511))
    assert mended(path) == build(Recipe("AB", disk_type=DiskType.FIXED))


def test_a_last_sector_that_a_block_uses_is_not_overwritten(tmp_path: Path) -> None:
    """Without its footer the file ends in the data of the last block."""
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    (item,) = footers(path).patches
    assert (item.offset, item.old) == (len(SOUND) - 512, b"")


def test_foreign_bytes_behind_the_footer_stay(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", replace(DISK, trail=b"what is this"))
    assert footers(path).patches == ()


def two_footers() -> bytes:
    return build(replace(DISK, copy={"original_size": 512}))


def test_two_good_footers_that_differ_are_not_chosen_between(tmp_path: Path) -> None:
    data = two_footers()
    path = write(tmp_path / "disk.vhd", data)
    with pytest.raises(DamagedImageError, match="both valid, and differ"):
        footers(path)
    assert mended(path, "end") == data[-512:] + data[512:]
    assert mended(path, "copy") == data[:-512] + data[:512]


REFUSED = {
    "both bad": b"\1" * 600 + SOUND[600:-512] + b"\1" * 512,
    "both checksums bad": SOUND[:100] + b"\1" + SOUND[101:-412] + b"\1" + SOUND[-411:],
    "a fixed disk's only one": build(FIXED)[:-200] + b"\1" + build(FIXED)[-199:],
    "no VHD": bytes(5000),
    "empty": b"",
    "cut in a block": SOUND[:-5000],
    "a bad header too": SOUND[:512] + b"\1" + SOUND[513:-512],
    "poisoned": build(Recipe("A-", footer={"cookie": b"v_poison"})),
}


@pytest.mark.parametrize("damage", REFUSED)
def test_what_cannot_be_repaired_is_refused(damage: str, tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", REFUSED[damage])
    with pytest.raises(DamagedImageError):
        footers(path)
    assert path.read_bytes() == REFUSED[damage]


@pytest.mark.parametrize("use", ["end", "copy"])
def test_a_bad_footer_is_not_used(use: Which, tmp_path: Path) -> None:
    recipe = Recipe("A-", end_size=0) if use == "end" else Recipe("A-", copy=None)
    with pytest.raises(UsageError):
        footers(place(tmp_path / "disk.vhd", recipe), use)


@pytest.mark.parametrize(
    ("part", "recipe", "place_of_it"),
    [
        ("footer", Recipe("AB", disk_type=DiskType.FIXED, footer={"checksum": 1}), 1024 + 64),
        ("copy", Recipe("A-", copy={"checksum": 1}), 64),
        ("header", Recipe("A-", header={"checksum": 1}), 512 + 36),
    ],
)
def test_a_checksum_is_fixed_by_name(
    part: str, recipe: Recipe, place_of_it: int, tmp_path: Path
) -> None:
    path = place(tmp_path / "disk.vhd", recipe)
    planned = checksums(path, part)
    (item,) = planned.patches
    assert (item.offset, len(item.new)) == (place_of_it, 4)
    write_repair(planned)
    assert checksums(path, part).patches == ()
    assert not inspect(path).has_errors


@pytest.mark.parametrize(
    ("part", "recipe"),
    [
        ("footer", Recipe("A-", end_size=0)),
        ("copy", Recipe("A-", copy=None)),
        ("copy", FIXED),
        ("header", FIXED),
        ("header", Recipe("A-", header={"cookie": b"whatever"})),
    ],
)
def test_what_is_not_there_has_no_checksum(part: str, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        checksums(place(tmp_path / "disk.vhd", recipe), part)


def test_the_backup_has_every_byte_that_is_replaced(tmp_path: Path) -> None:
    data = SOUND[:-512] + b"\xee" * 512
    path = write(tmp_path / "disk.vhd", data)
    backup = write_repair(footers(path))
    assert backup == tmp_path / "disk.vhd.vhdtools-backup"
    saved = json.loads(backup.read_text("ascii"))
    assert saved["file_size"] == len(data)
    assert [(item["offset"], bytes.fromhex(item["old"])) for item in saved["patches"]] == [
        (len(data) - 512, b"\xee" * 512)
    ]


def test_no_backup_is_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", SOUND)
    for name in ("", ".1", ".2"):
        patch(path, -100, b"\xee")
        backup = write_repair(footers(path))
        assert backup == tmp_path / f"disk.vhd.vhdtools-backup{name}"
        assert path.read_bytes() == SOUND


def test_a_disk_that_changed_since_is_not_written(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    planned = footers(path)
    os.utime(path, ns=(1, 1))
    before = path.read_bytes()
    with pytest.raises(SourceChangedError, match="changed since"):
        write_repair(planned)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_backup_is_lasting_before_the_disk_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    backup = tmp_path / "disk.vhd.vhdtools-backup"
    synced: list[tuple[str, int]] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        there = os.fstat(descriptor)
        files = [item for item in (path, backup, tmp_path) if item.exists()]
        synced.extend(
            (item.name, path.stat().st_size)
            for item in files
            if os.path.samestat(item.stat(), there)
        )
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_repair(footers(path))
    before, after = len(SOUND) - 512, len(SOUND)
    assert synced == [(backup.name, before), (tmp_path.name, before), (path.name, after)]


def test_a_failure_names_the_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    backup = tmp_path / "disk.vhd.vhdtools-backup"
    disk = path.stat()
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), disk):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SourceReadError, match=re.escape(f"is in {backup}.")):
        write_repair(footers(path))
    assert backup.exists()


@pytest.mark.parametrize("undo_fails_too", [False, True])
@pytest.mark.parametrize("written", range(0, 1025, 64))
def test_a_repair_that_failed_half_way_is_undone(
    written: int, undo_fails_too: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = two_footers()[:-512] + b"\1" * 300
    path = write(tmp_path / "disk.vhd", before)
    planned = plan_repair(path, lambda *_: two_patches(before))
    backup = tmp_path / "disk.vhd.vhdtools-backup"

    def fail_after(count: int) -> None:
        """Fail once `count` bytes are written, some of them in the middle of a write."""
        left = count

        def write_some(file: Any, item: Patch) -> None:
            nonlocal left
            file.seek(item.offset)
            left -= file.write(item.new[: max(0, left)])
            if left <= 0:
                raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(repairing, "_write", write_some)

    fail_after(written)
    with pytest.raises(SourceReadError, match="To put it back: `vhdtool repair") as failed:
        write_repair(planned)
    if undo_fails_too:
        fail_after(written // 2)
        with suppress(SourceReadError):  # if nothing was written, there is nothing to fail
            write_repair(plan_undo(path, backup))
    monkeypatch.undo()
    command = shlex.split(failed.value.remedy.partition("`vhdtool ")[2].rstrip("`"))
    assert CliRunner().invoke(main, command).exit_code == 0
    assert path.read_bytes() == before
    assert plan_undo(path, backup).patches == ()


def two_patches(data: bytes) -> tuple[Patch, ...]:
    """One of 512 bytes over 300 at the end of a file, one at its start."""
    footer = SOUND[:512]
    end = len(data) - 300
    return Patch(end, data[end:], footer, "end"), Patch(0, data[:512], b"\2" * 512, "start")


def test_an_undone_repair_is_made_again_by_its_own_backup(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-100])
    first = write_repair(footers(path))
    second = write_repair(plan_undo(path, first))
    assert path.read_bytes() == SOUND[:-100]
    write_repair(plan_undo(path, second))
    assert path.read_bytes() == SOUND


def test_a_disk_that_grew_since_its_repair_is_not_cut(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", replace(DISK, header={"checksum": 1}))
    backup = write_repair(checksums(path, "header"))
    path.write_bytes(path.read_bytes()[:-512] + b"a new block" + path.read_bytes()[-512:])
    with pytest.raises(UsageError, match="no backup of"):
        plan_undo(path, backup)


def test_a_write_that_takes_less_goes_on(tmp_path: Path) -> None:
    class Short(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data[:100])

    file = Short(bytes(600))
    repairing._write(file, Patch(50, b"", b"\1" * 512, ""))
    assert file.getvalue() == bytes(50) + b"\1" * 512 + bytes(38)


def test_a_failure_before_the_backup_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SourceReadError, match="The disk was not touched"):
        write_repair(footers(path))
    assert path.read_bytes() == SOUND[:-512]


def test_somebody_who_writes_too_is_told_with_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    backup = tmp_path / "disk.vhd.vhdtools-backup"
    disk = path.stat()
    sync = os.fsync

    def disturb(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), disk):
            patch(path, len(SOUND) - 512, b"other")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", disturb)
    with pytest.raises(SourceChangedError, match=re.escape(f"is in {backup}.")):
        write_repair(footers(path))


def test_a_disk_in_use_is_not_written(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    planned = footers(path)
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    assert fcntl.LOCK_EX
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(SourceChangedError, match="another program"):
            write_repair(planned)
        holder.communicate("")
    assert list(tmp_path.iterdir()) == [path]
    write_repair(planned)
    assert path.read_bytes() == SOUND


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"nonsense", b'{"file_size": 1, "patches": [{"offset": "x"}]}', b"\xff"],
)
def test_what_is_no_backup_is_refused(content: bytes, tmp_path: Path) -> None:
    backup = write(tmp_path / "backup", content)
    with pytest.raises(UsageError):
        plan_undo(write(tmp_path / "disk.vhd", SOUND), backup)


def test_a_backup_of_another_disk_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    backup = write_repair(footers(path))
    other = place(tmp_path / "other.vhd", Recipe("AAAA" * 10))
    with pytest.raises(UsageError, match="no backup of"):
        plan_undo(other, backup)
    with pytest.raises(UsageError, match="cannot be read"):
        plan_undo(path, tmp_path / "missing")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["repair", *map(str, arguments)])


def test_the_command_writes_only_when_told(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", SOUND[:-512])
    result = run(path)
    assert result.exit_code == 0
    assert f"the footer at the end: 512 bytes at byte {len(SOUND) - 512:,}" in result.output
    assert "Nothing was written" in result.output
    assert path.read_bytes() == SOUND[:-512]
    result = run(path, "--write")
    assert result.exit_code == 0
    assert path.read_bytes() == SOUND
    result = run(path, "--undo", f"{path}.vhdtools-backup", "--write")
    assert result.exit_code == 0
    assert path.read_bytes() == SOUND[:-512]


def test_the_command_says_when_all_is_well(tmp_path: Path) -> None:
    result = run(place(tmp_path / "disk.vhd", DISK))
    assert result.exit_code == 0
    assert "nothing to repair" in result.output


def test_the_command_fixes_a_checksum(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("AB", disk_type=DiskType.FIXED))
    patch(path, -512 + 64, b"\0")
    assert run(path, "--write").exit_code == 1
    assert run(path, "--fix-checksum", "footer", "--write").exit_code == 0
    assert path.read_bytes() == build(Recipe("AB", disk_type=DiskType.FIXED))


def test_the_command_refuses(tmp_path: Path) -> None:
    assert run(write(tmp_path / "disk.vhd", bytes(4000))).exit_code == 1
    assert run(tmp_path / "missing.vhd").exit_code == 1
    assert run(tmp_path / "disk.vhd", "--use", "end", "--fix-checksum", "copy").exit_code == 2
    assert run(place(tmp_path / "fixed.vhd", FIXED), "--fix-checksum", "header").exit_code == 2


def test_nothing_of_the_footer_is_lost(tmp_path: Path) -> None:
    """Reserved bytes and unknown features come along."""
    recipe = Recipe("A-", footer={"reserved": bytes(range(256)) + bytes(171), "features": 0x82})
    path = place(tmp_path / "disk.vhd", recipe)
    data = path.read_bytes()
    patch(path, -512, bytes(512))
    assert mended(path) == data
    assert data[-512:] == build_footer(footer_of(recipe))
