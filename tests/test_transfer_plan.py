"""The plan of a transfer: it tiles the disk, reads no known zeros, and joins what lies close."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.ranges import PAGE, Extent, PageRange, coalesce, subtract
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.plan import (
    MERGE_GAP,
    Chunk,
    Step,
    Zeros,
    cut,
    force_writes,
    plan,
    work_size,
)

LENGTHS = st.one_of(
    st.integers(1, 8).map(lambda pages: pages * PAGE),
    st.sampled_from([MERGE_GAP - PAGE, MERGE_GAP, MERGE_GAP + PAGE]),
    st.sampled_from([MAX_WRITE - PAGE, MAX_WRITE, MAX_WRITE + PAGE, 3 * MAX_WRITE]),
)


@st.composite
def extent_lists(draw: st.DrawFn) -> list[Extent]:
    """Extents that tile a disk from byte 0; the last one may end inside a page."""
    pieces = draw(st.lists(st.tuples(LENGTHS, st.booleans()), min_size=1, max_size=12))
    offset, extents = 0, []
    for length, zero in pieces:
        extents.append(Extent(offset, length, zero))
        offset += length
    if draw(st.booleans()):
        last = extents.pop()
        extents.append(Extent(last.offset, last.length - draw(st.integers(1, PAGE - 1)), last.zero))
    return extents


@st.composite
def dirty_ranges(draw: st.DrawFn, size: int) -> list[PageRange]:
    """Ascending ranges of whole pages below *size* that neither touch nor overlap."""
    pages = sorted(draw(st.sets(st.integers(0, size // PAGE - 1), max_size=12)))
    return list(coalesce(PageRange(page * PAGE, PAGE) for page in pages))


def padded(extents: list[Extent]) -> int:
    return -(-extents[-1].end // MAX_WRITE) * MAX_WRITE


def assert_tiles(steps: Iterable[Step], start: int, end: int) -> None:
    position = start
    for step in steps:
        assert step.offset == position
        assert step.length > 0
        assert step.offset % PAGE == step.length % PAGE == 0
        position = step.end
    assert position == end


@given(extent_lists())
def test_steps_tile_the_disk_exactly(extents: list[Extent]) -> None:
    size = padded(extents)
    assert_tiles(plan(extents, size), 0, size)


@given(extent_lists())
def test_chunks_hold_at_most_four_mib(extents: list[Extent]) -> None:
    assert all(
        s.length <= MAX_WRITE for s in plan(extents, padded(extents)) if isinstance(s, Chunk)
    )


@given(extent_lists())
def test_reads_are_the_data_extents_and_nothing_else(extents: list[Extent]) -> None:
    data = list(coalesce(PageRange(e.offset, e.length) for e in extents if not e.zero))
    steps = plan(extents, padded(extents))
    reads = [item for s in steps if isinstance(s, Chunk) for item in s.reads]
    assert list(coalesce(reads)) == data


@given(extent_lists())
def test_reads_lie_inside_their_chunk_in_order(extents: list[Extent]) -> None:
    for step in plan(extents, padded(extents)):
        if isinstance(step, Chunk):
            assert step.reads
            assert step.reads[0].offset - step.offset < PAGE
            assert step.end - step.reads[-1].end < PAGE
            for before, after in pairwise(step.reads):
                assert before.end < after.offset


@given(extent_lists())
def test_gaps_are_joined_by_the_cost_of_a_request(extents: list[Extent]) -> None:
    chunks = [s for s in plan(extents, padded(extents)) if isinstance(s, Chunk)]
    for chunk in chunks:
        for before, after in pairwise(chunk.reads):
            assert after.offset - before.end <= MERGE_GAP
    for one, two in pairwise(chunks):
        gap = two.reads[0].offset - one.reads[-1].end
        # Apart, they are too far apart, or the first is so full that the second's data begins
        # where a request ends.
        assert gap > MERGE_GAP or two.reads[0].offset >= one.offset + MAX_WRITE


@given(extent_lists(), st.data())
def test_a_plan_from_the_end_of_a_step_is_the_rest_of_the_plan(
    extents: list[Extent], data: st.DataObject
) -> None:
    size = padded(extents)
    steps = list(plan(extents, size))
    first = data.draw(st.integers(0, len(steps) - 1))
    start = steps[first].offset
    rest = [
        Extent(max(e.offset, start), e.end - max(e.offset, start), e.zero)
        for e in extents
        if e.end > start
    ]
    assert list(plan(rest, size, start=start)) == steps[first:]


@given(extent_lists(), st.data())
def test_a_cut_plan_tiles_what_is_below(extents: list[Extent], data: st.DataObject) -> None:
    size = padded(extents)
    end = data.draw(st.integers(0, size // PAGE)) * PAGE
    steps = list(cut(plan(extents, size), end))
    assert_tiles(steps, 0, end)
    reads = [item for s in steps if isinstance(s, Chunk) for item in s.reads]
    expected = (
        PageRange(e.offset, min(e.end, end) - e.offset)
        for e in extents
        if not e.zero and e.offset < end
    )
    assert list(coalesce(reads)) == list(coalesce(expected))


@given(extent_lists(), st.data())
def test_forced_writes_cover_what_is_dirty(extents: list[Extent], data: st.DataObject) -> None:
    size = padded(extents)
    dirty = data.draw(dirty_ranges(size))
    steps = list(force_writes(plan(extents, size), dirty))
    assert_tiles(steps, 0, size)
    whole = [PageRange(s.offset, s.length) for s in steps if isinstance(s, Chunk) and not s.trim]
    assert not list(subtract(dirty, whole)), "all that is dirty is written in full"
    for step in steps:
        if isinstance(step, Chunk):
            assert step.length <= MAX_WRITE
            touched = any(d.offset < step.end and d.end > step.offset for d in dirty)
            assert step.trim == (not touched)


@given(extent_lists(), st.data())
def test_forced_writes_change_no_read_and_force_no_more_than_needed(
    extents: list[Extent], data: st.DataObject
) -> None:
    size = padded(extents)
    dirty = data.draw(dirty_ranges(size))
    before = list(plan(extents, size))
    after = list(force_writes(before, dirty))
    reading = [(s.offset, s.length, s.reads) for s in before if isinstance(s, Chunk)]
    assert [
        (s.offset, s.length, s.reads) for s in after if isinstance(s, Chunk) and s.reads
    ] == reading
    zeros = [PageRange(s.offset, s.length) for s in after if isinstance(s, Chunk) and not s.reads]
    assert not list(subtract(zeros, dirty)), "no zeros are sent but over what is dirty"


def test_what_is_dirty_beside_a_chunk_leaves_it_trimmed() -> None:
    chunk = Chunk(PAGE, PAGE, (PageRange(PAGE, PAGE),))
    dirty = [PageRange(0, PAGE), PageRange(2 * PAGE, PAGE)]
    found = list(force_writes([Zeros(0, PAGE), chunk, Zeros(2 * PAGE, 2 * PAGE)], dirty))
    assert found == [
        Chunk(0, PAGE, (), trim=False),
        chunk,
        Chunk(2 * PAGE, PAGE, (), trim=False),
        Zeros(3 * PAGE, PAGE),
    ]


KIB = 1024


@pytest.mark.parametrize(("apart", "requests"), [(120 * KIB, 1), (120 * KIB + PAGE, 2)])
def test_data_up_to_120_kib_apart_is_one_chunk(apart: int, requests: int) -> None:
    second = PAGE + apart
    size = second + PAGE
    extents = [Extent(0, PAGE, False), Extent(PAGE, apart, True), Extent(second, PAGE, False)]
    found = list(plan(extents, size))
    assert sum(isinstance(step, Chunk) for step in found) == requests
    assert_tiles(found, 0, size)


def test_work_is_what_chunks_hold() -> None:
    steps: list[Step] = [
        Zeros(0, 4096),
        Chunk(4096, 1024, (PageRange(4096, 1024),)),
        Zeros(5120, 512),
    ]
    assert work_size(steps) == 1024


def test_padding_after_the_extents_is_zeros() -> None:
    steps = list(plan([Extent(0, 700, False)], 2048))
    assert steps == [Chunk(0, 1024, (PageRange(0, 700),)), Zeros(1024, 1024)]


def test_a_disk_without_data_is_one_run_of_zeros() -> None:
    assert list(plan([Extent(0, 1 << 40, True)], 1 << 40)) == [Zeros(0, 1 << 40)]
