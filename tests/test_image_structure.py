"""What is found in a file: footers, headers, tables, locators, whatever state they are in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.build_vhd import (
    UNIQUE_ID,
    Recipe,
    build,
    child_of,
    footer_of,
    patch,
    place,
    write,
)
from vhdtools.errors import DamagedImageError, SourceReadError, VhdToolsError
from vhdtools.image import open as open_image
from vhdtools.image.locators import MAX_LOCATOR_DATA, decode_parent_name
from vhdtools.image.soundness import examine
from vhdtools.image.source import open_source
from vhdtools.image.structure import MAX_BAT_ENTRIES, Structure, read_structure
from vhdtools.inspection.repair import plan_footers
from vhdtools.layout import UNALLOCATED, DiskType, build_footer
from vhdtools.layout.batmap import BatmapHeader, batmap_checksum, build_batmap_header

BAD: dict[str, Any] = {"checksum": 1}


def structure_of(path: Path, recipe: Recipe) -> Structure:
    return read_structure(place(path / "disk.vhd", recipe))


def test_a_sound_dynamic_disk(tmp_path: Path) -> None:
    structure = structure_of(tmp_path, Recipe("A" * 8 + "-" * 8, extra_entries=5))
    assert structure.used is structure.end_footer
    assert structure.footer_copy is not None
    assert structure.footer == structure.footer_copy.footer == footer_of(Recipe("-" * 16))
    assert structure.header_offset == 512
    assert structure.header is not None
    assert structure.header.max_table_entries == 7
    assert len(structure.bat) >= 2
    assert structure.bat[1] == UNALLOCATED
    assert structure.bat_padding == b"\xff" * (512 - 7 * 4)
    assert structure.trailing_bytes == 0
    assert structure.data_end == structure.file_size - 512
    assert structure.batmap is None
    assert structure.parent_locators == ()


def test_a_fixed_disk_has_no_copy_whatever_its_content(tmp_path: Path) -> None:
    inner = build(Recipe("A" * 16))
    fixed = build_footer(
        footer_of(
            Recipe("-" * (len(inner) // 512), DiskType.FIXED, footer={"unique_id": b"F" * 16})
        )
    )
    structure = read_structure(write(tmp_path / "disk.vhd", inner + fixed))
    assert structure.footer_copy is None
    assert structure.used is structure.end_footer
    assert structure.header is None
    assert structure.header_offset is None
    with open_image(tmp_path / "disk.vhd") as image:
        assert image.virtual_size == len(inner)


@pytest.mark.parametrize(
    ("end", "copy", "used"),
    [
        ({}, {}, "end"),
        ({}, BAD, "end"),
        (BAD, {}, "copy"),
        (BAD, BAD, "end"),
        ({}, {"current_size": 512}, "end"),
        ({"cookie": b"damaged!"}, {"cookie": b"conectix"}, "copy"),
        ({"cookie": b"damaged!"}, None, "end"),
        ({}, None, "end"),
        (None, {}, "copy"),
        (None, BAD, "copy"),
        (None, None, None),
    ],
)
def test_the_end_counts_unless_only_the_copy_is_valid(
    tmp_path: Path, end: dict[str, Any] | None, copy: dict[str, Any] | None, used: str | None
) -> None:
    recipe = Recipe("A" * 16, copy=copy, end_size=512 if end is not None else 0)
    changed = replace(recipe, footer=end or {}, copy=None)
    data = build(recipe)
    if end:
        data = data[:-512] + build(changed)[-512:]
    structure = read_structure(write(tmp_path / "disk.vhd", data))
    assert (structure.end_footer is None) is (end is None)
    assert (structure.footer_copy is None) is (copy is None)
    found = {None: None, "end": structure.end_footer, "copy": structure.footer_copy}
    assert structure.used is found[used]


def test_a_footer_of_511_bytes(tmp_path: Path) -> None:
    for kind in (DiskType.FIXED, DiskType.DYNAMIC):
        structure = structure_of(tmp_path, Recipe("A" * 16, kind, end_size=511))
        assert structure.used is structure.end_footer is not None
        assert structure.end_footer.size == 511
        assert structure.end_footer.end == structure.file_size
        assert not examine(structure).flaws
        with open_image(tmp_path / "disk.vhd") as image:
            assert image.virtual_size == 8192


@pytest.mark.parametrize(
    "trail", [b"x", bytes(511), bytes(512), b"conectix" * 100 + b"x", bytes(65_000)]
)
@pytest.mark.parametrize("kind", [DiskType.FIXED, DiskType.DYNAMIC])
def test_bytes_behind_the_footer(tmp_path: Path, trail: bytes, kind: DiskType) -> None:
    recipe = Recipe("A" * 160, kind, trail=trail)
    structure = structure_of(tmp_path, recipe)
    assert structure.used is structure.end_footer is not None
    assert structure.trailing_bytes == len(trail)
    with open_image(tmp_path / "disk.vhd") as image:
        assert image.virtual_size == 160 * 512


def test_a_footer_too_far_from_the_end_is_not_searched(tmp_path: Path) -> None:
    recipe = Recipe("A" * 16, DiskType.FIXED, trail=b"x" * 70_000)
    assert structure_of(tmp_path, recipe).footer is None


def test_a_footer_in_what_the_guest_stored_is_not_the_disks(tmp_path: Path) -> None:
    """The end of the file is lost, and a block holds another VHD's footer."""
    data = bytearray(build(Recipe("A" * 16, end_size=0)))
    other = footer_of(Recipe("A", DiskType.FIXED, footer={"unique_id": b"other disk's id!"}))
    data[-2048:-1536] = build_footer(other)
    structure = read_structure(write(tmp_path / "disk.vhd", bytes(data)))
    assert structure.end_footer is None
    assert structure.used is structure.footer_copy
    # Nor is one that has more in front of it than the file.
    other = footer_of(Recipe("A" * 1000, DiskType.FIXED))
    data[-2048:-1536] = build_footer(other)
    assert read_structure(write(tmp_path / "disk.vhd", bytes(data))).end_footer is None


