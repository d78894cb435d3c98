"""Every finding there is, each from a disk that is wrong, or odd, in that way alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_vhd import (
    UNIQUE_ID,
    Recipe,
    build,
    child_of,
    footer_of,
    header_of,
    patch,
    place,
    write,
)
from tests.support.findings_page import PAGE, render
from vhdtools.image import chain as image_chain
from vhdtools.image import soundness as image_soundness
from vhdtools.image import structure as image_structure
from vhdtools.inspection import Finding, Inspection, Level, inspect
from vhdtools.inspection.kinds import CATALOGUE
from vhdtools.layout import DiskType, build_dynamic_header, build_footer
from vhdtools.layout.batmap import BatmapHeader, batmap_checksum, build_batmap_header
from vhdtools.transfer.footer import fixed_footer

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
WINDOWS = {"creator_application": b"win "}
GIB = 1 << 30
TWO_MIB = 4096 * "-"
"""A disk of 2 MiB, no sector of it written."""

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO


def dynamic(content: str = TWO_MIB, footer: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """A dynamic disk with nothing to remark, but for `footer` and `changes`."""
    usual = Recipe(content, block_size=512 * 1024, footer={**WINDOWS, **(footer or {})})
    return replace(usual, **changes)


def fixed(
    content: str = 2048 * "0", footer: dict[str, Any] | None = None, **changes: Any
) -> Recipe:
    usual = Recipe(content, disk_type=DiskType.FIXED, footer={**WINDOWS, **(footer or {})})
    return replace(usual, **changes)


def child(content: str = TWO_MIB, footer: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    identity = {**WINDOWS, "unique_id": bytes(range(32, 48)), **(footer or {})}
    return child_of("parent.vhd", content, block_size=512 * 1024, footer=identity, **changes)


def header(**fields: Any) -> Recipe:
    return dynamic(header=fields)


def footer(**fields: Any) -> Recipe:
    return dynamic(footer=fields)


def own_bytes(data: bytes) -> Callable[[Path], Path]:
    return lambda folder: write(folder / "disk.vhd", data)


def a_gpt_that_ends_at_the_geometry(folder: Path) -> Path:
    """2,040 of 2,048 sectors, and data in the last one."""
    recipe = fixed(2047 * "0" + "Z", footer={"creator_application": b"vpc "})
    disk = bytearray(build(recipe))
    protective = bytes(446) + bytes([0, 0, 0, 0, 0xEE, 0, 0, 0])
    disk[:512] = (protective + struct.pack("<II", 1, 2039)).ljust(510, b"\0") + b"\x55\xaa"
    disk[512:520] = disk[2039 * 512 : 2039 * 512 + 8] = b"EFI PART"
    return write(folder / "disk.vhd", bytes(disk))


def beside_its_parent(recipe: Recipe, parent: Recipe | None = None) -> Callable[[Path], Path]:
    """The child, and a sound dynamic parent next to it."""

    def make(folder: Path) -> Path:
        place(folder / "parent.vhd", dynamic() if parent is None else parent)
        return place(folder / "disk.vhd", recipe)

    return make


def patched(recipe: Recipe, *patches: tuple[int, bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = place(folder / "disk.vhd", recipe)
        for offset, data in patches:
            patch(path, offset, data)
        return path

    return make


def bat(*entries: int, content: str = TWO_MIB, **changes: Any) -> Callable[[Path], Path]:
    """A disk with four blocks in the file, its BAT overwritten."""
    recipe = dynamic(content, allocated=range(4), **changes)
    return patched(recipe, (1536, struct.pack(f">{len(entries)}I", *entries)))


def with_batmap(bitmap: bytes = bytes(512), **fields: Any) -> Callable[[Path], Path]:
    """A disk with a batmap behind its BAT, where blktap puts it."""
    usual = BatmapHeader(
        cookie=b"tdbatmap",
        map_offset=2560,
        map_sectors=1,
        version=0x0001_0002,
        checksum=batmap_checksum(bitmap),
        marker=0,
        key_hash=bytes(65),
        reserved=bytes(418),
    )
    blob = build_batmap_header(replace(usual, **fields)) + bitmap

    def make(folder: Path) -> Path:
        recipe = dynamic(end_size=0)
        data = build(recipe)[:2048].ljust(2048, b"\0") + blob
        return write(folder / "disk.vhd", data + build_footer(footer_of(recipe)))

    return make


def one_locator(**fields: Any) -> Callable[[Path], Path]:
    """A child whose header's name leads to its parent, and whose first locator has these fields."""
    recipe = child()
    locators = list(header_of(recipe).parent_locators)
    locators[0] = replace(locators[0], **fields)
    return beside_its_parent(replace(recipe, header={"parent_locators": tuple(locators)}))


