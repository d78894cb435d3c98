"""Ranges, against sets of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.ranges import (
    Extent,
    PageRange,
    RangeList,
    align_down,
    align_up,
    coalesce,
    split,
    subtract,
)

# Runs of covered and uncovered bytes in turn: ascending ranges that do not overlap, some touching.
steps = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=12)


def laid_out(pairs: Iterable[tuple[int, int]]) -> list[PageRange]:
    ranges = []
    position = 0
    for gap, length in pairs:
        ranges.append(PageRange(position + gap, length))
        position += gap + length
    return ranges


range_lists = steps.map(laid_out)


def covered(ranges: Iterable[PageRange]) -> set[int]:
    return {byte for item in ranges for byte in range(item.offset, item.end)}


def ascending(ranges: list[PageRange]) -> bool:
    pairs = pairwise(ranges)
    return all(item.length > 0 for item in ranges) and all(
        one.end <= other.offset for one, other in pairs
    )


@given(range_lists, st.integers(1, 15))
def test_split_cuts_at_multiples(ranges: list[PageRange], size: int) -> None:
    parts = list(split(ranges, size))
    assert ascending(parts)
    assert covered(parts) == covered(ranges)
    assert all(part.offset // size == (part.end - 1) // size for part in parts)


@given(range_lists, st.integers(0, 15))
def test_coalesce_joins_what_is_near(ranges: list[PageRange], gap: int) -> None:
    joined = list(coalesce(ranges, gap=gap))
    assert ascending(joined)
    holes = covered(joined) - covered(ranges)
    assert covered(ranges) | holes == covered(joined)
    assert all(other.offset - one.end > gap for one, other in pairwise(joined))
    starts = {item.offset for item in ranges}
    assert {item.offset for item in joined} <= starts
    # What was joined lies no further apart than allowed.
    assert all(
        other.offset - one.end <= gap or other.offset in {item.offset for item in joined}
        for one, other in pairwise(ranges)
    )


@given(range_lists)
def test_coalesce_without_a_gap_adds_nothing(ranges: list[PageRange]) -> None:
    assert covered(coalesce(ranges)) == covered(ranges)


@given(range_lists, range_lists)
def test_subtract_leaves_what_is_not_covered(
    ranges: list[PageRange], holes: list[PageRange]
) -> None:
    left = list(subtract(ranges, holes))
    assert ascending(left)
    assert covered(left) == covered(ranges) - covered(holes)


@given(range_lists)
def test_range_list_keeps_ranges_and_joins_touching_ones(ranges: list[PageRange]) -> None:
    kept = RangeList(ranges)
    assert list(kept) == list(coalesce(ranges))
    assert len(kept) == len(list(kept))
    assert kept.end == (ranges[-1].end if ranges else 0)


def test_range_list_refuses_what_goes_back() -> None:
    kept = RangeList([PageRange(0, 10)])
    with pytest.raises(ValueError, match="range at 9 added after 10"):
        kept.append(PageRange(9, 5))


@given(st.integers(0, 1 << 64), st.integers(1, 1 << 40))
def test_alignment_rounds_to_the_nearest_multiple(value: int, unit: int) -> None:
    low, high = align_down(value, unit), align_up(value, unit)
    assert low % unit == high % unit == 0
    assert low <= value <= high
    assert high - low == (0 if value % unit == 0 else unit)


def test_ends_are_exclusive() -> None:
    assert PageRange(512, 1024).end == 1536
    assert Extent(512, 1024, zero=True).end == 1536