def around_a_guests_vhd(**changes: Any) -> bytes:
    """A fixed disk whose guest keeps a dynamic VHD of its own from its first byte on."""
    inner = build(Recipe("A" * 16, footer={"unique_id": b"the guest's own!"}))
    outer = footer_of(Recipe("-" * (len(inner) // 512), DiskType.FIXED))
    return inner + build_footer(replace(outer, **changes))


@pytest.mark.parametrize(
    "damage",
    [{"checksum": 1}, {"features": 7}, {"disk_type": 7}, {"cookie": b"conectiX"}],
    ids=lambda damage: next(iter(damage)),
)
def test_a_damaged_end_is_not_made_good_by_what_the_guest_stored(
    tmp_path: Path, damage: dict[str, Any]
) -> None:
    sealed = footer_of(Recipe("-" * (len(around_a_guests_vhd()) // 512 - 1), DiskType.FIXED))
    data = around_a_guests_vhd(**{"checksum": sealed.checksum, **damage})
    path = write(tmp_path / "disk.vhd", data)
    structure = read_structure(path)
    assert structure.used is structure.end_footer is not None
    assert structure.footer_copy is None
    assert examine(structure).flaws
    with pytest.raises(DamagedImageError):
        plan_footers(structure, open_source(path))


@pytest.mark.parametrize(
    "damage",
    [{"unique_id": b"damaged!........"}, {"disk_type": 2, "checksum": 1}, {"current_size": 9216}],
    ids=lambda damage: next(iter(damage)),
)
def test_a_damaged_end_is_made_good_by_the_copy(tmp_path: Path, damage: dict[str, Any]) -> None:
    recipe = Recipe("A" * 16)
    data = build(recipe)[:-512] + build_footer(
        replace(footer_of(recipe), **{"checksum": footer_of(recipe).checksum, **damage})
    )
    structure = read_structure(write(tmp_path / "disk.vhd", data))
    assert structure.used is structure.footer_copy
    assert not examine(structure).flaws


def test_bytes_behind_a_disk_do_not_give_it_to_its_guest(tmp_path: Path) -> None:
    sealed = footer_of(Recipe("-" * (len(around_a_guests_vhd()) // 512 - 1), DiskType.FIXED))
    data = around_a_guests_vhd(checksum=sealed.checksum) + b"behind"
    structure = read_structure(write(tmp_path / "disk.vhd", data))
    assert structure.used is structure.end_footer is not None
    assert structure.footer == sealed
    assert not examine(structure).flaws


def test_a_damaged_copy_is_not_made_good_by_what_the_guest_stored(tmp_path: Path) -> None:
    """The end of the file is lost, and a block holds the end of another VHD."""
    data = bytearray(build(Recipe("A" * 16, end_size=0, copy=BAD)))
    other = footer_of(Recipe("A", footer={"unique_id": b"other disk's id!"}))
    data[-2048:-1536] = build_footer(other)
    structure = read_structure(write(tmp_path / "disk.vhd", bytes(data)))
    assert structure.end_footer is None
    assert [flaw.code for flaw in examine(structure).flaws] == ["footer-checksum"]


def test_old_tapdisks_left_the_hidden_byte_out_of_the_checksum(tmp_path: Path) -> None:
    fields = {"creator_application": b"tap\0", "creator_version": 0x0001_0001}
    visible = footer_of(Recipe("A" * 16, footer=fields))
    hidden = {"reserved": b"\1" + bytes(426), "checksum": visible.checksum}
    found = structure_of(tmp_path, Recipe("A" * 16, footer={**fields, **hidden})).end_footer
    assert found is not None
    assert found.valid
    assert not found.footer.checksum_ok
    found = structure_of(tmp_path, Recipe("A" * 16, footer=hidden)).end_footer
    assert found is not None
    assert not found.valid


@pytest.mark.parametrize("offset", [0, 511, 1 << 20, (1 << 63) - 1, 1 << 63, (1 << 64) - 4])
def test_a_header_offset_anywhere(tmp_path: Path, offset: int) -> None:
    recipe = Recipe("A" * 16, footer={"data_offset": offset})
    structure = structure_of(tmp_path, recipe)
    assert structure.header_offset == offset
    if offset > 511:
        assert structure.header is None
    assert not len(structure.bat)


@pytest.mark.parametrize("offset", [0, 1 << 20, (1 << 63) - 1, 1 << 63, (1 << 64) - 4])
@pytest.mark.parametrize("entries", [0, 1, 0x4000_0001, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_table_anywhere_of_any_size(tmp_path: Path, offset: int, entries: int) -> None:
    header = {"table_offset": offset, "max_table_entries": entries}
    structure = structure_of(tmp_path, Recipe("A" * 16, header=header))
    assert len(structure.bat) <= 2
    assert len(structure.bat_padding) < 512


@pytest.mark.parametrize("block_size", [0, 1, 256, 511, 3 << 20, 1 << 31, 0xFFFF_FFFF])
def test_any_block_size(tmp_path: Path, block_size: int) -> None:
    structure = structure_of(tmp_path, Recipe("A" * 16, header={"block_size": block_size}))
    assert len(structure.bat) <= 2


def test_a_table_is_read_up_to_a_limit(tmp_path: Path) -> None:
    recipe = Recipe(
        "A" * 16,
        footer={"current_size": 2040 << 30},
        header={"max_table_entries": 0xFFFF_FFFF, "block_size": 512},
    )
    path = place(tmp_path / "disk.vhd", recipe)
    end = path.read_bytes()[-512:]
    with path.open("r+b") as file:
        file.truncate(1 << 34)
    structure = read_structure(patch(path, -512, end))
    assert len(structure.bat) == MAX_BAT_ENTRIES


def batmap_at(offset: int, **changes: Any) -> bytes:
    header = BatmapHeader(
        b"tdbatmap", offset, 1, 0x0001_0002, batmap_checksum(bytes(512)), 0, bytes(65), bytes(418)
    )
    return build_batmap_header(replace(header, **changes))


def test_a_batmap_behind_the_table(tmp_path: Path) -> None:
    recipe = Recipe("A" * 16, bat_offset=4096)
    path = place(tmp_path / "disk.vhd", replace(recipe, locators=[(b"W2ru", bytes(1024))]))
    patch(path, 4608, batmap_at(5120))
    structure = read_structure(path)
    assert structure.batmap is not None
    assert structure.batmap.offset == 4608
    assert structure.batmap.bitmap == bytes(512)
    assert not structure.batmap.header.encrypted
    for changes in (
        {"map_offset": 1 << 40},
        {"map_offset": (1 << 64) - 1},
        {"map_sectors": 1 << 31},
    ):
        batmap = read_structure(patch(path, 4608, batmap_at(5120, **changes))).batmap
        assert batmap is not None
        assert batmap.bitmap is None


def test_what_only_looks_like_a_batmap(tmp_path: Path) -> None:
    look_alike = batmap_at(5120)
    block = place(tmp_path / "block.vhd", Recipe("A" * 16, bat_offset=4096))
    assert read_structure(block).bat[0] * 512 == 4608
    assert read_structure(patch(block, 4608, look_alike)).batmap is None
    locator = child_of("p.vhd", "A", bat_offset=4096, locators=[(b"Wi2k", look_alike)])
    structure = read_structure(place(tmp_path / "locator.vhd", locator))
    assert structure.parent_locators[0].locator.data_offset == 4608
    assert structure.batmap is None


LOCATORS = [
    (b"W2ku", "C:\\disks\\parent.vhd".encode("utf-16-le"), "C:\\disks\\parent.vhd"),
    (b"W2ru", ".\\eltern-ä.vhd\0".encode("utf-16-le"), ".\\eltern-ä.vhd"),
    (b"MacX", b"file:///disks/my%20disk.vhd", "file:///disks/my%20disk.vhd"),
    (b"W2ru", b"\x00\xd8A\0", None),
    (b"W2ku", b"odd", None),
    (b"MacX", b"\xff", None),
    (b"Mac ", b"alias", None),
    (b"Wi2r", b"parent.vhd", None),
]


def test_parent_locators(tmp_path: Path) -> None:
    recipe = child_of("parent.vhd", "A", locators=[(code, data) for code, data, _ in LOCATORS])
    structure = structure_of(tmp_path, recipe)
    assert [found.index for found in structure.parent_locators] == list(range(8))
    assert [found.text for found in structure.parent_locators] == [text for *_, text in LOCATORS]
    assert [found.data for found in structure.parent_locators] == [data for _, data, _ in LOCATORS]


@pytest.mark.parametrize(
    ("length", "offset"),
    [
        (0xFFFF_FFFF, 2048),
        (MAX_LOCATOR_DATA + 1, 2048),
        (2, (1 << 64) - 1),
        (2, 1 << 63),
        (600, 4300),
    ],
)
def test_a_locator_outside_the_file(tmp_path: Path, length: int, offset: int) -> None:
    recipe = child_of("parent.vhd", "-" * 8)
    path = place(tmp_path / "disk.vhd", recipe)
    locator = 512 + 576
    patch(path, locator + 8, length.to_bytes(4, "big"))
    patch(path, locator + 16, offset.to_bytes(8, "big"))
    (found,) = read_structure(path).parent_locators
    assert found.data is None
    assert found.text is None
    assert found.locator.data_length == length


@pytest.mark.parametrize(
    ("raw", "text", "encoding"),
    [
        ("parent.vhd".encode("utf-16-be"), "parent.vhd", "utf-16-be"),
        ("parent.vhd\0rest".encode("utf-16-be"), "parent.vhd", "utf-16-be"),
        ("parent.vhd".encode("utf-16-le"), "parent.vhd", "utf-16-le"),
        ("C:\\磁盘\\父.vhd".encode("utf-16-be"), "C:\\磁盘\\父.vhd", "utf-16-be"),
        (("一" * 9 + ".vhd").encode("utf-16-be"), "一" * 9 + ".vhd", "utf-16-be"),
        ("一一一".encode("utf-16-be"), "一一一", "utf-16-be"),
        ("一一一.vhd".encode("utf-16-le"), "一一一.vhd", "utf-16-le"),
        ("/dev/vg/disk".encode("utf-16-le"), "/dev/vg/disk", "utf-16-le"),
        ("ü".encode("utf-16-be"), "ü", "utf-16-be"),
        ("一".encode("utf-16-be"), "一", "utf-16-be"),
        ("一丁一".encode("utf-16-be"), "一丁一", "utf-16-be"),
        ("一一一倀倀倀.vhd".encode("utf-16-be"), "一一一倀倀倀.vhd", "utf-16-be"),
        ("一一一倀倀倀.vhd".encode("utf-16-le"), "一一一倀倀倀.vhd", "utf-16-le"),
        ("père".encode("utf-16-le"), "père", "utf-16-le"),
        (("n" * 256).encode("utf-16-be"), "n" * 256, "utf-16-be"),
        (b"\xd8\x00\x00A", "", ""),
        (b"", "", "utf-16-be"),
    ],
)
def test_parent_names(raw: bytes, text: str, encoding: str) -> None:
    name = decode_parent_name(raw.ljust(512, b"\0"))
    assert (name.text, name.encoding) == (text, encoding)
    assert len(name.raw) == 512


def test_an_open_file_stays_open(tmp_path: Path) -> None:
    source = open_source(place(tmp_path / "disk.vhd", Recipe("A")))
    assert read_structure(source).footer is not None
    assert source.read(0, 8) == b"conectix"
    source.close()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceReadError, match=r"missing\.vhd: there is no such file"):
        read_structure(tmp_path / "missing.vhd")


@pytest.mark.parametrize("size", [0, 1, 8, 510, 511, 512, 513, 1023, 1535])
def test_tiny_files(tmp_path: Path, size: int) -> None:
    for data in (bytes(size), (b"conectix" * 200)[:size], build(Recipe("A"))[:size]):
        structure = read_structure(write(tmp_path / "disk.vhd", data))
        assert structure.file_size == size
        assert examine(structure).flaws


SOUND = build(child_of("disk.vhd", "AB-" * 20, allocated=[3]))
INTERESTING = [0, 1, 255, 511, 512, 1 << 31, (1 << 32) - 2, (1 << 32) - 1]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound disk with numbers changed, bytes cut off, and checksums right again, or not."""
    data = bytearray(SOUND)
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data) // 4 - 1).map(lambda i: i * 4) | st.integers(512, 1600))
        number = draw(st.sampled_from(INTERESTING) | st.integers(0, (1 << 32) - 1))
        data[at : at + 4] = number.to_bytes(4, "big")
    if draw(st.booleans()):
        for offset, field, size in ((0, 64, 512), (512, 36, 1024), (len(data) - 512, 64, 512)):
            part = data[offset : offset + size]
            part[field : field + 4] = bytes(4)
            data[offset + field : offset + field + 4] = (~sum(part) & 0xFFFF_FFFF).to_bytes(
                4, "big"
            )
    return bytes(data[: draw(st.sampled_from([len(data)] * 3 + [0, 511, 600, 1024, 5000]))])


@given(damaged())
@settings(max_examples=300)
def test_damage_is_found_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing but the errors of vhdtools, whatever the bytes say."""
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    path = write(folder / "disk.vhd", data)
    place(folder / "parent.vhd", Recipe("P" * 60, footer={"unique_id": UNIQUE_ID}))
    structure = read_structure(path)
    flaws = examine(structure).flaws
    assert all(flaw.code and flaw.problem for flaw in flaws)
    try:
        image = open_image(path, parent_dirs=[folder], fixed_base="end")
    except VhdToolsError:
        return
    assert not flaws
    with image:
        assert image.virtual_size <= 2040 << 30
        for _, extent in zip(range(1000), image.extents(), strict=False):
            buffer = bytearray(min(extent.length, 65536))
            image.read_into(extent.offset, buffer)
            assert not (extent.zero and any(buffer))
