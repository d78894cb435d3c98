"""Hypothesis strategies for recipes of sound VHDs, and the laws that every image obeys."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.build_vhd import SECTOR, Recipe
from vhdtools.image import DiskImage
from vhdtools.layout import DiskType

words = st.lists(
    st.tuples(st.sampled_from("AB0-"), st.sampled_from([1, 1, 2, 3, 8, 20])),
    min_size=1,
    max_size=12,
).map(lambda runs: "".join(letter * count for letter, count in runs))
"""Content in runs, some of them longer than a block."""

block_sizes = st.sampled_from([512, 1024, 2048, 4096, 8192, 65536])


@st.composite
def dynamic_recipes(draw: st.DrawFn, content: str | None = None) -> Recipe:
    """Dynamic disks whose blocks lie in any order, with gaps, spare bits and junk."""
    word = draw(words) if content is None else content
    block_size = draw(block_sizes)
    per_block = block_size // SECTOR
    blocks = range(-(-len(word) // per_block))
    extra = draw(st.lists(st.sampled_from(blocks), unique=True, max_size=3))
    used = [i for i in blocks if word[i * per_block : (i + 1) * per_block].strip("-") or i in extra]
    return Recipe(
        word,
        block_size=block_size,
        order=draw(st.permutations(used)),
        allocated=extra,
        gap=draw(st.integers(0, 3)),
        under_clear=draw(st.sampled_from([0, 0x5A])),
        spare_bits=draw(st.booleans()),
        extra_entries=draw(st.integers(0, 200)),
        bat_padding=draw(st.sampled_from([0, 0xFF])),
        bat_offset=draw(st.sampled_from([1536, 8192])),
        end_size=draw(st.sampled_from([512, 512, 511, 0])),
    )


fixed_recipes = words.map(lambda word: Recipe(word, disk_type=DiskType.FIXED))


def assert_reads(image: DiskImage, expected: bytes) -> None:
    """The image is `expected`: in one read, and by its extents, which tile it exactly."""
    assert image.virtual_size == len(expected)
    whole = bytearray(b"\x77" * len(expected))
    image.read_into(0, whole)
    assert whole == expected
    position = 0
    for extent in image.extents():
        assert extent.offset == position
        assert extent.length > 0
        assert extent.length % SECTOR == 0
        if extent.zero:
            assert not any(expected[extent.offset : extent.end])
        position = extent.end
    assert position == image.virtual_size
