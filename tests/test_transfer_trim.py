"""Trimming: the fast search for pages that are not zero, against one that is plainly right."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vhdtools.image.zeros import is_zero
from vhdtools.ranges import PAGE
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.plan import MERGE_GAP
from vhdtools.transfer.trim import nonzero_runs

Runs = list[tuple[int, int]]


def naive_runs(pages: list[bool], gap: int) -> Runs:
    """Runs of the pages marked true, joined over at most *gap* bytes of others."""
    runs: Runs = []
    for number, marked in enumerate(pages):
        if not marked:
            continue
        start, end = number * PAGE, (number + 1) * PAGE
        if runs and start - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def buffer_of(pages: list[bool], where: int) -> bytearray:
    buffer = bytearray(len(pages) * PAGE)
    for number, marked in enumerate(pages):
        if marked:
            buffer[number * PAGE + where] = 1
    return buffer


def check(pages: list[bool], gap: int, where: int = 0) -> None:
    view = memoryview(buffer_of(pages, where))
    assert nonzero_runs(view, gap=gap) == naive_runs(pages, gap)


@given(
    st.lists(st.booleans(), max_size=80),
    st.integers(0, 12).map(lambda pages: pages * PAGE),
    st.integers(0, PAGE - 1),
)
@example([], 0, 0)
@example([True], 0, PAGE - 1)
@example([False] * 64, 0, 0)
def test_runs_are_those_of_a_page_by_page_search(pages: list[bool], gap: int, where: int) -> None:
    check(pages, gap, where)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=30),
    st.sampled_from([0, 64 * 1024, MERGE_GAP, MERGE_GAP + PAGE]),
)
def test_runs_of_long_stretches(stretches: list[tuple[bool, int]], gap: int) -> None:
    check([marked for marked, number in stretches for _ in range(number)], gap)


def test_a_chunk_full_of_data_is_one_run() -> None:
    view = memoryview(b"\1" * MAX_WRITE)
    assert nonzero_runs(view, gap=MERGE_GAP) == [(0, MAX_WRITE)]


def test_a_chunk_full_of_zeros_has_no_run() -> None:
    assert nonzero_runs(memoryview(bytes(MAX_WRITE)), gap=MERGE_GAP) == []


def test_the_first_and_the_last_page_alone() -> None:
    buffer = bytearray(MAX_WRITE)
    buffer[0] = buffer[-1] = 1
    expected = [(0, PAGE), (MAX_WRITE - PAGE, MAX_WRITE)]
    assert nonzero_runs(memoryview(buffer), gap=MERGE_GAP) == expected


def test_a_part_of_a_buffer_is_looked_at_alone() -> None:
    buffer = bytearray(4 * PAGE)
    buffer[2 * PAGE - 1] = buffer[-1] = 1
    view = memoryview(buffer)
    assert is_zero(view[:PAGE])
    assert not is_zero(view[: 2 * PAGE])
    assert is_zero(view[2 * PAGE : 3 * PAGE])
    with pytest.raises(ValueError, match="more than"):
        is_zero(memoryview(bytes(MAX_WRITE + 1)))
    assert nonzero_runs(view[: 3 * PAGE], gap=0) == [(PAGE, 2 * PAGE)]