def missing(folder: Path) -> Path:
    return folder / "disk.vhd"


def a_cycle(folder: Path) -> Path:
    return place(
        folder / "disk.vhd",
        child_of("disk.vhd", TWO_MIB, block_size=512 * 1024, footer={**WINDOWS}),
    )


def a_long_chain(folder: Path) -> Path:
    for number in range(257):
        recipe = replace(
            child_of(f"{number + 1}.vhd", "-", block_size=512),
            parent_id=(number + 2).to_bytes(16, "big"),
            footer={**WINDOWS, "unique_id": (number + 1).to_bytes(16, "big")},
        )
        place(folder / f"{number}.vhd", recipe)
    return folder / "0.vhd"


def another_parent(folder: Path) -> Path:
    place(folder / "parent.vhd", dynamic(footer={"unique_id": bytes(range(64, 80))}))
    return place(folder / "disk.vhd", child())


def a_raw_parent(folder: Path) -> Path:
    write(folder / "parent.vhd", b"R" * 4096)
    return place(folder / "disk.vhd", child(parent_id=bytes(16)))


@dataclass(frozen=True)
class Case:
    """A way to a finding: the disk, where the finding points, and how the disk is inspected."""

    code: str
    make: Callable[[Path], Path] | Recipe
    offset: int | None = None
    level: Level | None = None
    """None for the level that the catalogue gives."""
    options: dict[str, Any] = field(default_factory=dict)

    def disk(self, folder: Path) -> Path:
        if isinstance(self.make, Recipe):
            return place(folder / "disk.vhd", self.make)
        return self.make(folder)


END = 2048  # where the footer of an empty dynamic disk is
FIXED_END = 2048 * 512
LOCATOR = 512 + 576

