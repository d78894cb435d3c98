"""The JSON of an inspection: what its schema says, and what the disk says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import vhdtools.inspection
from tests.support.build_vhd import UNIQUE_ID, Recipe, child_of, place, write
from tests.support.disks import SAMPLE_DISKS, unpack
from vhdtools.inspection import inspect
from vhdtools.layout import DiskType

SCHEMA = json.loads(
    (Path(vhdtools.inspection.__file__).parent / "inspection.schema.json").read_text("utf-8")
)
CHECK = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def checked(path: Path, **options: Any) -> dict[str, Any]:
    """The JSON of a disk, as a script would read it, valid by the schema."""
    document: dict[str, Any] = json.loads(json.dumps(inspect(path, **options).to_json()))
    CHECK.validate(document)
    return document


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    document = checked(place(tmp_path / "disk.vhd", Recipe("A-")))
    assert not CHECK.is_valid(document | {"surprise": 1})
    assert not CHECK.is_valid({key: document[key] for key in document if key != "azure"})
    assert CHECK.is_valid([document, document])


@pytest.mark.parametrize("name", sorted(SAMPLE_DISKS))
def test_sample_disks_fit_the_schema(name: str, tmp_path: Path) -> None:
    checked(unpack(name, tmp_path))


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"vhdxfile", b"conectix", b"x" * 511])
def test_what_is_no_vhd_fits_the_schema(content: bytes, tmp_path: Path) -> None:
    document = checked(write(tmp_path / "disk.vhd", content))
    assert document["file_size"] == len(content)
    assert document["disk_type"] is None
    assert document["azure"]["ready"] is False


def test_what_cannot_be_read_fits_the_schema(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.vhd", tmp_path):
        document = checked(path)
        assert document["path"] == str(path)
        assert document["format"] is None
        assert document["file_size"] is None
        assert [finding["code"] for finding in document["findings"]] == ["file-unreadable"]


def test_formats_are_named(tmp_path: Path) -> None:
    assert checked(write(tmp_path / "a", b"vhdxfile" + bytes(999)))["format"] == "vhdx"
    assert checked(write(tmp_path / "b", b"QFI\xfb\0\0\0\3" + bytes(999)))["format"] == "qcow2"
    assert checked(write(tmp_path / "c", b"\x1f\x8b" + b"\1" * 999))["format"] == "gzip"
    assert checked(write(tmp_path / "d", b"\1" * 999))["format"] is None


def test_a_dynamic_disk_is_told_in_full(tmp_path: Path) -> None:
    recipe = Recipe("A" * 9 + "-" * 7, footer={"creator_application": b"vbox"}, bat_padding=0)
    document = checked(place(tmp_path / "disk.vhd", recipe), deep=True)
    size = 16 * 512
    footer = document["footer"]
    assert document["format"] == "vhd"
    assert document["disk_type"] == footer["disk_type"] == "dynamic"
    assert document["virtual_size"] == footer["current_size"] == size
    assert document["allocated_bytes"] == 2 * 4096
    assert footer["creator_application"] == "VirtualBox"
    assert footer["creator_application_raw"] == b"vbox".hex()
    assert footer["timestamp"] == "2025-05-08T06:13:20+00:00"
    assert footer["timestamp_raw"] == 800_000_000
    assert footer["unique_id_raw"] == UNIQUE_ID.hex()
    assert footer["unique_id"] == "13121110-1514-1716-1819-1a1b1c1d1e1f"
    assert footer["data_offset"] == 512
    assert footer["checksum_ok"] is footer["valid"] is True
    assert document["footer_used"] == "end"
    assert document["footer_copy"] == footer | {"offset": 0}
    assert document["dynamic_header"]["data_offset"] is None
    assert document["dynamic_header"]["data_offset_raw"] == "f" * 16
    bat = document["bat"]
    assert (bat["entries"], bat["needed"], bat["allocated"]) == (2, 2, 2)
    assert bat["block_span"] == 4096 + 512
    assert bat["padding_raw"] == "00" * 504
    assert document["sizes"]["rule"] == "current"
    assert document["deep"]["data_pages"] == 9
    assert document["deep"]["zero_pages"] == 7
    assert document["deep"]["blocks"]["sectors_set"] == 9
    assert document["azure"]["upload_size"] == (1 << 20) + 512
    assert document["remote"] is None


def test_a_fixed_disk_has_no_table(tmp_path: Path) -> None:
    document = checked(place(tmp_path / "disk.vhd", Recipe("A0", disk_type=DiskType.FIXED)))
    assert document["disk_type"] == "fixed"
    assert document["bat"] is document["dynamic_header"] is document["footer_copy"] is None
    assert document["parent_locators"] == document["ancestors"] == []
    assert document["footer"]["data_offset"] is None


def test_a_child_names_its_ancestors(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", Recipe("AAAA----"))
    document = checked(place(tmp_path / "disk.vhd", child_of("parent.vhd", "-B------")))
    assert [ancestor["path"] for ancestor in document["ancestors"]] == [
        str(tmp_path / "parent.vhd")
    ]
    assert document["ancestors"][0]["unique_id_raw"] == UNIQUE_ID.hex()
    assert document["dynamic_header"]["parent_name"] == "parent.vhd"
    assert document["dynamic_header"]["parent_name_encoding"] == "utf-16-be"
    assert document["parent_locators"][0]["platform_code"] == "W2ru"
    assert document["parent_locators"][0]["path"] == ".\\parent.vhd"


def test_the_copy_stands_in_where_the_end_is_lost(tmp_path: Path) -> None:
    document = checked(place(tmp_path / "disk.vhd", Recipe("A-", end_size=0)))
    assert document["footer_used"] == "copy"
    assert document["end_footer"] is None
    assert document["footer"] == document["footer_copy"]
    assert document["footer"]["offset"] == 0


def test_sizes_are_told_by_every_rule(tmp_path: Path) -> None:
    changes = {"creator_application": b"vpc ", "cylinders": 4, "heads": 4, "original_size": 512}
    path = place(
        tmp_path / "disk.vhd", Recipe(300 * "-", footer={**changes, "sectors_per_track": 17})
    )
    sizes = checked(path)["sizes"]
    assert sizes == {
        "guest": 4 * 4 * 17 * 512,
        "current": 300 * 512,
        "geometry": 4 * 4 * 17 * 512,
        "original": 512,
        "rule": "geometry",
        "surplus": 0,
    }
    assert checked(path, size_rule="current")["virtual_size"] == 300 * 512


def test_names_that_are_no_unicode_survive(tmp_path: Path) -> None:
    path = write(tmp_path / "odd\udcff.vhd", b"nothing")
    assert checked(path)["path"] == str(path)
