"""Which bytes are the disk, where a file can be read in two ways."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import pytest
from hypothesis import given

from tests.support.build_vhd import SECTOR, Recipe, build, child_of, guest_view, place, write
from tests.support.disks import SAMPLE_DISKS, SampleDisk
from tests.support.recipes import assert_reads, dynamic_recipes
from vhdtools.errors import DamagedImageError, UsageError
from vhdtools.image import DiskImage
from vhdtools.image import open as open_image
from vhdtools.image.partitions import PartitionEnd, is_backup_header, partition_end
from vhdtools.image.reading import reading_of
from vhdtools.inspection import Level, inspect
from vhdtools.layout import DiskType
from vhdtools.layout.batmap import BATMAP_COOKIE, BatmapHeader, batmap_checksum, build_batmap_header

FIXED = DiskType.FIXED
SMALL, LARGE = 64, 80
"""Sectors by the geometry and by the current size of the disks here."""
SHAPE: dict[str, Any] = {"cylinders": 1, "heads": 4, "sectors_per_track": SMALL // 4}
BY_GEOMETRY = {"creator_application": b"vpc ", **SHAPE}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def content(image: DiskImage) -> bytes:
    data = bytearray(image.virtual_size)
    image.read_into(0, data)
    return bytes(data)


def gpt(own: int, other: int) -> bytes:
    """A GPT header in LBA `own`, whose counterpart is in `other`."""
    plain = struct.pack("<8sIIIIQQ", b"EFI PART", 0x10000, 92, 0, 0, own, other).ljust(92, b"\0")
    return (plain[:16] + struct.pack("<I", crc32(plain)) + plain[20:]).ljust(SECTOR, b"\0")


def mbr(*partitions: tuple[int, int, int]) -> bytes:
    """An MBR of (type, first sector, sectors)."""
    table = b"".join(struct.pack("<B3xB3xII", 0, *partition) for partition in partitions)
    return (bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa").ljust(SECTOR, b"\0")


def dynamic(word: str, *, table: bytes = b"", **footer: Any) -> bytes:
    """A dynamic disk in which `table` is what the first sectors hold."""
    data = bytearray(build(Recipe(word, footer={**BY_GEOMETRY, **footer})))
    first = 2048 + 512
    data[first : first + len(table)] = table
    return bytes(data)


def fixed(word: str, *, table: bytes = b"", **footer: Any) -> bytes:
    data = bytearray(build(Recipe(word, FIXED, footer={**BY_GEOMETRY, **footer})))
    data[: len(table)] = table
    return bytes(data)


NO_DATA = "A" * 8 + "-" * (LARGE - 8)
ZEROS = "A" * 8 + "-" * (LARGE - 9) + "0"
DATA = "A" * 8 + "-" * (LARGE - 9) + "Z"
IN_BLOCK = "A" * 8 + "-" * (SMALL - 8) + "ZZ" + "-" * (LARGE - SMALL - 2)
ENDS_SMALL = mbr((0xEE, 1, SMALL - 1)) + gpt(1, SMALL - 1)
ENDS_LARGE = mbr((0xEE, 1, LARGE - 1)) + gpt(1, LARGE - 1)


def with_backup(word: str, table: bytes) -> bytes:
    """A fixed disk with a GPT whose backup lies at the end by the geometry."""
    data = bytearray(fixed(word, table=table))
    data[(SMALL - 1) * SECTOR : SMALL * SECTOR] = gpt(SMALL - 1, 1)
    return bytes(data)


def dynamic_with_backup(word: str) -> bytes:
    """The same, dynamic: the word has data in the last sector of the geometry."""
    assert word[SMALL - 1] != "-"
    data = dynamic(word, table=ENDS_SMALL)
    mark = (SMALL - 1).to_bytes(8, "big") + word[SMALL - 1].encode() * (SECTOR - 8)
    return data.replace(mark, gpt(SMALL - 1, 1))


BACKED = "A" * 8 + "-" * (SMALL - 9) + "B" + "-" * (LARGE - SMALL)


@pytest.mark.parametrize(
    ("file", "size", "reason"),
    [
        (dynamic(NO_DATA), SMALL, "creator"),
        (dynamic(ZEROS), SMALL, "creator"),
        (dynamic(DATA), LARGE, "data"),
        (dynamic(IN_BLOCK), LARGE, "data"),
        (dynamic(NO_DATA, table=ENDS_LARGE), LARGE, "partition-table"),
        (dynamic(NO_DATA, table=mbr((0x83, 8, LARGE - 8))), LARGE, "partition-table"),
        (dynamic(NO_DATA, table=mbr((0x83, 8, SMALL - 8))), SMALL, "creator"),
        (dynamic(NO_DATA, table=mbr((0x83, 8, LARGE))), SMALL, "creator"),
        (dynamic(NO_DATA, table=mbr((0xEE, 1, 0xFFFFFFFF))), SMALL, "creator"),
        (dynamic_with_backup(BACKED), SMALL, "partition-table"),
        (dynamic(DATA, creator_application=b"qemu"), LARGE, "data"),
        (dynamic(DATA, creator_application=b"win "), LARGE, "creator"),
        (fixed(NO_DATA), LARGE, "file-length"),
        (fixed(DATA), LARGE, "file-length"),
        (fixed(NO_DATA, creator_application=b"win "), LARGE, "file-length"),
        (with_backup(NO_DATA, ENDS_SMALL), SMALL, "partition-table"),
        (with_backup(NO_DATA, ENDS_LARGE), LARGE, "file-length"),
    ],
)
def test_what_the_file_shows_decides_its_size(
    tmp_path: Path, file: bytes, size: int, reason: str
) -> None:
    path = write(tmp_path / "disk.vhd", file)
    inspection = inspect(path)
    assert inspection.virtual_size == size * SECTOR
    assert not inspection.has_errors
    assert inspection.reading.size is not None
    assert inspection.reading.size.reason == reason
    with open_image(path) as image:
        assert image.virtual_size == size * SECTOR
        assert reading_of(image) == inspection.reading
        data = content(image)
    # Whatever is left out is zeros.
    with open_image(path, size_rule="current") as image:
        assert not any(content(image)[len(data) :])


UNDECIDED = {
    "fixed": with_backup(DATA, ENDS_SMALL),
    "dynamic": dynamic_with_backup(BACKED[:-1] + "Z"),
}


@pytest.mark.parametrize("kind", UNDECIDED)
def test_contradicting_sizes_are_refused_until_the_user_says(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "disk.vhd", UNDECIDED[kind])
    with pytest.raises(DamagedImageError, match=r"--size-rule current\).*--size-rule geometry\)"):
        open_image(path)
    found = [finding for finding in inspect(path).findings if finding.level is Level.ERROR]
    assert [finding.code for finding in found] == ["size-undecided"]
    assert "--size-rule" in found[0].remedy
    for rule, size in (("current", LARGE), ("geometry", SMALL)):
        inspection = inspect(path, size_rule=rule)  # type: ignore[arg-type]
        assert not inspection.has_errors
        assert inspection.virtual_size == size * SECTOR
        assert inspection.reading.size is not None
        assert inspection.reading.size.reason == "option"


def test_a_fixed_file_of_the_geometrys_size(tmp_path: Path) -> None:
    """Its footer gives more; a creator that goes by the geometry is believed, another is not."""
    word = "AB" * (SMALL // 2)
    for creator, by_itself in ((b"vpc ", True), (b"win ", False)):
        path = write(
            tmp_path / "disk.vhd",
            fixed(word, current_size=LARGE * SECTOR, creator_application=creator),
        )
        inspection = inspect(path)
        assert inspection.has_errors is not by_itself
        if not by_itself:
            with pytest.raises(DamagedImageError, match=r"\(--size-rule geometry\)"):
                open_image(path)
        with open_image(path, size_rule="geometry") as image:
            assert content(image) == guest_view(word)


def test_a_table_that_reaches_behind_the_current_size(tmp_path: Path) -> None:
    """The geometry may be the larger one, and hold the end of a partition."""
    word = "A" * 8 + "-" * (LARGE - 9) + "Z"
    larger = {"cylinders": 1, "heads": 4, "sectors_per_track": LARGE // 4}
    shape: dict[str, Any] = {
        **larger,
        "creator_application": b"xo  ",
        "current_size": SMALL * SECTOR,
    }
    table = mbr((0x83, 8, LARGE - 8))
    with open_image(write(tmp_path / "1.vhd", dynamic(word, table=table, **shape))) as image:
        assert image.virtual_size == LARGE * SECTOR
    with open_image(write(tmp_path / "2.vhd", dynamic(word, **shape))) as image:
        assert image.virtual_size == SMALL * SECTOR


def test_a_bat_without_entries_for_the_larger_size(tmp_path: Path) -> None:
    data = dynamic(NO_DATA[:SMALL], current_size=LARGE * SECTOR)
    inspection = inspect(write(tmp_path / "disk.vhd", data))
    assert inspection.reading.size is not None
    assert inspection.reading.size.reason == "room"
    assert not inspection.has_errors


def test_blocks_behind_the_size_that_a_bat_has_room_for_are_not_lost_unsaid(
    tmp_path: Path,
) -> None:
    word = NO_DATA[:SMALL] + "-" * 7 + "Z"
    path = write(tmp_path / "disk.vhd", dynamic(word, current_size=LARGE * SECTOR))
    with pytest.raises(DamagedImageError, match=r"the BAT has .* entries") as caught:
        open_image(path)
    assert 'size_rule="geometry"' in str(caught.value)
    assert "bat-too-small" in {found.code for found in inspect(path).findings}
    with open_image(path, size_rule="geometry") as image:
        assert image.virtual_size == SMALL * SECTOR


def test_data_in_the_block_across_the_geometrys_end_is_not_lost_unsaid(tmp_path: Path) -> None:
    geometry = 60  # sectors, of which a block has 8: the last block reaches 4 sectors further
    shape = {**SHAPE, "sectors_per_track": geometry // 4, "current_size": LARGE * SECTOR}
    held = dynamic("A" * 8 + "-" * 53 + "Z", **shape)
    with pytest.raises(DamagedImageError, match=r"the BAT has .* entries"):
        open_image(write(tmp_path / "data.vhd", held))
    with open_image(tmp_path / "data.vhd", size_rule="geometry") as image:
        assert image.virtual_size == geometry * SECTOR
    nothing = dynamic("A" * 8 + "-" * 51 + "Z00", **shape)
    with open_image(write(tmp_path / "zeros.vhd", nothing)) as image:
        assert image.virtual_size == geometry * SECTOR


def test_a_childs_size_is_found_in_its_parents_data(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", Recipe(DATA))
    child = child_of("parent.vhd", "-" * LARGE)
    child = replace(child, footer={**child.footer, **BY_GEOMETRY})
    with open_image(place(tmp_path / "child.vhd", child)) as image:
        assert image.virtual_size == LARGE * SECTOR


# Bitmaps


def read_as_an_upload_does(path: Path) -> None:
    with open_image(path) as image:
        for extent in image.extents():
            if not extent.zero:
                image.read_into(extent.offset, bytearray(extent.length))


def held(recipe: Recipe) -> bytes:
    """All that the file holds of the disk, bits or no bits."""
    per_block = recipe.block_size // SECTOR
    used = recipe.order if recipe.order is not None else ()
    word = recipe.content
    data = bytearray(guest_view(word))
    for block in used:
        for at in range(block * per_block, min((block + 1) * per_block, len(word))):
            if word[at] == "-":
                data[at * SECTOR : (at + 1) * SECTOR] = bytes([recipe.under_clear]) * SECTOR
    return bytes(data)


@given(recipe=dynamic_recipes())
def test_clear_bits_hide_nothing_unless_asked_to(folder: Path, recipe: Recipe) -> None:
    path = place(folder / "disk.vhd", recipe)
    by_bitmap, by_data = guest_view(recipe.content), held(recipe)
    with open_image(path, bitmap_rule="bitmap") as image:
        assert_reads(image, by_bitmap)
    with open_image(path, bitmap_rule="data") as image:
        assert_reads(image, by_data)
    if by_bitmap == by_data:
        with open_image(path) as image:
            assert_reads(image, by_bitmap)
        return
    with pytest.raises(DamagedImageError, match="--bitmap-rule"):
        read_as_an_upload_does(path)


def test_an_empty_bitmap_over_data_is_seen_by_inspection(tmp_path: Path) -> None:
    recipe = Recipe("-" * 16, allocated=[1], under_clear=0x5A)
    path = place(tmp_path / "disk.vhd", recipe)
    found = [finding for finding in inspect(path).findings if finding.level is Level.ERROR]
    assert [finding.code for finding in found] == ["bitmap-clear-over-data"]
    assert found[0].offset == 2048 + 512
    assert "--bitmap-rule" in found[0].remedy
    for rule in ("bitmap", "data"):
        assert not inspect(path, bitmap_rule=rule).has_errors
    assert inspect(path, deep=True, bitmap_rule="data").deep is not None


def test_deep_does_not_call_blocks_zeros_that_hold_data(tmp_path: Path) -> None:
    recipe = Recipe("-" * 8 + "0" * 8 + "-" * 8, allocated=[0, 2], under_clear=0x5A)
    deep = inspect(place(tmp_path / "disk.vhd", recipe), deep=True, bitmap_rule="bitmap").deep
    assert deep is not None
    assert deep.blocks is not None
    assert deep.blocks.empty == 2
    assert deep.blocks.all_zero == 1


def test_a_child_with_an_empty_bitmap_over_data(tmp_path: Path) -> None:
    """A block is in a child because something was written to it."""
    place(tmp_path / "parent.vhd", Recipe("P" * 16))
    child = child_of("parent.vhd", "-" * 8 + "C" + "-" * 7, allocated=[0], under_clear=0x5A)
    path = place(tmp_path / "child.vhd", child)
    assert inspect(path).has_errors
    with pytest.raises(DamagedImageError, match="--bitmap-rule"):
        open_image(path)
    with open_image(path, bitmap_rule="bitmap") as image:
        assert content(image) == guest_view(child.content, "P" * 16)
    with open_image(path, bitmap_rule="data") as image:
        assert content(image)[: 8 * SECTOR] == b"\x5a" * (8 * SECTOR)
    partial = child_of("parent.vhd", "C" + "-" * 15, under_clear=0x5A)
    with open_image(place(path, partial)) as image:
        assert content(image) == guest_view(partial.content, "P" * 16)


def test_a_child_is_looked_at_where_it_was_not_sampled(tmp_path: Path) -> None:
    """What the look at opening passes over, reading finds."""
    blocks = 2 * 1024 + 1
    place(tmp_path / "parent.vhd", Recipe("-" * blocks, block_size=512))
    child = child_of("parent.vhd", "C" * blocks, block_size=512)
    data = bytearray(build(child))
    first = data.index(b"\x80" + bytes(511) + (0).to_bytes(8, "big"))
    data[first + 1024] = 0  # the bitmap of the second block
    path = write(tmp_path / "child.vhd", bytes(data))
    with open_image(path) as image:
        with pytest.raises(DamagedImageError, match="block 1 holds data"):
            image.read_into(0, bytearray(image.virtual_size))
        with pytest.raises(DamagedImageError, match="block 1 holds data"):
            list(image.extents())


def test_holes_under_clear_bits_are_not_read(tmp_path: Path) -> None:
    """They are known zeros, as nothing can hide in them."""
    block = 1 << 20
    data = build(Recipe("A" + "-" * (2 * block // SECTOR - 1), block_size=block))
    with open_image(write(tmp_path / "disk.vhd", data)) as image:
        assert sum(extent.length for extent in image.extents() if not extent.zero) < block // 2


def with_batmap(recipe: Recipe, bits: bytes, **changes: Any) -> bytes:
    """A dynamic disk of which the batmap is at sector 4, and the blocks behind its map."""
    bitmap = bits.ljust(SECTOR, b"\0")
    made = BatmapHeader(
        cookie=BATMAP_COOKIE,
        map_offset=2560,
        map_sectors=1,
        version=0x0001_0002,
        checksum=batmap_checksum(bitmap),
        marker=0,
        key_hash=bytes(65),
        reserved=bytes(418),
    )
    image = bytearray(build(replace(recipe, extra_entries=0)))
    head, rest = image[:2048], image[2048:]
    table = bytearray(head[1536:2048])
    for at in range(0, len(table), 4):
        entry = int.from_bytes(table[at : at + 4], "big")
        if entry != 0xFFFFFFFF:
            table[at : at + 4] = (entry + 2).to_bytes(4, "big")
    head[1536:2048] = table
    return bytes(head + build_batmap_header(replace(made, **changes)) + bitmap + rest)


FULL = Recipe("-" * 8 + "A" + "-" * 7 + "-" * 8, allocated=[0, 1], under_clear=0x5A)


def test_a_block_that_the_batmap_calls_full_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "disk.vhd", with_batmap(FULL, b"\xc0"))
    inspection = inspect(path, deep=True)
    assert not inspection.has_errors
    assert inspection.reading.bitmaps is not None
    assert inspection.reading.bitmaps.reason == "batmap"
    assert inspection.deep is not None
    assert inspection.deep.blocks is not None
    assert (inspection.deep.blocks.full, inspection.deep.blocks.clear_over_data) == (2, 0)
    whole = held(replace(FULL, order=[0, 1]))
    with open_image(path) as image:
        assert_reads(image, whole)
    with open_image(path, bitmap_rule="bitmap") as image:
        assert_reads(image, guest_view(FULL.content))


@pytest.mark.parametrize(
    ("bits", "changes", "code"),
    [
        (b"\xc0", {"checksum": 1}, "batmap-damaged"),
        (b"\xc0", {"version": 0x0002_0000}, "batmap-damaged"),
        (b"\xc0", {"map_sectors": 0}, "batmap-damaged"),
        (b"\xc0", {"map_offset": 1 << 40}, "batmap-damaged"),
        (b"\xe0", {}, "batmap-contradicts-bat"),
        (b"\x40", {}, None),
    ],
)
def test_no_other_batmap_is_believed(
    tmp_path: Path, bits: bytes, changes: dict[str, Any], code: str | None
) -> None:
    path = write(tmp_path / "disk.vhd", with_batmap(FULL, bits, **changes))
    codes = [finding.code for finding in inspect(path).findings]
    assert "bitmap-clear-over-data" in codes
    assert code is None or code in codes
    with pytest.raises(DamagedImageError, match="--bitmap-rule"):
        open_image(path)


def test_no_such_bitmap_rule(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Use auto, bitmap or data"):
        open_image(place(tmp_path / "disk.vhd", Recipe("A")), bitmap_rule="xo")  # type: ignore[arg-type]


# Where a fixed disk begins

WHOLE_GPT = mbr((0xEE, 1, 31)) + gpt(1, 31) + bytes(29 * SECTOR) + gpt(31, 1)
SOME_MBR = mbr((0x83, 2, 30)) + b"D" * (31 * SECTOR)


@pytest.mark.parametrize(
    ("lead", "disk", "behind", "base"),
    [
        (b"", WHOLE_GPT, bytes(1024), "start"),
        (b"", WHOLE_GPT, b"J" * 1024, "start"),
        (bytes(1024), WHOLE_GPT, b"", "end"),
        (b"J" * 1024, WHOLE_GPT, b"", "end"),
        (b"", SOME_MBR, bytes(1024), "start"),
        (b"", SOME_MBR, b"J" * 1024, None),
        (bytes(1024), SOME_MBR, b"", "end"),
        (b"J" * 1024, SOME_MBR, b"", None),
        (b"", bytes(32 * SECTOR), bytes(1024), None),
        (b"", b"D" * (32 * SECTOR), bytes(1024), None),
    ],
)
def test_a_partition_table_shows_where_a_fixed_disk_begins(
    tmp_path: Path, lead: bytes, disk: bytes, behind: bytes, base: Literal["start", "end"] | None
) -> None:
    footer = build(Recipe("A" * 32, FIXED))[-512:]
    path = write(tmp_path / "disk.vhd", lead + disk + behind + footer)
    made = inspect(path).reading.base
    if base is None:
        assert made is None
        with pytest.raises(DamagedImageError, match="--fixed-base"):
            open_image(path)
        return
    assert made is not None
    assert (made.choice, made.reason) == (base, "partition-table")
    with open_image(path) as image:
        assert content(image) == disk
        assert reading_of(image).base == made


# What partition tables say


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (mbr((0xEE, 1, 99)) + gpt(1, 99), PartitionEnd("GPT", 100 * SECTOR)),
        (mbr((0xEE, 1, 89)) + gpt(1, 99), PartitionEnd("GPT", 100 * SECTOR)),
        (mbr((0xEE, 1, 89)) + b"EFI PART" + bytes(504), PartitionEnd("GPT", 90 * SECTOR)),
        (mbr((0xEE, 1, 0xFFFFFFFF)) + b"EFI PART" + bytes(504), None),
        (mbr((0xEE, 1, 89)) + bytes(512), None),
        (mbr((0x83, 10, 20), (7, 40, 2)) + bytes(512), PartitionEnd("MBR", 42 * SECTOR)),
        (mbr((0x83, 0, 20)) + bytes(512), None),
        (bytes(1024), None),
        (b"", None),
    ],
)
def test_where_a_partition_table_ends(head: bytes, end: PartitionEnd | None) -> None:
    assert partition_end(head) == end


def test_a_backup_header_is_in_the_last_sector() -> None:
    assert is_backup_header(gpt(99, 1), 100 * SECTOR)
    assert is_backup_header(b"EFI PART" + bytes(504), 100 * SECTOR)
    assert not is_backup_header(gpt(98, 1), 100 * SECTOR)
    assert not is_backup_header(gpt(99, 2), 100 * SECTOR)
    assert not is_backup_header(bytes(512), 100 * SECTOR)


SOUND = [disk for disk in SAMPLE_DISKS.values() if disk.virtual_size is not None]


@pytest.mark.parametrize("disk", SOUND, ids=lambda disk: disk.name)
def test_samples_have_their_sizes_by_evidence(disk: SampleDisk, sample_disk: Any) -> None:
    inspection = inspect(sample_disk(disk.name))
    assert inspection.virtual_size == disk.virtual_size
    made = inspection.reading.size
    assert made is not None
    assert made.decided


def test_which_of_two_footers_counts_is_told(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A" * 16, copy={"current_size": 8 * SECTOR}))
    inspection = inspect(path)
    made = inspection.reading.footer
    assert made is not None
    assert (made.choice, made.reason) == ("end", "end-first")
    assert made in inspection.reading.contested
    assert "8,192 bytes and not 4,096 bytes" in made.text
    with open_image(path) as image:
        assert reading_of(image).footer == made
        assert image.virtual_size == 16 * SECTOR


def test_footers_of_one_disk_are_no_choice(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A" * 16, copy={"timestamp": 5}))
    assert inspect(path).reading.footer is None


@pytest.mark.parametrize("block_size", [0, 1, 2**32 - 1])
def test_an_impossible_block_size_decides_nothing(block_size: int, tmp_path: Path) -> None:
    recipe = Recipe("A" * 16, footer=BY_GEOMETRY, header={"block_size": block_size})
    findings = inspect(place(tmp_path / "disk.vhd", recipe)).findings
    assert "block-size" in [finding.code for finding in findings]
