"""Every condition that makes a disk unsafe to read, and none of those that do not."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_vhd import (
    Recipe,
    build,
    child_of,
    footer_of,
    patch,
    place,
    write,
)
from vhdtools.errors import DamagedImageError, ImageError, UnsupportedImageError
from vhdtools.image import open as open_image
from vhdtools.image import soundness
from vhdtools.image.soundness import MAX_DYNAMIC_SIZE, Flaw, Soundness, examine, metadata_regions
from vhdtools.image.structure import MAX_BAT_ENTRIES, read_structure
from vhdtools.layout import DiskType, ParentLocator, build_footer

FIXED = DiskType.FIXED
DISK = Recipe("A" * 8 + "-" * 8 + "B" * 8 + "C" * 3)  # three blocks of 4 KiB in the file
BAT = 1536
FIRST_BLOCK = 2048
SPAN = 4096 + 512
NO_LOCATOR = ParentLocator(bytes(4), 0, 0, 0, 0)
BAD_CHECKSUM = {"checksum": 1}


def with_bat(recipe: Recipe, **blocks: int) -> Callable[[Path], Path]:
    """Puts other sector numbers into the BAT: b1=4 means block 1 at sector 4."""

    def make(path: Path) -> Path:
        place(path, recipe)
        for name, number in blocks.items():
            patch(path, BAT + 4 * int(name[1:]), number.to_bytes(4, "big"))
        return path

    return make


def header(**fields: Any) -> Recipe:
    return replace(DISK, header=fields)


def footer(**fields: Any) -> Recipe:
    return replace(DISK, footer=fields)


def cut(recipe: Recipe, length: int) -> Callable[[Path], Path]:
    return lambda path: write(path, build(recipe)[:length])


def bytes_of(data: bytes) -> Callable[[Path], Path]:
    return lambda path: write(path, data)


LENGTH = len(build(DISK))


# A disk, the codes of its flaws, and where the first of them is.
FLAWS: dict[str, tuple[Recipe | Callable[[Path], Path], list[str], int | None]] = {
    "empty": (bytes_of(b""), ["empty-file"], None),
    "no footer": (bytes_of(b"x" * 4096), ["footer-missing"], 3584),
    "both checksums bad": (
        replace(footer(**BAD_CHECKSUM), copy=BAD_CHECKSUM),
        ["footer-checksum"],
        LENGTH - 512,
    ),
    "no cookie": (replace(footer(cookie=b"CONECTIX"), copy=None), ["footer-cookie"], LENGTH - 512),
    "poison": (replace(footer(cookie=b"v_poison"), copy=None), ["disk-disabled"], LENGTH - 512),
    "poison in the copy": (replace(DISK, copy={"cookie": b"v_poison"}), ["disk-disabled"], 0),
    "version 2": (footer(version=0x2_0000), ["footer-version"], LENGTH - 500),
    "version 0": (footer(version=0x0_0001), ["footer-version"], LENGTH - 500),
    "type 0": (footer(disk_type=0), ["disk-type"], LENGTH - 452),
    "type 5": (footer(disk_type=5), ["disk-type"], LENGTH - 452),
    "type 7": (footer(disk_type=7), ["disk-type"], LENGTH - 452),
    "size 0": (footer(current_size=0), ["size-zero"], LENGTH - 464),
    "size over the limit": (
        footer(current_size=MAX_DYNAMIC_SIZE + 512),
        ["size-over-limit", "bat-too-small"],
        LENGTH - 464,
    ),
    "size over the limit, with a geometry below it": (
        footer(
            creator_application=b"qemu",
            current_size=MAX_DYNAMIC_SIZE + 512,
            cylinders=1,
            heads=1,
            sectors_per_track=8,
        ),
        ["size-over-limit"],
        LENGTH - 464,
    ),
    "size 2^64-512": (
        footer(current_size=2**64 - 512),
        ["size-over-limit", "bat-too-small"],
        LENGTH - 464,
    ),
    "fixed, of size 0": (Recipe("A", FIXED, size=0), ["size-zero"], 48),
    "fixed, cut": (
        lambda path: write(path, build(Recipe("A" * 9, FIXED))[512:]),
        ["fixed-too-short"],
        4096,
    ),
    "fixed, of 2^62 bytes": (
        Recipe("A", FIXED, footer={"current_size": 1 << 62}),
        ["fixed-too-short"],
        512,
    ),
    "fixed, with a dynamic disk's parts": (
        footer(disk_type=2, data_offset=512),
        ["disk-type-contradicted"],
        512,
    ),
    "fixed, over the copy of a dynamic disk": (
        lambda path: patch(
            place(path, DISK), -512, build_footer(footer_of(Recipe("-" * 32, FIXED)))
        ),
        ["disk-type-contradicted", "fixed-too-short"],
        0,
    ),
    "fixed, with a dynamic disk's parts far in": (
        lambda path: patch(
            place(
                path,
                Recipe("-" * 20, FIXED, footer={"data_offset": 8192}),
            ),
            8192,
            build(DISK)[512:1536],
        ),
        ["disk-type-contradicted"],
        8192,
    ),
    "fixed, with a dynamic disk's parts and no copy": (
        replace(footer(disk_type=2, data_offset=512), copy=None),
        ["disk-type-contradicted"],
        512,
    ),
    "fixed, footer at the start": (
        bytes_of(build(Recipe("", FIXED, footer={"current_size": 512})) + bytes(70_000)),
        ["fixed-without-end"],
        0,
    ),
    "data offset at the end": (
        footer(data_offset=LENGTH - 100),
        ["header-outside-file"],
        LENGTH - 496,
    ),
    "data offset all ones": (
        footer(data_offset=2**64 - 1),
        ["header-outside-file"],
        LENGTH - 496,
    ),
    "cut in the header": (cut(DISK, 1000), ["header-outside-file"], 16),
    "data offset 0": (footer(data_offset=0), ["header-cookie"], 0),
    "data offset at a block": (footer(data_offset=FIRST_BLOCK), ["header-cookie"], FIRST_BLOCK),
    "header into the footer": (
        lambda path: patch(
            place(path, footer(data_offset=LENGTH - 1024)),
            LENGTH - 1024,
            build(DISK)[512:1024],
        ),
        ["header-checksum", "regions-overlap", "block-over-metadata"],
        LENGTH - 1024,
    ),
    "header cookie": (header(cookie=b"CXSPARSE"), ["header-cookie"], 512),
    "header checksum": (header(**BAD_CHECKSUM), ["header-checksum"], 512),
    "header version": (header(version=0x2_0000), ["header-version"], 536),
    "block size 0": (header(block_size=0), ["block-size"], 544),
    "block size 1": (header(block_size=1), ["block-size"], 544),
    "block size 256": (header(block_size=256), ["block-size"], 544),
    "block size 511": (header(block_size=511), ["block-size"], 544),
    "block size 3 MiB": (header(block_size=3 << 20), ["block-size"], 544),
    "block size 2^32-1": (header(block_size=2**32 - 1), ["block-size"], 544),
    "block size 2 GiB": (header(block_size=2 << 30), ["block-past-end"], BAT),
    "no entries": (header(max_table_entries=0), ["bat-too-small"], 540),
    "too few entries": (header(max_table_entries=3), ["bat-too-small"], 540),
    "too many entries": (header(max_table_entries=0x4000_0001), ["bat-outside-file"], 528),
    "table at 0": (
        header(table_offset=0),
        ["regions-overlap", "block-over-metadata", "block-past-end"],
        0,
    ),
    "table in the header": (
        header(table_offset=1024),
        ["regions-overlap", "block-over-metadata", "blocks-overlap"],
        1024,
    ),
    "table at the end": (header(table_offset=LENGTH), ["bat-outside-file"], 528),
    "table in the footer": (header(table_offset=LENGTH - 512), ["bat-outside-file"], 528),
    "table at 2^40": (header(table_offset=1 << 40), ["bat-outside-file"], 528),
    "table at 2^63": (header(table_offset=1 << 63), ["bat-outside-file"], 528),
    "table at 2^64-4": (header(table_offset=2**64 - 4), ["bat-outside-file"], 528),
    "table in a block": (
        header(table_offset=FIRST_BLOCK + 1024),
        ["block-over-metadata", "block-past-end", "blocks-overlap"],
        None,
    ),
    "block at 0": (with_bat(DISK, b1=0), ["block-over-metadata", "blocks-overlap"], BAT + 4),
    "block in the header": (
        with_bat(DISK, b1=2),
        ["block-over-metadata", "blocks-overlap"],
        BAT + 4,
    ),
    "block in the table": (
        with_bat(DISK, b1=3),
        ["block-over-metadata", "blocks-overlap"],
        BAT + 4,
    ),
    "block twice": (with_bat(DISK, b1=4), ["blocks-overlap"], BAT + 4),
    "one sector of overlap": (with_bat(DISK, b2=12), ["blocks-overlap"], BAT + 8),
    "block into the footer": (
        with_bat(DISK, b3=FIRST_BLOCK // 512 + 19),
        ["block-past-end"],
        BAT + 12,
    ),
    "block far away": (with_bat(DISK, b3=0xFFFF_FFFE), ["block-past-end"], BAT + 12),
    "end cut off": (cut(replace(DISK, end_size=0), LENGTH - 1024), ["block-past-end"], BAT + 12),
    "locator in the table": (
        # The checksum stays right: the bytes' sum is the same as before.
        lambda path: patch(place(path, child_of("p.vhd", "A")), 512 + 576 + 22, b"\6\2"),
        ["regions-overlap"],
        1538,
    ),
}


def look(tmp_path: Path, disk: Recipe | Callable[[Path], Path]) -> Soundness:
    path = tmp_path / "disk.vhd"
    if isinstance(disk, Recipe):
        place(path, disk)
    else:
        disk(path)
    return examine(read_structure(path))


@pytest.mark.parametrize("name", FLAWS)
def test_flaws(tmp_path: Path, name: str) -> None:
    disk, codes, offset = FLAWS[name]
    found = look(tmp_path, disk)
    assert [flaw.code for flaw in found.flaws] == codes
    if offset is not None or codes == ["empty-file"]:
        assert found.flaws[0].offset == offset
    with pytest.raises(ImageError, match=r"disk\.vhd: ") as raised:
        open_image(tmp_path / "disk.vhd")
    assert raised.value.remedy
    if codes[0] not in ("empty-file", "footer-missing"):
        kind = UnsupportedImageError if found.flaws[0].unsupported else DamagedImageError
        assert type(raised.value) is kind
        assert raised.value.problem == found.flaws[0].problem
        assert raised.value.offset == found.flaws[0].offset


def test_every_code_is_tried() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(soundness)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    codes = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id in (Flaw.__name__, "flaw")
        and isinstance(call.args[0], ast.Constant)
    }
    tried = {code for _, disk_codes, _ in FLAWS.values() for code in disk_codes}
    assert codes == tried | {"bat-too-large"}  # see test_a_table_too_large_to_read


def test_a_table_too_large_to_read(tmp_path: Path) -> None:
    blocks = MAX_BAT_ENTRIES + 1
    recipe = Recipe(
        "A",
        block_size=512,
        footer={"current_size": blocks * 512},
        header={"max_table_entries": blocks},
    )
    path = place(tmp_path / "disk.vhd", replace(recipe, end_size=0))
    with path.open("r+b") as file:
        file.truncate(BAT + blocks * 4 + 1024)
    codes = [flaw.code for flaw in examine(read_structure(path)).flaws]
    assert codes[0] == "bat-too-large"
    with pytest.raises(UnsupportedImageError, match="4,194,304 are the most that are read"):
        open_image(path)


def around_a_guests_vhd(
    inner: dict[str, Any] | None = None, **outer: Any
) -> Callable[[Path], Path]:
    """A fixed disk whose guest keeps a dynamic VHD of its own from its first byte on."""
    content = build(replace(DISK, footer={"unique_id": b"the guest's own!", **(inner or {})}))
    around = footer_of(Recipe("-" * (len(content) // 512), FIXED, footer=outer))
    return bytes_of(content + build_footer(around))


SOUND: dict[str, Recipe | Callable[[Path], Path]] = {
    "usual": DISK,
    "block size 512": replace(DISK, block_size=512),
    "block size 2 GiB, empty": Recipe("-" * 8, block_size=2 << 30),
    "unsorted": replace(DISK, order=[3, 0, 2]),
    "gaps": replace(DISK, gap=8),
    "bad copy": replace(DISK, copy=BAD_CHECKSUM),
    "bad end": replace(DISK, footer=BAD_CHECKSUM),
    "no end": replace(DISK, end_size=0),
    "no copy": replace(DISK, copy=None),
    "minor versions": replace(DISK, footer={"version": 0x1_0009}, header={"version": 0x1_0001}),
    "spare entries": replace(DISK, extra_entries=1000, bat_padding=0),
    "exactly 2040 GiB": Recipe(
        "-", block_size=1 << 31, footer={"current_size": MAX_DYNAMIC_SIZE}, extra_entries=1019
    ),
    "fixed": Recipe("AB", FIXED),
    "fixed, around a guest's VHD": around_a_guests_vhd(),
    "fixed, around a guest's VHD, with another data offset": around_a_guests_vhd(data_offset=512),
    "fixed, around a guest's VHD, both without ids": around_a_guests_vhd(
        inner={"unique_id": bytes(16)}, unique_id=bytes(16)
    ),
    "fixed, with another data offset": Recipe("AB", FIXED, footer={"data_offset": 0xFFFF_FFFF}),
    "two locators for the same bytes": child_of("p.vhd", "A"),
}


@pytest.mark.parametrize(
    ("offset", "length", "what"),
    [(0, 512, "the footer copy"), (512, 1024, "the dynamic disk header"), (BAT, 512, "the BAT")],
)
def test_a_locator_exactly_over_something_else(
    tmp_path: Path, offset: int, length: int, what: str
) -> None:
    locator = ParentLocator(b"W2ku", 512, length, 0, offset)
    recipe = child_of("p.vhd", "A", header={"parent_locators": (locator, *(NO_LOCATOR,) * 7)})
    recipe = replace(recipe, locators=(), extra_entries=127)
    found = look(tmp_path, recipe)
    assert [flaw.code for flaw in found.flaws] == ["regions-overlap"]
    assert what in found.flaws[0].problem


@pytest.mark.parametrize("name", SOUND)
def test_no_false_alarm(tmp_path: Path, name: str) -> None:
    found = look(tmp_path, SOUND[name])
    assert found.flaws == ()
    assert found.surplus == 0


def test_an_entry_that_no_block_needs_is_not_looked_at(tmp_path: Path) -> None:
    found = look(tmp_path, with_bat(replace(DISK, extra_entries=4), b5=0, b6=0xFFFF_FFFE))
    assert found.flaws == ()
    with open_image(tmp_path / "disk.vhd") as image:
        assert [extent.end for extent in image.extents()][-1] == image.virtual_size


def test_a_disk_without_a_header_has_no_regions(tmp_path: Path) -> None:
    assert metadata_regions(read_structure(place(tmp_path / "disk.vhd", Recipe("A", FIXED)))) == []


def test_a_good_copy_beside_a_poisoned_end_does_not_heal_it(tmp_path: Path) -> None:
    poisoned = footer_of(footer(cookie=b"v_poison"))
    path = place(tmp_path / "disk.vhd", DISK)
    patch(path, -512, poisoned.cookie)
    assert [flaw.code for flaw in examine(read_structure(path)).flaws] == ["disk-disabled"]


@pytest.mark.parametrize(
    ("creator", "geometry", "auto"),
    [
        (b"vpc ", (100, 4, 17), 100 * 4 * 17 * 512),
        (b"vs  ", (100, 4, 17), 100 * 4 * 17 * 512),
        (b"qemu", (100, 4, 17), 100 * 4 * 17 * 512),
        (b"qem2", (100, 4, 17), 5 << 20),
        (b"win ", (100, 4, 17), 5 << 20),
        (b"vpc ", (65535, 16, 255), 5 << 20),
        (b"vpc ", (0, 0, 0), 5 << 20),
        (b"qemu", (1000, 16, 63), 5 << 20),
    ],
)
def test_which_size_the_guest_sees(
    tmp_path: Path, creator: bytes, geometry: tuple[int, int, int], auto: int
) -> None:
    shape = dict(zip(("cylinders", "heads", "sectors_per_track"), geometry, strict=True))
    recipe = Recipe("-" * 10240, footer={"creator_application": creator, **shape})
    path = place(tmp_path / "disk.vhd", replace(recipe, extra_entries=200_000))
    by_geometry = geometry[0] * geometry[1] * geometry[2] * 512
    structure = read_structure(path)
    assert examine(structure).guest_size == auto
    assert examine(structure, "current").guest_size == 5 << 20
    assert examine(structure, "geometry").guest_size == by_geometry
    with open_image(path) as image:
        assert image.virtual_size == auto
    if 0 < by_geometry < 1 << 30:
        with open_image(path, size_rule="geometry") as image:
            assert image.virtual_size == by_geometry


def test_a_geometry_that_the_table_cannot_hold(tmp_path: Path) -> None:
    recipe = Recipe("A" * 8, footer={"cylinders": 9, "heads": 4, "sectors_per_track": 17})
    path = place(tmp_path / "disk.vhd", recipe)
    with pytest.raises(DamagedImageError, match="the BAT has 1 entries"):
        open_image(path, size_rule="geometry")


def test_surplus_of_a_fixed_disk(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", b"L" * 1024 + build(Recipe("AB", FIXED)))
    found = examine(read_structure(path))
    assert found.flaws == ()
    assert found.surplus == 1024
    with pytest.raises(DamagedImageError, match=r"1,024 bytes longer.*--fixed-base"):
        open_image(path)
    buffer = bytearray(1024)
    with open_image(path, fixed_base="end") as image:
        image.read_into(0, buffer)
        assert buffer == build(Recipe("AB", FIXED))[:1024]
    with open_image(path, fixed_base="start") as image:
        image.read_into(0, buffer)
        assert buffer == b"L" * 1024


def test_surplus_does_not_let_a_geometry_reach_into_the_footer(tmp_path: Path) -> None:
    shape = {"cylinders": 1, "heads": 1, "sectors_per_track": 4}
    path = write(tmp_path / "disk.vhd", bytes(512) + build(Recipe("ABC", FIXED, footer=shape)))
    with open_image(path, size_rule="geometry", fixed_base="end") as image:
        buffer = bytearray(2048)
        image.read_into(0, buffer)
        assert buffer == bytes(512) + build(Recipe("ABC", FIXED))[:1536]