CASES = [
    Case("file-unreadable", missing),
    Case("empty-file", own_bytes(b"")),
    Case("not-a-vhd", own_bytes(b"vhdxfile" + bytes(4096)), 0),
    Case("not-a-vhd", own_bytes(b"QFI\xfb\0\0\0\3" + bytes(4096)), 0),
    Case("file-cut", own_bytes(b"\1" + bytes(4095)[:-700]), 3396),
    Case("footer-missing", own_bytes(b"\1\2\3\4" * 1024), 3584),
    Case("footer-cookie", footer(cookie=b"conectxi"), END),
    Case("footer-checksum", dynamic(footer={"checksum": 1}, copy={"checksum": 1}), END),
    Case("disk-disabled", footer(cookie=b"v_poison"), END),
    Case("disk-disabled", dynamic(copy={"cookie": b"v_poison"}), 0),
    Case("end-footer-missing", dynamic(end_size=0), END),
    Case("end-footer-damaged", patched(dynamic(), (-100, b"\1")), END),
    Case("footer-copy-missing", dynamic(copy=None), 0),
    Case("footer-copy-damaged", dynamic(copy={"checksum": 7}), 0),
    Case("footers-differ", dynamic(copy={"original_size": 512}), END),
    Case("footer-511-bytes", fixed(end_size=511), FIXED_END),
    Case("footer-511-bytes", dynamic(end_size=511), END, INFO),
    Case("trailing-bytes", dynamic(trail=b"\0" * 100), END + 512),
    Case("footer-misplaced", fixed(trail=bytes(1 << 20)), 2048 * 512 + 512),
    Case("footer-version", footer(version=0x0002_0000), END + 12),
    Case("footer-version-minor", footer(version=0x0001_0001), END + 12),
    *(
        Case("disk-type", footer(disk_type=number), END + 60)
        for number in (0, 1, 5, 6, 7, 0xFFFFFFFF)
    ),
    Case("disk-type-contradicted", dynamic(footer={"disk_type": 2, "data_offset": 512}), 512),
    Case("size-zero", footer(current_size=0), END + 48),
    Case("size-over-limit", footer(current_size=2040 * GIB + 512), END + 48),
    Case("size-over-limit", footer(current_size=1 << 62), END + 48),
    Case("size-not-sectors", footer(current_size=2_097_000), END + 48),
    Case("size-not-mib", footer(current_size=2_096_640), END + 48),
    Case("fixed-without-end", own_bytes(build_footer(footer_of(fixed())) + bytes(4096)), 0),
    Case("fixed-too-short", fixed(footer={"current_size": 2049 * 512}), FIXED_END),
    Case("fixed-too-short", fixed(footer={"current_size": 1 << 62}), FIXED_END),
    Case("fixed-too-long", fixed(lead=bytes(512)), 0),
    Case("fixed-data-offset", fixed(footer={"data_offset": 0xFFFFFFFF}), FIXED_END + 16),
    Case("feature-reserved-clear", footer(features=0), END + 8),
    Case("features-unknown", footer(features=6), END + 8),
    Case("temporary-disk", footer(features=3), END + 8),
    Case("saved-state", footer(saved_state=1), END + 84),
    Case("saved-state", footer(saved_state=9), END + 84),
    Case("unique-id-null", footer(unique_id=bytes(16)), END + 68),
    Case("time-stamp-future", footer(timestamp=0xF0000000), END + 24),
    Case(
        "time-stamp-unix",
        footer(creator_application=b"xo  ", timestamp=1_700_000_000),
        END + 24,
    ),
    Case("footer-reserved", footer(reserved=bytes(100) + b"\1" + bytes(326)), END + 86),
    Case("hidden-byte", footer(reserved=b"\1" + bytes(426)), END + 85),
    Case(
        "checksum-without-hidden",
        footer(
            creator_application=b"tap\0",
            creator_version=0x0001_0001,
            reserved=b"\1" + bytes(426),
            checksum=footer_of(
                dynamic(footer={"creator_application": b"tap\0", "creator_version": 0x0001_0001})
            ).checksum,
        ),
        END + 64,
    ),
    Case("creator-unknown", footer(creator_application=b"\x1b[2J"), END + 28),
    Case(
        "creator-version",
        footer(creator_application=b"tap\0", creator_version=0x0002_0000),
        END + 32,
    ),
    Case("geometry-below-size", footer(cylinders=1), END + 56),
    Case("geometry-above-size", footer(cylinders=1000), END + 56),
    Case(
        "size-by-geometry",
        footer(creator_application=b"vpc ", cylinders=30),
        END + 48,
    ),
    Case("size-by-current", fixed(footer={"creator_application": b"vpc "}), FIXED_END + 48),
    Case("size-undecided", a_gpt_that_ends_at_the_geometry, FIXED_END + 48),
    Case("original-size-differs", footer(original_size=512), END + 40),
    *(
        Case("header-outside-file", dynamic(footer={"data_offset": offset}), END + 16)
        for offset in (END, 1 << 40, 1 << 63, (1 << 64) - 4, (1 << 64) - 1)
    ),
    Case("header-cookie", header(cookie=b"cxsparsE"), 512),
    Case("header-cookie", dynamic(footer={"data_offset": 0}), 0),
    Case("header-checksum", header(checksum=5), 512),
    Case("header-version", header(version=0x0000_0001), 512 + 24),
    Case("header-version-minor", header(version=0x0001_0005), 512 + 24),
    Case("header-data-offset", header(data_offset=0xFFFFFFFF), 512 + 8),
    Case("header-reserved", header(reserved=1), 512 + 60),
    Case("header-reserved", header(reserved_tail=bytes(255) + b"\1"), 512 + 768),
    Case(
        "header-unaligned",
        own_bytes(
            build(dynamic(footer={"data_offset": 516}))[:512]
            + bytes(4)
            + build_dynamic_header(header_of(header(table_offset=2048)))
            + bytes(508)
            + build(dynamic())[1536:2048]
            + build_footer(footer_of(dynamic(footer={"data_offset": 516})))
        ),
        516,
    ),
    *(
        Case("block-size", header(block_size=size), 512 + 32)
        for size in (0, 1, 256, 511, 3 << 20, 0xFFFFFFFF)
    ),
    Case("block-size-unusual", dynamic(block_size=4096), 512 + 32),
    Case("bat-unaligned", header(table_offset=1540), 1540),
    Case("dynamic-with-parent-id", dynamic(parent_id=UNIQUE_ID), 512 + 40),
    Case("dynamic-with-parent-fields", dynamic(parent_name=b"\0x"), 512 + 64),
    Case("regions-overlap", header(table_offset=512), 512),
    Case("regions-overlap", header(table_offset=0), 0),
    Case("bat-too-small", header(max_table_entries=3), 512 + 28),
    Case("bat-too-small", header(max_table_entries=0), 512 + 28),
    *(
        Case("bat-outside-file", header(max_table_entries=entries), 512 + 16)
        for entries in (0x40000001, 0x7FFFFFFF, 0xFFFFFFFF)
    ),
    *(
        Case("bat-outside-file", header(table_offset=offset), 512 + 16)
        for offset in (END, 1 << 40, 1 << 63, (1 << 64) - 4)
    ),
    Case("block-over-metadata", bat(0), 1536),
    Case("block-over-metadata", bat(3), 1536),
    Case("block-past-end", bat(0xFFFFFFFE), 1536),
    Case("block-past-end", bat(4, 1029, 2054, 3080), 1536 + 12),
    Case("blocks-overlap", bat(4, 4), 1536 + 4),
    Case("blocks-overlap", bat(4, 1028, 2054, 3079), 1536 + 4),
    Case("bat-extra-entries", dynamic(extra_entries=2), 1536 + 16),
    Case("bat-padding-zero", dynamic(bat_padding=0), 1536 + 16),
    Case("bat-unsorted", dynamic(order=[2, 0], allocated=[0, 2]), 1536),
    Case("block-gaps", dynamic(allocated=[0, 1], gap=7), 2048),
    Case("batmap", with_batmap(), 2048),
    Case("batmap-damaged", with_batmap(checksum=1), 2048),
    Case("batmap-damaged", with_batmap(version=0x0003_0000), 2048),
    Case("batmap-damaged", with_batmap(map_offset=1 << 50), 2048),
    Case("batmap-damaged", with_batmap(map_sectors=0), 2048),
    Case("batmap-contradicts-bat", with_batmap(b"\x80" + bytes(511)), 2560),
    Case("encryption-key-set", with_batmap(key_hash=b"\1" + bytes(64)), 2048),
    Case(
        "bitmap-clear-over-data",
        dynamic("A" + 4095 * "-", under_clear=0x5A),
        2048 + 512 + 512,
        options={"deep": True},
    ),
    Case("blocks-all-zero", dynamic("0" + 4095 * "-"), options={"deep": True}),
    Case("parent-missing", child(), 512 + 40),
    Case("parent-wrong-id", another_parent, 512 + 40),
    Case("parent-cycle", a_cycle, 512 + 40),
    Case("parent-chain-too-long", a_long_chain),
    Case("parent-damaged", beside_its_parent(child(), header(block_size=3))),
    Case("parent-raw", a_raw_parent, 512 + 40),
    Case("parent-raw-used", a_raw_parent, options={"raw_parent": True}),
    Case(
        "unique-id-is-parents",
        beside_its_parent(child(footer={"unique_id": UNIQUE_ID})),
        512 + 40,
    ),
    Case(
        "parent-name-little-endian",
        beside_its_parent(child(parent_name="parent.vhd".encode("utf-16-le"))),
        512 + 64,
    ),
    Case(
        "parent-name-undecodable",
        beside_its_parent(child(parent_name=b"\xd8\x00\x00A")),
        512 + 64,
    ),
    Case(
        "locator-unknown-code",
        beside_its_parent(
            child(locators=[(b"W2ru", "parent.vhd".encode("utf-16-le")), (b"wxyz", b"what")])
        ),
        LOCATOR + 24,
    ),
    Case(
        "locator-outside-file",
        one_locator(data_length=0xFFFFFFFF),
        LOCATOR,
    ),
    Case(
        "locator-outside-file",
        one_locator(data_offset=1 << 63),
        LOCATOR,
    ),
    Case(
        "locator-undecodable",
        beside_its_parent(child(locators=[(b"W2ru", b"\x00\xd8A\x00")])),
        2048,
    ),
    Case("locator-empty", one_locator(data_length=0), LOCATOR),
    Case("locator-empty", one_locator(data_space=0), LOCATOR),
    Case("locator-unused-set", one_locator(platform_code=bytes(4)), LOCATOR),
    Case("locator-reserved", one_locator(reserved=1), LOCATOR),
    Case(
        "locator-duplicate",
        beside_its_parent(child(locators=[(b"W2ru", "parent.vhd".encode("utf-16-le"))] * 2)),
        LOCATOR + 24,
    ),
    Case(
        "locator-name-differs",
        beside_its_parent(child(parent_name="old.vhd".encode("utf-16-be"))),
        512 + 64,
    ),
    Case(
        "parent-time-stamp-differs",
        beside_its_parent(child(header={"parent_timestamp": 700_000_000})),
        512 + 56,
    ),
    Case(
        "parent-time-stamp-future",
        beside_its_parent(child(header={"parent_timestamp": 0xF0000000})),
        512 + 56,
    ),
    Case("parent-size-differs", beside_its_parent(child(), dynamic(2048 * "-"))),
]

