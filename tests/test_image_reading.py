"""What is read is what was written: fixed, dynamic and differencing disks against their words."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.build_vhd import (
    SECTOR,
    Recipe,
    build,
    child_of,
    guest_view,
    patch,
    place,
    write,
)
from tests.support.oracles import qemu_img_convert
from tests.support.recipes import assert_reads, dynamic_recipes, fixed_recipes, words
from vhdtools.errors import SourceChangedError, SourceReadError
from vhdtools.image import open as open_image
from vhdtools.image.source import Source
from vhdtools.layout import DiskType
from vhdtools.ranges import Extent

MIB = 1 << 20


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(recipe=st.one_of(dynamic_recipes(), fixed_recipes), data=st.data())
def test_disks_read_as_they_were_written(folder: Path, recipe: Recipe, data: st.DataObject) -> None:
    expected = guest_view(recipe.content)
    with open_image(place(folder / "disk.vhd", recipe), bitmap_rule="bitmap") as image:
        assert_reads(image, expected)
        offset = data.draw(st.integers(0, len(expected)))
        length = data.draw(st.integers(0, len(expected) - offset))
        buffer = bytearray(b"\x77" * length)
        image.read_into(offset, buffer)
        assert buffer == expected[offset : offset + length]
        start = data.draw(st.integers(0, len(recipe.content))) * SECTOR
        assert sum(extent.length for extent in image.extents(start)) == len(expected) - start


@st.composite
def chains(draw: st.DrawFn) -> list[Recipe]:
    """A child, its parent and so on; each may have another size and another block size."""
    depth = draw(st.integers(1, 4))
    recipes = []
    for level in range(depth):
        layer = draw(dynamic_recipes())
        recipes.append(
            child_of(
                f"{level + 1}.vhd",
                layer.content,
                block_size=layer.block_size,
                order=layer.order,
                allocated=layer.allocated,
                gap=layer.gap,
                under_clear=layer.under_clear,
                spare_bits=layer.spare_bits,
                extra_entries=layer.extra_entries,
                parent_id=bytes([level + 1] * 16),
                footer={"unique_id": bytes([level] * 16)},
            )
        )
    base = draw(st.one_of(dynamic_recipes(), fixed_recipes))
    return [
        *recipes,
        Recipe(base.content, base.disk_type, footer={"unique_id": bytes([depth] * 16)}),
    ]


@given(chain=chains(), data=st.data())
def test_chains_read_through_their_bitmaps(
    folder: Path, chain: list[Recipe], data: st.DataObject
) -> None:
    for number, recipe in enumerate(chain):
        place(folder / f"{number}.vhd", recipe)
    # A parent that is smaller hides what its own parent has behind its end.
    expected = b""
    for recipe in reversed(chain):
        expected = _over(recipe.content, expected)
    with open_image(folder / "0.vhd", bitmap_rule="bitmap") as image:
        assert_reads(image, expected)
        start = data.draw(st.integers(0, len(chain[0].content))) * SECTOR
        position = start
        for extent in image.extents(start):
            assert extent.offset == position
            assert not (extent.zero and any(expected[extent.offset : extent.end]))
            position = extent.end
        assert position == len(expected)


def _over(word: str, below: bytes) -> bytes:
    top = guest_view(word)
    below = below.ljust(len(top), b"\0")
    return b"".join(
        (below if letter == "-" else top)[i * SECTOR : (i + 1) * SECTOR]
        for i, letter in enumerate(word)
    )


@pytest.mark.parametrize("block_size", [512 << 10, 2 * MIB, 64 * MIB])
def test_big_blocks(tmp_path: Path, block_size: int) -> None:
    per_block = block_size // SECTOR
    word = "-" * per_block + "A" * 5 + "-" * 4096 + "B0C" + "-" * 700
    recipe = Recipe(word, block_size=block_size, gap=7)
    with open_image(place(tmp_path / "disk.vhd", recipe)) as image:
        assert_reads(image, guest_view(word))


def test_bitmaps_of_dynamic_disks_hide_what_is_under_clear_bits(tmp_path: Path) -> None:
    word = "A-B-----" * 4
    recipe = Recipe(word, under_clear=0xEE)
    assert b"\xee" * SECTOR in build(recipe)
    with open_image(place(tmp_path / "disk.vhd", recipe), bitmap_rule="bitmap") as image:
        assert_reads(image, guest_view(word))
        assert list(image.extents())[:4] == [
            Extent(0, SECTOR, zero=False),
            Extent(SECTOR, SECTOR, zero=True),
            Extent(2 * SECTOR, SECTOR, zero=False),
            Extent(3 * SECTOR, 5 * SECTOR, zero=True),
        ]


def test_unallocated_blocks_are_one_extent(tmp_path: Path) -> None:
    word = "A" * 8 + "-" * 80_000 + "B" * 8
    with open_image(place(tmp_path / "disk.vhd", Recipe(word))) as image:
        assert list(image.extents()) == [
            Extent(0, 4096, zero=False),
            Extent(4096, 80_000 * SECTOR, zero=True),
            Extent(80_008 * SECTOR, 4096, zero=False),
        ]


@pytest.fixture
def sparse(tmp_path: Path) -> None:
    """For tests that expect holes: the file system has to make them."""
    probe = write(tmp_path / "probe", bytes(MIB) + b"x" * 4096)
    if probe.stat().st_blocks * 512 >= MIB:
        pytest.skip("this file system makes no sparse files")


@pytest.mark.usefixtures("sparse")
@pytest.mark.parametrize("word", ["A" * 8 + "0" * 4096 + "B" * 8, "0" * 4096 + "B" * 8, "0" * 4096])
def test_holes_of_a_fixed_disk_are_zeros(tmp_path: Path, word: str) -> None:
    recipe = Recipe(word, disk_type=DiskType.FIXED)
    with open_image(place(tmp_path / "disk.vhd", recipe)) as image:
        assert_reads(image, guest_view(word))
        assert sum(extent.length for extent in image.extents() if extent.zero) == 4096 * SECTOR


@pytest.mark.usefixtures("sparse")
def test_holes_of_a_dynamic_disk_are_zeros(tmp_path: Path) -> None:
    word = "A" * 4 + "0" * 4088 + "B" * 4
    recipe = Recipe(word, block_size=2 * MIB)
    with open_image(place(tmp_path / "disk.vhd", recipe)) as image:
        assert_reads(image, guest_view(word))
        assert any(extent.zero and extent.length > MIB for extent in image.extents())


@pytest.mark.usefixtures("sparse")
def test_holes_of_a_child_hide_the_parent(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", Recipe("P" * 4096, block_size=2 * MIB))
    recipe = child_of("parent.vhd", "A" * 4 + "0" * 4088 + "-" * 4, block_size=2 * MIB)
    with open_image(place(tmp_path / "child.vhd", recipe)) as image:
        assert_reads(image, guest_view(recipe.content, "P" * 4096))
        assert any(extent.zero and extent.length > MIB for extent in image.extents())


@pytest.mark.parametrize(
    "recipe", [Recipe("ABC", DiskType.FIXED, size=1000), Recipe("ABC", block_size=512, size=1000)]
)
def test_a_size_that_is_not_whole_sectors_is_filled_up_with_zeros(
    tmp_path: Path, recipe: Recipe
) -> None:
    with open_image(place(tmp_path / "disk.vhd", recipe)) as image:
        assert_reads(image, guest_view("AB")[:1000] + bytes(24))


def test_blocks_behind_the_disks_end_are_nobodys(tmp_path: Path) -> None:
    """Xen Orchestra writes an entry too many, and a geometry above the current size."""
    shape = {"cylinders": 1, "heads": 1, "sectors_per_track": 24}
    recipe = Recipe("A" * 8 + "B" * 8 + "C" * 8, size=6144, footer=shape)
    with open_image(place(tmp_path / "disk.vhd", recipe)) as image:
        assert_reads(image, guest_view("A" * 8 + "B" * 4))
    with open_image(tmp_path / "disk.vhd", size_rule="geometry") as image:
        assert_reads(image, guest_view(recipe.content))


def test_a_deep_chain(tmp_path: Path) -> None:
    depth = 100
    words = [
        "".join("ABCDEFGH"[level % 8] if i % depth == level else "-" for i in range(120))
        for level in range(depth)
    ]
    for level, word in enumerate(words):
        recipe = child_of(
            f"{level + 1}.vhd",
            word,
            parent_id=bytes([level + 1] * 16),
            footer={"unique_id": bytes([level] * 16)},
        )
        place(tmp_path / f"{level}.vhd", recipe)
    base = Recipe("Z" * 120, footer={"unique_id": bytes([depth] * 16)})
    place(tmp_path / f"{depth}.vhd", base)
    with open_image(tmp_path / "0.vhd") as image:
        assert_reads(image, guest_view(*words, base.content))
        image.check_unchanged()


def test_a_raw_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.raw").write_bytes(b"R" * 1300)
    recipe = child_of("parent.raw", "A-----", parent_id=bytes(16))
    place(tmp_path / "child.vhd", recipe)
    below = (b"R" * 1300).ljust(6 * SECTOR, b"\0")
    with open_image(tmp_path / "child.vhd", raw_parent=True) as image:
        assert_reads(image, guest_view("A") + below[SECTOR:])
        assert list(image.extents(3 * SECTOR)) == [Extent(3 * SECTOR, 3 * SECTOR, zero=True)]


def test_threads_read_at_once(tmp_path: Path) -> None:
    words = ["A-0B" * 300, "C" * 1000]
    place(tmp_path / "parent.vhd", Recipe(words[1]))
    place(tmp_path / "child.vhd", child_of("parent.vhd", words[0]))
    expected = guest_view(*words)
    with open_image(tmp_path / "child.vhd") as image:

        def read(offset: int) -> bool:
            buffer = bytearray(40_000)
            length = min(len(buffer), len(expected) - offset)
            image.read_into(offset, memoryview(buffer)[:length])
            return buffer[:length] == expected[offset : offset + length]

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(read, range(0, len(expected), 777)))


def test_any_buffer_of_bytes_will_do(tmp_path: Path) -> None:
    with open_image(place(tmp_path / "disk.vhd", Recipe("AB"))) as image:
        numbers = memoryview(bytearray(16)).cast("Q")
        image.read_into(SECTOR, numbers)
        assert bytes(numbers) == guest_view("AB")[SECTOR : SECTOR + 16]


@pytest.mark.parametrize("kind", [DiskType.FIXED, DiskType.DYNAMIC])
def test_calls_past_the_disk_are_refused(tmp_path: Path, kind: DiskType) -> None:
    with open_image(place(tmp_path / "disk.vhd", Recipe("AB", kind))) as image:
        for offset, length in ((-1, 1), (0, 1025), (1024, 1), (1 << 63, 1)):
            with pytest.raises(ValueError, match="not in a disk of 1024 bytes"):
                image.read_into(offset, bytearray(length))
        with pytest.raises(ValueError, match="read-only"):
            image.read_into(0, memoryview(bytes(1)))
        for start in (-512, 1, 1536):
            with pytest.raises(ValueError, match="extents begin"):
                image.extents(start)
        image.read_into(1024, bytearray())
        assert list(image.extents(1024)) == []


@pytest.mark.parametrize("kind", [DiskType.FIXED, DiskType.DYNAMIC])
def test_a_file_cut_while_it_is_open_is_never_padded(tmp_path: Path, kind: DiskType) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A" * 64, kind))
    with open_image(path) as image:
        with path.open("r+b") as file:
            file.truncate(5000)
        with pytest.raises(SourceReadError, match=r"disk\.vhd: the file ends early.*at byte"):
            image.read_into(0, bytearray(image.virtual_size))
        with pytest.raises(SourceReadError):
            list(image.extents())


def test_a_change_of_any_file_of_the_chain_is_noticed(tmp_path: Path) -> None:
    parent = place(tmp_path / "parent.vhd", Recipe("AB"))
    place(tmp_path / "child.vhd", child_of("parent.vhd", "-B"))
    with open_image(tmp_path / "child.vhd") as image:
        image.check_unchanged()
        patch(parent, 4096, b"!")
        with pytest.raises(SourceChangedError, match=r"parent\.vhd: the file was changed"):
            image.check_unchanged()


def test_closing_twice_is_harmless_and_reading_then_fails(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"R" * 512)
    for recipe in (
        Recipe("A"),
        Recipe("A", DiskType.FIXED),
        child_of("raw", "-", parent_id=bytes(16)),
    ):
        image = open_image(place(tmp_path / "disk.vhd", recipe), raw_parent=True)
        assert image.path == tmp_path / "disk.vhd"
        image.close()
        image.close()
        for read in (
            lambda: image.read_into(0, bytearray(512)),  # noqa: B023
            image.extents,
            image.check_unchanged,
        ):
            with pytest.raises(ValueError, match="closed file"):
                read()


def test_extents_that_were_begun_end_with_the_image(tmp_path: Path) -> None:
    word = ("A" * 8 + "-" * 8) * 4
    for recipe in (Recipe(word), Recipe(word, DiskType.FIXED)):
        image = open_image(place(tmp_path / "disk.vhd", recipe))
        extents = image.extents()
        image.close()
        with pytest.raises(ValueError, match="closed file"):
            list(extents)


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        (Recipe("A" * 8), "dynamic"),
        (Recipe("A" * 8, DiskType.FIXED), "fixed"),
        (child_of("raw", "-" * 8, parent_id=bytes(16)), "differencing, 2 files"),
    ],
)
def test_a_disk_shows_what_it_is(recipe: Recipe, kind: str, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"R" * 4096)
    with open_image(place(tmp_path / "disk.vhd", recipe), raw_parent=True) as image:
        assert re.fullmatch(rf"<\w+ '.*disk\.vhd', {kind}, 4,096 bytes>", repr(image))


def test_the_footer_is_the_one_that_counts(tmp_path: Path) -> None:
    recipe = Recipe("A", footer={"unique_id": b"0123456789abcdef"})
    with open_image(place(tmp_path / "disk.vhd", recipe)) as image:
        assert image.footer is not None
        assert image.footer.unique_id == b"0123456789abcdef"


@given(word=words)
@settings(max_examples=10)
def test_qemu_reads_the_same(folder: Path, word: str) -> None:
    """qemu takes no notice of clear bits, so what lies under them is zeros here."""
    for recipe in (
        Recipe(word, block_size=512 << 10, extra_entries=3),
        Recipe(word, DiskType.FIXED),
    ):
        path = place(folder / "disk.vhd", recipe)
        with open_image(path) as image:
            assert_reads(image, qemu_img_convert(path))


def test_each_block_is_read_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path / "disk.vhd", Recipe("A" * 64, block_size=8192))
    calls = []
    original: Callable[[Source, int, memoryview], int] = Source._read_some

    def counted(source: Source, position: int, view: memoryview) -> int:
        calls.append(len(view))
        return original(source, position, view)

    with open_image(tmp_path / "disk.vhd") as image:
        list(image.extents())  # so that the bitmaps are known
        monkeypatch.setattr(Source, "_read_some", counted)
        image.read_into(0, bytearray(64 * SECTOR))
    assert calls == [8192] * 4
