"""An upload of a disk that can be read in two ways sends the right one, says which, or stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.build_vhd import Recipe, guest_view, place
from vhdtools.cli import main
from vhdtools.errors import DamagedImageError, NotUploadableError
from vhdtools.inspection import inspect
from vhdtools.transfer.api import upload, verify

SamplePath = Callable[[str], Path]
MIB = 1 << 20


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(item) for item in arguments])


def sent(folder: Path, disk: Path, *options: str) -> tuple[bytes, dict[str, Any]]:
    """What arrived of a disk, footer and padding apart, and the result."""
    target = folder / "fixed.vhd"
    done = run("upload", disk, f"file:{target}", "--json", "--no-progress", *options)
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    return target.read_bytes()[: result["virtual_size"]], result


def test_the_tail_behind_the_geometry_arrives(tmp_path: Path, sample_disk: SamplePath) -> None:
    path = sample_disk("field/U1b-fixed-vpc-gpt.vhd")
    data, result = sent(tmp_path, path)
    assert data == path.read_bytes()[:-512]
    assert data[-512:].startswith(b"EFI PART")
    assert result["reading"]["size"]["choice"] == "current"
    assert result["reading"]["size"]["reason"] == "file-length"


def test_blocks_behind_the_geometry_arrive(tmp_path: Path, sample_disk: SamplePath) -> None:
    data, result = sent(tmp_path, sample_disk("field/U1-urbackup-vpc.vhd"))
    assert len(data) == 25_677_824
    assert any(data[25_659_392:])
    assert result["reading"]["size"]["reason"] == "data"


def test_the_batmap_counts(tmp_path: Path, sample_disk: SamplePath) -> None:
    path = sample_disk("field/X2-batmap-full-bitmap-empty.vhd")
    data, result = sent(tmp_path, path)
    first = path.read_bytes().index(data[:512], 2048)
    assert any(data[: 2 * MIB])
    assert data[: 2 * MIB] == path.read_bytes()[first : first + 2 * MIB]
    assert result["reading"]["bitmaps"]["reason"] == "batmap"


def test_data_under_empty_bitmaps_is_not_lost(tmp_path: Path, sample_disk: SamplePath) -> None:
    path = sample_disk("field/X1-bitmaps-empty.vhd")
    refused = run("upload", path, f"file:{tmp_path / 'no.vhd'}", "--no-progress")
    assert refused.exit_code == 1
    assert "--bitmap-rule data" in refused.stderr
    assert not (tmp_path / "no.vhd").exists()
    data, result = sent(tmp_path, path, "--bitmap-rule", "data")
    by_batmap, _ = sent(
        tmp_path,
        sample_disk("field/X2-batmap-full-bitmap-empty.vhd"),
        "--overwrite",
    )
    assert data == by_batmap
    assert result["reading"]["bitmaps"] == {
        "choice": "data",
        "reason": "option",
        "text": "all data of allocated blocks counts, whatever the sector bitmaps say, as asked "
        "for",
        "contested": True,
    }
    data, _ = sent(tmp_path, path, "--bitmap-rule", "bitmap", "--overwrite")
    assert not any(data)


PARTIAL = Recipe("A" * 8 + "B" + "-" * 2 + "C" * 5 + "-" * 48, under_clear=0x5A)


def test_what_inspection_did_not_see_stops_the_upload(tmp_path: Path) -> None:
    """Some bits of the block are set, so that only reading it shows."""
    path = place(tmp_path / "disk.vhd", PARTIAL)
    assert not inspect(path).has_errors
    stopped = run("upload", path, f"file:{tmp_path / 'no.vhd'}", "--no-progress")
    assert stopped.exit_code == 1
    assert "block 1 holds data" in stopped.stderr
    assert "--bitmap-rule" in stopped.stderr
    assert not (tmp_path / "no.vhd").exists()


@pytest.mark.parametrize("rule", ["bitmap", "data"])
def test_verify_reads_as_the_upload_did(tmp_path: Path, rule: Any) -> None:
    path = place(tmp_path / "disk.vhd", PARTIAL)
    target = tmp_path / "fixed.vhd"
    done = upload(path, f"file:{target}", bitmap_rule=rule)
    seen = guest_view(PARTIAL.content)
    hidden = b"\x5a" * 1024
    written = target.read_bytes()[: len(seen)]
    assert (written == seen) is (rule == "bitmap")
    assert (written[9 * 512 : 11 * 512] == hidden) is (rule == "data")
    assert verify(path, f"file:{target}", bitmap_rule=rule).crc64 == done.crc64
    with pytest.raises(DamagedImageError, match="--bitmap-rule"):
        verify(path, f"file:{target}")


def test_the_library_refuses_with_the_name_of_its_option(
    tmp_path: Path, sample_disk: SamplePath
) -> None:
    path = sample_disk("field/X1-bitmaps-empty.vhd")
    with pytest.raises(NotUploadableError, match="bitmap-clear-over-data"):
        upload(path, f"file:{tmp_path / 'no.vhd'}")


@pytest.mark.parametrize("how", [[], ["--dry-run"]])
def test_the_choice_is_printed(tmp_path: Path, sample_disk: SamplePath, how: list[str]) -> None:
    path = sample_disk("field/U1b-fixed-vpc-gpt.vhd")
    said = run("upload", path, f"file:{tmp_path / 'fixed.vhd'}", "--no-progress", *how)
    assert said.exit_code == 0
    assert "reading" in said.stdout
    assert "current size 24 MiB, because the file holds exactly that and a footer" in said.stdout
    if not how:
        said = run("verify", path, f"file:{tmp_path / 'fixed.vhd'}", "--no-progress")
        assert "current size 24 MiB, because" in said.stdout
    assert "Reading: current size 24 MiB, because" in run("inspect", path).stdout


def test_nothing_is_said_where_there_is_no_choice(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A" * 8))
    said = run("upload", path, f"file:{tmp_path / 'fixed.vhd'}", "--no-progress")
    assert "reading" not in said.stdout
    assert "Reading:" not in run("inspect", path).stdout.partition("Findings")[0]


def test_a_longer_fixed_file_is_uploaded_from_where_its_table_is(
    tmp_path: Path, sample_disk: SamplePath
) -> None:
    path = sample_disk("field/A1-xplat-plus2M.vhd")
    data, result = sent(tmp_path, path)
    assert data == path.read_bytes()[: 24 * MIB]
    assert result["reading"]["base"]["choice"] == "start"