ELSEWHERE = {
    "parent-not-named": "test_parent_search",
    "parent-ambiguous": "test_parent_search",
    "disk-image-inside": "test_recognizer",
    "partition-table-4096": "test_recognizer",
    "partition-past-end": "test_recognizer",
    "bat-too-large": "below, as no small file can show it",
    "parent-chain-too-large": "below, as small files do not show it",
    "file-changed": "test_inspection_deep",
    "blob-unreadable": "test_inspection_page_blob",
    "upload-unfinished": "test_inspection_page_blob",
    "blob-leased": "test_inspection_page_blob",
    "blob-empty": "test_inspection_page_blob",
}
"""Codes that other tests show."""


def found(inspection: Inspection, code: str) -> list[Finding]:
    return [finding for finding in inspection.findings if finding.code == code]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{number}-{case.code}" for number, case in enumerate(CASES)]
)
def test_the_finding_is_there(case: Case, tmp_path: Path) -> None:
    inspection = inspect(case.disk(tmp_path), now=NOW, **case.options)
    matching = found(inspection, case.code)
    assert matching, [finding.code for finding in inspection.findings]
    level = CATALOGUE[case.code].level if case.level is None else case.level
    assert case.offset in [finding.offset for finding in matching]
    assert {finding.level for finding in matching} == {level}
    assert all(finding.message for finding in matching)
    assert inspection.has_errors or level is not ERROR


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.level is None and CATALOGUE[case.code].level is not ERROR],
    ids=lambda case: case.code,
)
def test_what_is_no_error_makes_no_other_error(case: Case, tmp_path: Path) -> None:
    """Odd, but sound: none of these may keep a disk from being uploaded."""
    inspection = inspect(case.disk(tmp_path), now=NOW, **case.options)
    errors = [finding for finding in inspection.findings if finding.level is ERROR]
    assert errors == []


def test_a_table_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (image_structure, image_soundness):
        monkeypatch.setattr(module, "MAX_BAT_ENTRIES", 3)
    inspection = inspect(place(tmp_path / "disk.vhd", dynamic()), now=NOW)
    (finding,) = inspection.findings
    assert (finding.code, finding.level) == ("bat-too-large", ERROR)


def test_a_chain_that_takes_too_much_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_chain, "MAX_CHAIN_BYTES", 300)
    inspection = inspect(beside_its_parent(child())(tmp_path), now=NOW)
    (finding,) = inspection.findings
    assert (finding.code, finding.level) == ("parent-chain-too-large", ERROR)


def test_every_code_is_shown_by_a_test() -> None:
    assert {case.code for case in CASES} | set(ELSEWHERE) == set(CATALOGUE)


def test_whatever_is_wrong_can_be_acted_on() -> None:
    worse = [kind for kind in CATALOGUE.values() if kind.level is not INFO]
    assert [kind.code for kind in worse if not kind.remedy and not kind.reruns] == []


def test_every_code_is_explained_on_the_page() -> None:
    """`python -m tests.support.findings_page` writes the page anew."""
    assert PAGE.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize(
    "recipe",
    [
        dynamic(),
        dynamic("A" + 4095 * "-"),
        dynamic(4096 * "A"),
        fixed(),
        fixed(4096 * "A"),
        dynamic(footer={"cylinders": 65535, "heads": 16, "sectors_per_track": 255}),
    ],
)
def test_sound_disks_have_no_findings(recipe: Recipe, tmp_path: Path) -> None:
    inspection = inspect(place(tmp_path / "disk.vhd", recipe), now=NOW, deep=True)
    assert inspection.findings == ()


def test_what_an_upload_makes_has_no_findings(tmp_path: Path) -> None:
    size = 1024 * 1024
    path = write(tmp_path / "disk.vhd", bytes(size) + fixed_footer(footer_of(dynamic()), size))
    assert inspect(path, now=NOW).findings == ()


def test_a_sound_child_has_no_findings(tmp_path: Path) -> None:
    inspection = inspect(beside_its_parent(child("A" + 4095 * "-"))(tmp_path), now=NOW, deep=True)
    assert inspection.findings == ()
    assert [ancestor.path for ancestor in inspection.ancestors] == [str(tmp_path / "parent.vhd")]


def test_the_warnings_of_parents_name_them_once_for_each_kind(tmp_path: Path) -> None:
    oldest = dynamic(footer={"saved_state": 1, "unique_id": b"oldest disk's id"})
    place(tmp_path / "oldest.vhd", replace(oldest, copy={"saved_state": 0}))
    middle = child(footer={"saved_state": 1, "unique_id": UNIQUE_ID})
    middle = replace(
        middle,
        locators=[(b"W2ru", ".\\oldest.vhd".encode("utf-16-le"))],
        parent_name="oldest.vhd".encode("utf-16-be"),
        parent_id=b"oldest disk's id",
    )
    found = inspect(beside_its_parent(child(), middle)(tmp_path), now=NOW).findings
    assert [(finding.code, finding.level) for finding in found] == [
        ("saved-state", WARNING),
        ("footers-differ", WARNING),
    ]
    state, differ = found
    assert state.message.startswith(f"the parent {tmp_path / 'parent.vhd'}: the footer says")
    assert state.message.endswith("(and so it is with 1 more parent)")
    assert differ.message.startswith(f"the parent {tmp_path / 'oldest.vhd'}: the footer and")
    assert f"vhdtool repair {tmp_path / 'oldest.vhd'} " in differ.remedy
    assert [finding.offset for finding in found] == [None, None]


def test_all_findings_are_collected(tmp_path: Path) -> None:
    """A bad type and a bad version hide neither each other nor the warnings."""
    recipe = dynamic(
        footer={"version": 0x0009_0000, "features": 0, "saved_state": 1, "timestamp": 0xF0000000},
        header={"block_size": 3, "version": 0x0002_0000, "reserved": 1},
        copy={"checksum": 0},
    )
    inspection = inspect(place(tmp_path / "disk.vhd", recipe), now=NOW)
    codes = [finding.code for finding in inspection.findings]
    assert set(codes) >= {
        "footer-version",
        "header-version",
        "block-size",
        "feature-reserved-clear",
        "saved-state",
        "time-stamp-future",
        "header-reserved",
        "footer-copy-damaged",
    }
    levels = [finding.level for finding in inspection.findings]
    assert levels == sorted(levels, key=list(Level).index)
